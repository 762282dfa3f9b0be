import pytest

from backend.shopify.chart_metafields import suggest_chart
from backend.shopify.size_options import Attention, Option, common_sizes, compare, find_size_option

COLOURS = Option("Farbe", ("Rot", "Blau"))


@pytest.mark.parametrize(
    "name", ["Size", "SIZES", "Taille", "Größe", "GRÖSSE", "Groesse", "Talla", "Tamaño", "Taglia", "Misura", "サイズ"]
)
def test_found_by_its_name_in_each_language(name: str) -> None:
    assert find_size_option([COLOURS, Option(name, ("eins", "zwei"))]) == name


@pytest.mark.parametrize(
    "values", [("XS", "S", "M"), ("3XL", "4XL"), ("S/M", "L/XL"), ("36", "38", "40"), ("EU 38", "EU 40")]
)
def test_found_by_its_values(values: tuple[str, ...]) -> None:
    assert find_size_option([COLOURS, Option("Modell", values)]) == "Modell"


@pytest.mark.parametrize(
    "options",
    [
        [],
        [COLOURS],
        [Option("Oben", ("S", "M")), Option("Unten", ("S", "M"))],
        [Option("Size", ("S", "M")), Option("Taille", ("S", "M"))],
        [Option("Modell", ("S",))],
        [Option("Modell", ("S", "Rot", "Blau"))],
    ],
)
def test_doubt_is_the_merchants_to_settle(options: list[Option]) -> None:
    assert find_size_option(options) is None


def test_what_does_not_fit_together_is_named() -> None:
    assert compare("Size", ["s", "M", "XL"], ["S", "M", "L"]) == [
        Attention("chart_size_without_option", ("L",)),
        Attention("option_without_chart_size", ("XL",)),
    ]
    assert compare("Size", ["S", "M"], ["S", "M"]) == []
    assert compare(None, [], ["S"]) == [Attention("size_option_unknown")]


def test_common_sizes_keep_the_charts_order_and_words() -> None:
    assert common_sizes(["xl", "s ", "Ｍ"], ["S", "M", "L", "XL"]) == ["S", "M", "XL"]


@pytest.mark.parametrize(
    ("kind", "value", "sizes"),
    [
        ("json", '{"unit": "in", "measures": "garment", "sizes": {"S": {"chest": 38}}}', {"S": {"chest": 38.0}}),
        ("json", '[{"size": "S", "bust": "90-94", "colour": "red"}]', {"S": {"chest": 92.0}}),
        ("json", '[["Taille", "Poitrine"], ["S", "90,5"]]', {"S": {"chest": 90.5}}),
        ("multi_line_text_field", "Größe;Brust (cm);Länge\nS;96;68\nM;102;70", {"S": {"chest": 96, "length": 68},
                                                                              "M": {"chest": 102, "length": 70}}),
    ],
)  # fmt: skip
def test_chart_in_a_metafield_is_suggested(kind: str, value: str, sizes: dict[str, dict[str, float]]) -> None:
    chart = suggest_chart([{"namespace": "custom", "key": "size_chart", "type": kind, "value": value}])
    assert chart is not None
    assert chart["sizes"] == sizes


@pytest.mark.parametrize(
    "field",
    [
        {"namespace": "custom", "key": "care", "type": "json", "value": '{"sizes": {"S": {"chest": 90}}}'},
        {"namespace": "custom", "key": "size_chart", "type": "json", "value": "{"},
        {"namespace": "custom", "key": "size_chart", "type": "json", "value": "[" * 5000},
        {"namespace": "custom", "key": "size_chart", "type": "json", "value": '{"sizes": {"S": 3}}'},
        {
            "namespace": "custom",
            "key": "size_chart",
            "type": "metaobject_reference",
            "value": "gid://shopify/Metaobject/1",
        },
        {"namespace": "custom", "key": "size_chart", "type": "multi_line_text_field", "value": "Ask us."},
    ],
)
def test_anything_else_is_no_chart(field: dict[str, str]) -> None:
    assert suggest_chart([field]) is None
