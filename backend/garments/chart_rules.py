"""A size chart as brands write it → centimetres, or every row and column that is wrong. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

from backend.garments.categories import GIRTHS, JUDGED, Category

Unit = Literal["cm", "in"]
Measures = Literal["garment", "body"]

CM_PER_INCH = 2.54
MOST = 1e6
"""No measure in any unit; a whole number in JSON may be too large even for a float."""
MAX_SIZES = 30
MAX_MEASURES = 20
MAX_SIZE_NAME = 32
"""What an event may carry as the name of a size."""

RANGE_CM: dict[str, tuple[float, float]] = {
    "chest": (60, 220),
    "waist": (45, 220),
    "hip": (60, 230),
    "thigh": (30, 130),
    "upper_arm": (16, 90),
    "hem": (20, 500),
    "knee": (20, 110),
    "rib_hem": (40, 220),
    "neck": (25, 80),
    "length": (15, 190),
    "sleeve": (5, 110),
    "sleeve_open": (10, 90),
    "cuff": (10, 60),
    "shoulder": (25, 90),
    "inseam": (3, 120),
    "rise": (10, 60),
}
"""What no adult's garment leaves; beyond it the unit is wrong, or half a girth was given. Guess."""

UNITS: tuple[Unit, ...] = ("cm", "in")
MAX_STEP_CM = 12.0
"""Between neighbouring sizes; usual grading is 2 to 8."""

ODD_IF_SMALLER: dict[Category, tuple[tuple[str, str], ...]] = {
    "skirt": (("hem", "hip"), ("hip", "waist")),
    "dress": (("hem", "hip"), ("hip", "waist")),
    "trousers": (("thigh", "knee"), ("knee", "hem"), ("hip", "waist"), ("hip", "thigh")),
    "shorts": (("hip", "waist"), ("hip", "thigh")),
}

LENGTHS = frozenset({"length", "sleeve", "shoulder", "inseam", "rise"})
FLAT_DOUBLES = frozenset(RANGE_CM) - LENGTHS
"""Girths: measured on a garment laid flat they are half widths."""


