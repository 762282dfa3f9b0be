"""Every row and column that is wrong is named, with the likely mistake."""

import math
from typing import Any

import pytest

from backend.garments.chart_rules import Chart, ChartRefused, chart_warnings, check_chart

SIZES: dict[str, Any] = {"S": {"chest": 96, "length": 68}, "M": {"chest": 102, "length": 70}}


def problems(
    sizes: dict[str, Any], unit: Any = "cm", *, category: Any = "t-shirt", is_flat: bool = False
) -> list[tuple[str, str | None, str | None]]:
    with pytest.raises(ChartRefused) as refused:
        check_chart(category, unit, "garment", sizes, is_flat=is_flat)
    return [(one.code, one.size, one.measure) for one in refused.value.problems]


def first_words(sizes: dict[str, Any], unit: Any = "cm") -> str:
    with pytest.raises(ChartRefused) as refused:
        check_chart("t-shirt", unit, "garment", sizes)
    return refused.value.problems[0].detail


class TestSoundChart:
    def test_order_is_the_order_given(self) -> None:
        chart = check_chart(
            "t-shirt", "cm", "garment", {"Tall": {"chest": 90}, "9": {"chest": 95}, "10": {"chest": 99}}
        )
        assert [row.size for row in chart.rows] == ["Tall", "9", "10"]

    def test_inches_become_centimetres(self) -> None:
        chart = check_chart("t-shirt", "in", "garment", {"M": {"chest": 40}})
        assert chart.girths_cm() == {"M": {"chest": pytest.approx(101.6)}}

    def test_flat_girths_are_doubled_and_lengths_are_not(self) -> None:
        chart: Chart = check_chart("t-shirt", "cm", "garment", {"M": {"chest": 51, "length": 70}}, is_flat=True)
        assert chart.value_cm(chart.rows[0], "chest") == 102
        assert chart.value_cm(chart.rows[0], "length") == 70

    def test_equal_neighbours_in_one_girth(self) -> None:
        sizes = {"S": {"chest": 96, "hip": 100}, "M": {"chest": 102, "hip": 100}}
        assert len(check_chart("t-shirt", "cm", "garment", sizes).rows) == 2


class TestUnitNotSaid:
    def test_taken_where_only_one_can_be_meant(self) -> None:
        assert check_chart("t-shirt", None, "garment", {"M": {"chest": 102}}).unit == "cm"
        inches = check_chart("t-shirt", None, "garment", {"M": {"chest": 42}})
        assert inches.unit == "in"
        assert [one.code for one in chart_warnings("t-shirt", inches)] == ["unit_taken"]

    @pytest.mark.parametrize(("chest", "why"), [(70, "both"), (500, "neither")])
    def test_asked_for_where_it_is_not_clear(self, chest: float, why: str) -> None:
        with pytest.raises(ChartRefused) as refused:
            check_chart("t-shirt", None, "garment", {"M": {"chest": chest}})
        assert [one.code for one in refused.value.problems] == ["unit_unclear"]
        assert why in refused.value.problems[0].detail


class TestWarnings:
    @pytest.mark.parametrize(
        ("category", "sizes", "expected"),
        [
            ("t-shirt", {"S": {"chest": 90}, "M": {"chest": 102}}, []),
            ("t-shirt", {"S": {"chest": 90}, "M": {"chest": 102.5}}, [("large_step", "M", "chest")]),
            ("skirt", {"M": {"waist": 70, "hip": 98, "hem": 90}}, [("odd_shape", "M", "hem")]),
            ("trousers", {"M": {"hip": 100, "thigh": 40, "knee": 44}}, [("odd_shape", "M", "thigh")]),
            ("trousers", {"M": {"waist": 104, "hip": 100}}, [("odd_shape", "M", "hip")]),
        ],
    )
    def test_what_is_taken_all_the_same(self, category: Any, sizes: dict[str, Any], expected: list[Any]) -> None:
        chart = check_chart(category, "cm", "garment", sizes)
        assert [(one.code, one.size, one.measure) for one in chart_warnings(category, chart)] == expected


