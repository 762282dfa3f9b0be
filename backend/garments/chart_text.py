"""A size chart pasted from a spreadsheet → sizes and measures, with every cell that could not be read. Pure.

Tabs, commas or semicolons; sizes down or across; decimal commas; "86–90" is its middle; a heading's unit ("Bust (in)").
What the text does not say (garment or body measures, and the unit where both fit) is asked for, never guessed silently.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Sequence

import msgspec

from backend.garments.chart_rules import CM_PER_INCH, RANGE_CM, Unit

MAX_TEXT = 20_000
MAX_CELLS = 800
MEASURE_WORDS: dict[str, str] = {
    "chest": "chest|bust|brust|brustumfang|poitrine|tour de poitrine|pecho|busto|petto|torace|胸囲|バスト",
    "waist": "waist|taille|taillenumfang|bund|tour de taille|cintura|vita|girovita|ウエスト|胴囲",
    "hip": "hip|hips|hüfte|hüftumfang|gesäß|hanche|hanches|bassin|cadera|fianchi|ヒップ",
    "thigh": "thigh|oberschenkel|cuisse|muslo|coscia|もも|わたり",
    "upper_arm": "upper arm|bicep|biceps|oberarm|bras|brazo|braccio",
    "length": "length|länge|gesamtlänge|longueur|largo|longitud|lunghezza|着丈|総丈",
    "sleeve": "sleeve|sleeve length|ärmel|ärmellänge|manche|longueur de manche|manga|manica|袖丈",
    "shoulder": "shoulder|shoulder width|schulter|schulterbreite|épaule|épaules|hombro|spalla|spalle|肩幅",
    "inseam": "inseam|inside leg|innenbein|schrittlänge|entrejambe|entrepierna|cavallo|股下",
    "rise": "rise|front rise|leibhöhe|montant|tiro|股上",
    "hem": "hem|saum|saumweite|ourlet|bajo|orlo|裾幅",
    "neck": "neck|neckline|hals|halsumfang|cou|cuello|collo|首回り",
    "cuff": "cuff|bündchen|poignet|puño|polsino",
    "knee": "knee|knie|genou|rodilla|ginocchio",
}
"""Names in the six languages, between bars; compared without case and accents."""
UNIT_WORDS: dict[Unit, str] = {"cm": "cm|centimetres|centimeters", "in": 'in|inch|inches|"|″|zoll|pouces'}
_NUMBER = r"\d{1,3}(?:[.,]\d{1,2})?"
_VALUE = re.compile(rf"({_NUMBER})(?:\s*(?:-|–|—|~|to|bis|à|a)\s*({_NUMBER}))?")


class CellProblem(msgspec.Struct, frozen=True):
    """`row` and `column` count from 1 as in the pasted text."""

    row: int
    column: int
    code: str
    detail: str


class ReadChart(msgspec.Struct, frozen=True):
    """`unit` None: both would fit, or neither; the merchant says which."""

    sizes: dict[str, dict[str, float]]
    unit: Unit | None
    problems: list[CellProblem]


def read_chart_text(text: str) -> ReadChart:
    if len(text) > MAX_TEXT:
        return _refused("text_too_long", f"At most {MAX_TEXT} characters are read.")
    rows = _cells(text)
    if len(rows) < 2 or max(map(len, rows)) < 2:
        return _refused("no_table", "Copy the whole table: a row of headings, and one row for each size.")
    if sum(map(len, rows)) > MAX_CELLS:
        return _refused("table_too_large", f"At most {MAX_CELLS} cells are read.")
    is_across = _is_across(rows)
    table = [list(column) for column in _transposed(rows)] if is_across else rows
    columns, problems, units = _headings(table[0], is_across=is_across)
    if not columns:
        return _refused("no_measures", "None of the headings is a measure we know, such as chest, waist or length.")
    sizes: dict[str, dict[str, float]] = {}
    for at, row in enumerate(table[1:], start=2):
        name = row[0].strip()
        if not name:
            continue
        if name in sizes:
            problems.append(_problem(at, 1, "duplicate_size", f"Size {name} stands there twice.", is_across))
            continue
        sizes[name] = _row(row, at, columns, problems, is_across=is_across)
    unit = units.pop() if len(units) == 1 else _unit_of(sizes)
    return ReadChart(sizes, unit, problems)


def _cells(text: str) -> list[list[str]]:
    lines = [line for line in text.lstrip("\ufeff").splitlines() if line.strip()]
    if not lines:
        return []
    delimiter = next((mark for mark in "\t;" if mark in lines[0]), ",")
    rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO("\n".join(lines)), delimiter=delimiter)]
    width = max(map(len, rows))
    return [row + [""] * (width - len(row)) for row in rows]


def _is_across(rows: Sequence[Sequence[str]]) -> bool:
    """Measures in the first column instead of the first row."""
    down = sum(_measure_of(cell)[0] is not None for cell in rows[0][1:])
    across = sum(_measure_of(row[0])[0] is not None for row in rows[1:])
    return across > down


def _transposed(rows: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    return list(zip(*rows, strict=True))


def _headings(heads: Sequence[str], *, is_across: bool) -> tuple[dict[int, str], list[CellProblem], set[Unit]]:
    columns: dict[int, str] = {}
    problems: list[CellProblem] = []
    units: set[Unit] = set()
    for at, head in enumerate(heads[1:], start=1):
        measure, unit = _measure_of(head)
        if measure is None:
            if head:
                text = f"“{head[:40]}” is no measure we know; the column was left out."
                problems.append(_problem(1, at + 1, "unknown_measure", text, is_across))
        elif measure in columns.values():
            problems.append(_problem(1, at + 1, "duplicate_measure", f"{measure} stands there twice.", is_across))
        else:
            columns[at] = measure
        units |= {unit} if unit else set()
    corner = _measure_of(heads[0])[1]
    return columns, problems, units | ({corner} if corner else set())


def _row(
    row: Sequence[str], at: int, columns: dict[int, str], problems: list[CellProblem], *, is_across: bool
) -> dict[str, float]:
    values = {}
    for column, measure in columns.items():
        cell = row[column]
        if cell in {"", "-", "–", "/"}:
            continue
        found = _VALUE.fullmatch(_bare(cell))
        if found is None:
            text = f"“{cell[:40]}” is no number."
            problems.append(_problem(at, column + 1, "not_a_number", text, is_across))
            continue
        ends = [float(part.replace(",", ".")) for part in found.groups() if part]
        values[measure] = sum(ends) / len(ends)
    return values


def _bare(cell: str) -> str:
    """Without a unit behind the number."""
    return re.sub(r"\s*(cm|in|inch|inches|zoll|\"|″)\.?$", "", cell.strip(), flags=re.IGNORECASE)


def _measure_of(head: str) -> tuple[str | None, Unit | None]:
    """The measure a heading names, and the unit in brackets or behind it."""
    words = re.split(r"[\s()\[\]/,]+", _folded(head))
    unit = next((_UNITS[word] for word in words if word in _UNITS), None)
    return _MEASURES.get(" ".join(word for word in words if word and word not in _UNITS)), unit


def _unit_of(sizes: dict[str, dict[str, float]]) -> Unit | None:
    """The one unit in which every value is possible."""
    values = [(RANGE_CM[measure], value) for row in sizes.values() for measure, value in row.items()]
    units: tuple[tuple[Unit, float], ...] = (("cm", 1.0), ("in", CM_PER_INCH))
    fitting = [unit for unit, factor in units if all(low <= value * factor <= high for (low, high), value in values)]
    return fitting[0] if values and len(fitting) == 1 else None


def _folded(text: str) -> str:
    wide = unicodedata.normalize("NFKD", text.casefold().strip())
    return unicodedata.normalize("NFKC", "".join(letter for letter in wide if not "\u0300" <= letter <= "\u036f"))


_MEASURES = {_folded(name): measure for measure, names in MEASURE_WORDS.items() for name in names.split("|")}
_UNITS: dict[str, Unit] = {_folded(name): unit for unit, names in UNIT_WORDS.items() for name in names.split("|")}


def _problem(row: int, column: int, code: str, detail: str, is_across: bool) -> CellProblem:
    """Where it stands in the text as pasted."""
    return CellProblem(column, row, code, detail) if is_across else CellProblem(row, column, code, detail)


def _refused(code: str, detail: str) -> ReadChart:
    return ReadChart({}, None, [CellProblem(1, 1, code, detail)])