class ChartProblem(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing wrong, by row (`size`) and column (`measure`)."""

    code: str
    detail: str
    size: str | None = None
    measure: str | None = None


class ChartRefused(Exception):
    """Every problem of the chart, not only the first."""

    def __init__(self, problems: list[ChartProblem]) -> None:
        super().__init__(problems[0].detail)
        self.problems = problems


class SizeRow(msgspec.Struct, frozen=True):
    """One size; `values` in the brand's own unit, as given."""

    size: str
    values: dict[str, float]


class Chart(msgspec.Struct, frozen=True):
    """A checked chart. Rows keep the order given; a list, because JSON objects lose theirs in Postgres."""

    unit: Unit
    measures: Measures
    is_flat: bool
    rows: list[SizeRow]
    is_unit_taken: bool = False
    """The brand did not say the unit; only this one fits the values."""

    def value_cm(self, row: SizeRow, measure: str) -> float:
        doubled = 2 if self.is_flat and measure in FLAT_DOUBLES else 1
        return row.values[measure] * (CM_PER_INCH if self.unit == "in" else 1) * doubled

    def lengths_cm(self) -> dict[str, dict[str, float]]:
        """Size → length → cm."""
        return {
            row.size: {measure: self.value_cm(row, measure) for measure in row.values if measure in LENGTHS}
            for row in self.rows
        }

    def girths_cm(self) -> dict[str, dict[str, float]]:
        """Size → girth → cm, for what a body can be compared on."""
        return {
            row.size: {measure: self.value_cm(row, measure) for measure in row.values if measure in GIRTHS}
            for row in self.rows
        }


def check_chart(
    category: Category, unit: Unit | None, measures: Measures, sizes: Mapping[str, Any], *, is_flat: bool = False
) -> Chart:
    """Raise `ChartRefused` with all that is wrong; else the chart, rows in the order given.

    A unit that was not said is taken from the values where only one can be meant.
    """
    problems = list(_shape_problems(sizes))
    if problems:
        raise ChartRefused(problems)
    rows = [SizeRow(size.strip(), {name: float(value) for name, value in row.items()}) for size, row in sizes.items()]
    chart = Chart(unit or _meant_unit(measures, rows, is_flat), measures, is_flat, rows, is_unit_taken=unit is None)
    problems = [*_column_problems(category, chart), *_range_problems(chart), *_order_problems(chart)]
    if problems:
        raise ChartRefused(problems)
    return chart


def _meant_unit(measures: Measures, rows: list[SizeRow], is_flat: bool) -> Unit:
    fitting: list[Unit] = [unit for unit in UNITS if not any(_range_problems(Chart(unit, measures, is_flat, rows)))]
    if len(fitting) == 1:
        return fitting[0]
    why = "the values fit both" if fitting else "the values fit neither"
    raise ChartRefused([ChartProblem("unit_unclear", f"Say the unit, cm or in: {why}.")])


def chart_warnings(category: Category, chart: Chart) -> list[ChartProblem]:
    """What is taken as it stands, and may be a slip all the same."""
    taken = [ChartProblem("unit_taken", f"No unit was given; the values can only be {chart.unit}.")]
    return [*(taken if chart.is_unit_taken else []), *_jumps(chart), *_odd_shapes(category, chart)]


def _jumps(chart: Chart) -> Iterator[ChartProblem]:
    for before, after in zip(chart.rows, chart.rows[1:], strict=False):
        for measure in GIRTHS:
            if measure in before.values and measure in after.values:
                step_cm = chart.value_cm(after, measure) - chart.value_cm(before, measure)
                if step_cm > MAX_STEP_CM:
                    detail = f"{measure} grows by {step_cm:.0f} cm from {before.size} to {after.size}."
                    yield ChartProblem("large_step", detail, after.size, measure)


def _odd_shapes(category: Category, chart: Chart) -> Iterator[ChartProblem]:
    """Pairs of which the second is not worn smaller: built as stated."""
    for larger, smaller in ODD_IF_SMALLER.get(category, ()):
        for row in chart.rows:
            if larger in row.values and smaller in row.values:
                given = chart.value_cm(row, larger), chart.value_cm(row, smaller)
                if given[0] < given[1]:
                    detail = (
                        f"{larger} {given[0]:.0f} cm of size {row.size} is less than its {smaller}, {given[1]:.0f} cm."
                    )
                    yield ChartProblem("odd_shape", detail, row.size, larger)


def _shape_problems(sizes: Mapping[str, Any]) -> Iterator[ChartProblem]:
    """Before any number is compared: names, cells, limits."""
    if not sizes:
        yield ChartProblem("chart_empty", "The chart has no sizes.")
    if len(sizes) > MAX_SIZES:
        yield ChartProblem("too_many_sizes", f"The chart has {len(sizes)} sizes; at most {MAX_SIZES} are taken.")
        return
    seen: set[str] = set()
    for size, row in sizes.items():
        name = size.strip()
        if not 0 < len(name) <= MAX_SIZE_NAME or not name.isprintable():
            yield ChartProblem("bad_size_name", f"A size is named by 1 to {MAX_SIZE_NAME} printable characters.", size)
        if name in seen:
            yield ChartProblem("duplicate_size", f"Size {name} stands in the chart twice.", size)
        seen.add(name)
        yield from _row_problems(size, row)


def _row_problems(size: str, row: Any) -> Iterator[ChartProblem]:
    if not isinstance(row, Mapping) or not row:
        yield ChartProblem("row_empty", f"Size {size} has no measures.", size)
        return
    if len(row) > MAX_MEASURES:
        yield ChartProblem("too_many_measures", f"Size {size} has more than {MAX_MEASURES} measures.", size)
        return
    for measure, value in row.items():
        if measure not in RANGE_CM:
            known = ", ".join(RANGE_CM)
            yield ChartProblem("unknown_measure", f"{measure!r} is not one of {known}.", size, measure)
        elif isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < MOST:
            yield ChartProblem("not_a_number", f"{measure} of size {size} is not a number.", size, measure)


def _column_problems(category: Category, chart: Chart) -> Iterator[ChartProblem]:
    columns = dict.fromkeys(measure for row in chart.rows for measure in row.values)
    if not set(columns) & set(JUDGED[category]):
        needed = ", ".join(JUDGED[category])
        yield ChartProblem("no_girth", f"A {category} needs at least one of {needed}.")
    for row in chart.rows:
        for measure in columns:
            if measure not in row.values:
                detail = f"Size {row.size} has no {measure}, other sizes do."
                yield ChartProblem("missing_value", detail, row.size, measure)


def _range_problems(chart: Chart) -> Iterator[ChartProblem]:
    for row in chart.rows:
        for measure, value in row.values.items():
            low, high = RANGE_CM[measure]
            if not low <= chart.value_cm(row, measure) <= high:
                code, said = _likely_mistake(chart, row, measure)
                yield ChartProblem(
                    code, f"{measure} {value:g} {chart.unit} of size {row.size} {said}.", row.size, measure
                )


def _likely_mistake(chart: Chart, row: SizeRow, measure: str) -> tuple[str, str]:
    """Code and words; one code where one slip alone explains the value."""
    low, high = RANGE_CM[measure]
    value_cm = chart.value_cm(row, measure)
    guesses = []
    if chart.unit == "cm" and low <= value_cm * CM_PER_INCH <= high:
        guesses.append(("wrong_unit", "looks like inches"))
    if chart.unit == "in" and low <= value_cm / CM_PER_INCH <= high:
        guesses.append(("wrong_unit", "looks like centimetres"))
    if not chart.is_flat and measure in FLAT_DOUBLES and low <= value_cm * 2 <= high:
        guesses.append(("looks_flat", "may be half of the girth, measured flat (say `flat: true`)"))
    if not guesses:
        return "out_of_range", f"is outside {low:g} to {high:g} cm"
    return guesses[0][0] if len(guesses) == 1 else "out_of_range", ", or ".join(words for _, words in guesses)


def _order_problems(chart: Chart) -> Iterator[ChartProblem]:
    """Girths rise from row to row; equal neighbours are allowed, a whole chart of equal rows is not."""
    for before, after in zip(chart.rows, chart.rows[1:], strict=False):
        shared = [measure for measure in GIRTHS if measure in before.values and measure in after.values]
        for measure in shared:
            if after.values[measure] < before.values[measure]:
                detail = (
                    f"{measure} falls from {before.values[measure]:g} ({before.size})"
                    f" to {after.values[measure]:g} ({after.size}); sizes go from small to large."
                )
                yield ChartProblem("not_rising", detail, after.size, measure)
        if shared and all(after.values[measure] == before.values[measure] for measure in shared):
            detail = f"{before.size} and {after.size} have the same girths."
            yield ChartProblem("not_rising", detail, after.size)