class TestRefusedChart:
    @pytest.mark.parametrize(
        ("sizes", "expected"),
        [
            ({}, [("chart_empty", None, None)]),
            ({"S": {}}, [("row_empty", "S", None)]),
            ({"S": "96"}, [("row_empty", "S", None)]),
            ({"S": {"bust": 96}}, [("unknown_measure", "S", "bust")]),
            ({"S": {"chest": "96"}}, [("not_a_number", "S", "chest")]),
            ({"S": {"chest": True}}, [("not_a_number", "S", "chest")]),
            ({"S": {"chest": None}}, [("not_a_number", "S", "chest")]),
            ({"S": {"chest": math.nan}}, [("not_a_number", "S", "chest")]),
            ({"S": {"chest": math.inf}}, [("not_a_number", "S", "chest")]),
            ({"S": {"length": 70}}, [("no_girth", None, None)]),
            ({"S": {"chest": 0}}, [("out_of_range", "S", "chest")]),
            ({"S": {"chest": -96}}, [("out_of_range", "S", "chest")]),
            ({"S": {"chest": 10**400}}, [("not_a_number", "S", "chest")]),
            ({"": {"chest": 96}}, [("bad_size_name", "", None)]),
            ({"S" * 33: {"chest": 96}}, [("bad_size_name", "S" * 33, None)]),
            ({"S": {"chest": 96}, " S ": {"chest": 99}}, [("duplicate_size", " S ", None)]),
            ({"S": {"chest": 96}, "M": {"chest": 92}}, [("not_rising", "M", "chest")]),
            ({"S": {"chest": 96}, "M": {"chest": 96}}, [("not_rising", "M", None)]),
            ({"S": {"chest": 96, "hip": 100}, "M": {"chest": 102}}, [("missing_value", "M", "hip")]),
            (
                {"S": {"chest": 34}, "M": {"chest": "x"}, "L": {"bust": 1}},
                [("not_a_number", "M", "chest"), ("unknown_measure", "L", "bust")],
            ),
            (
                {"S": {"chest": 34}, "M": {"chest": 36}},
                [("out_of_range", "S", "chest"), ("out_of_range", "M", "chest")],
            ),
            ({f"{n}": {"chest": 80 + n} for n in range(31)}, [("too_many_sizes", None, None)]),
        ],
    )
    def test_each_problem_has_its_place(
        self, sizes: dict[str, Any], expected: list[tuple[str, str | None, str | None]]
    ) -> None:
        assert problems(sizes) == expected

    def test_trousers_are_not_judged_by_their_chest(self) -> None:
        assert problems(SIZES, category="trousers")[0][0] == "no_girth"

    @pytest.mark.parametrize(
        ("sizes", "unit", "code"),
        [
            ({"M": {"inseam": 31, "waist": 80}}, "cm", None),
            ({"M": {"chest": 25}}, "cm", "wrong_unit"),
            ({"M": {"chest": 200}}, "in", "wrong_unit"),
            ({"M": {"hip": 58, "waist": 46}}, "cm", "out_of_range"),
            ({"M": {"thigh": 15.5, "hip": 90}}, "cm", "out_of_range"),
            ({"M": {"hem": 11, "chest": 90}}, "cm", "out_of_range"),
            ({"M": {"neck": 13, "chest": 90}}, "cm", "out_of_range"),
            ({"M": {"chest": 15}}, "in", "looks_flat"),
        ],
    )
    def test_the_likely_slip_has_a_code_of_its_own(self, sizes: dict[str, Any], unit: Any, code: str | None) -> None:
        category = "trousers" if "inseam" in sizes["M"] or "thigh" in sizes["M"] else "t-shirt"
        if code is None:
            check_chart(category, unit, "garment", sizes)  # type: ignore[arg-type]
        else:
            assert problems(sizes, unit, category=category)[0][0] == code

    def test_inches_typed_as_centimetres(self) -> None:
        assert "looks like inches" in first_words({"S": {"chest": 34}})

    def test_centimetres_typed_as_inches(self) -> None:
        assert "looks like centimetres" in first_words({"S": {"chest": 96}}, "in")

    def test_half_widths(self) -> None:
        assert "flat" in first_words({"S": {"chest": 48}})

    def test_falling_names_both_cells(self) -> None:
        words = first_words({"S": {"chest": 96}, "M": {"chest": 92}})
        assert "96 (S)" in words
        assert "92 (M)" in words
