"""What merchants paste: tables as spreadsheets, shops and PDFs give them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.garments.chart_text import read_chart_text

WANTED = {"S": {"chest": 96.0, "length": 68.0}, "M": {"chest": 102.0, "length": 70.0}}


@pytest.mark.parametrize(
    "text",
    [
        "Size\tChest\tLength\nS\t96\t68\nM\t102\t70",
        "Size,Chest,Length\nS,96,68\nM,102,70\n",
        "\ufeffGröße;Brustumfang;Länge\r\nS;96,0;68\r\nM;102;70",
        "Taille;Tour de poitrine (cm);Longueur (cm)\nS;96;68\nM;102;70",
        "サイズ\tバスト\t着丈\nS\t96\t68\nM\t102\t70",
        "cm\tS\tM\nBust\t96\t102\nLength\t68\t70",
        "Size\tChest\tLength\n\nS\t94–98\t68 cm\nM\t100 - 104\t70cm",
    ],
)
def test_a_table_is_read_whichever_way_it_lies(text: str) -> None:
    read = read_chart_text(text)
    assert read.sizes == WANTED
    assert read.unit == "cm"
    assert read.problems == []


def test_the_unit_is_taken_from_the_headings_or_from_what_is_possible() -> None:
    assert read_chart_text("Size\tBust (in)\nS\t36\nM\t38").unit == "in"
    assert read_chart_text("Size\tWaist\nS\t28\nM\t30").unit == "in", "28 cm is nobody's waist"
    assert read_chart_text("Size\tHem\nS\t60\nM\t62").unit is None, (
        "a hem of 60 cm and one of 60 inches are both possible"
    )


def test_what_cannot_be_read_is_named_by_its_cell() -> None:
    read = read_chart_text("Size\tChest\tColour\nS\tabout 96\tred\nM\t102\tblue\nM\t1\t")
    assert [(problem.row, problem.column, problem.code) for problem in read.problems] == [
        (1, 3, "unknown_measure"),
        (2, 2, "not_a_number"),
        (4, 1, "duplicate_size"),
    ]
    assert read.sizes == {"S": {}, "M": {"chest": 102.0}}
    across = read_chart_text("\tS\tM\nChest\tx\t102\nLength\t68\t70")
    assert [(problem.row, problem.column) for problem in across.problems] == [(2, 2)]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "no_table"),
        ("S 96 68", "no_table"),
        ("Size\tColour\nS\tred", "no_measures"),
        ("x" * 20_001, "text_too_long"),
        ("Size\t" + "\t".join(["Chest"] * 40) + "\n" + "\n".join(["S" + "\t1" * 40] * 20), "table_too_large"),
    ],
)
def test_what_is_no_chart_is_refused_in_a_sentence(text: str, code: str) -> None:
    read = read_chart_text(text)
    assert [problem.code for problem in read.problems] == [code]
    assert read.sizes == {}


@given(st.text(max_size=400))
def test_no_text_is_too_strange(text: str) -> None:
    read_chart_text(text)


@given(st.text(alphabet='Sizechest\t,;\n"0123456789-–.', max_size=300))
def test_no_table_is_too_strange(text: str) -> None:
    read_chart_text("Size\tChest\n" + text)
