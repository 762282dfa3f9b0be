"""A file of garments, a line for each garment and size → what each garment is, or what is wrong in which line. Pure."""

import csv
import hashlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from backend.garments.chart_rules import RANGE_CM

MAX_FILE_BYTES = 5_000_000
MAX_LINES = 50_000
NEEDED = ("external_id", "name", "category", "size")
CHART_COLUMNS = ("unit", "measures", "flat")
OTHER_COLUMNS = ("stretch", "waist_at", "shopify_product_id", "colour", "fabric")
REASON = "reason"
"""What an earlier run said of the line; passed over."""
COMMANDS = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet would run a cell that begins so; an apostrophe before it makes it text."""
MAX_PRODUCT_DIGITS = 19
TRUE, FALSE = frozenset({"yes", "true", "1", "y"}), frozenset({"no", "false", "0", "n", ""})
RANGE = re.compile(r"(\d+(?:[.,]\d+)?)\s*[-–—]\s*(\d+(?:[.,]\d+)?)")
NUMBER = re.compile(r"\d+(?:[.,]\d+)?")


class RowProblem(msgspec.Struct, frozen=True):
    """One thing wrong. `line` counts from 1, the header's; `column` is null where the whole line is meant."""

    line: int
    column: str | None
    code: str
    message: str


class GarmentRows(msgspec.Struct, frozen=True):
    """One garment of the file. `lines`: size → its line."""

    external_id: str
    line: int
    lines: dict[str, int]
    body_json: str
    """In the form of `POST /v1/garments`; as text, because Postgres would not keep the order of the sizes."""

    @property
    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = msgspec.json.decode(self.body_json)
        return body


class ReadFile(msgspec.Struct, frozen=True):
    """What can be tried, and what is wrong with the rest; `total` counts both."""

    sha256: str
    garments: list[GarmentRows]
    problems: list[RowProblem]
    total: int


class FileRefused(Exception):
    """Nothing of the file can be read; the text says why."""


def read_garments(content: bytes) -> ReadFile:
    """Raise `FileRefused` for what is no such table; else every garment, or every problem of it."""
    _, lines = read_lines(content)
    columns = [name.strip().lower() for name in lines[0][1]]
    _check_columns(columns)
    groups: dict[str, list[tuple[int, dict[str, str]]]] = {}
    problems: list[RowProblem] = []
    for number, cells in lines[1:]:
        if len(cells) != len(columns):
            problems.append(RowProblem(number, None, "wrong_width", f"{len(cells)} cells, {len(columns)} columns."))
            continue
        row = {column: _plain(cell.strip()) for column, cell in zip(columns, cells, strict=True)}
        if row["external_id"]:
            groups.setdefault(row["external_id"], []).append((number, row))
        else:
            problems.append(RowProblem(number, "external_id", "missing_value", "Every line names its garment."))
    garments, failed = [], len(problems)
    for external_id, rows in groups.items():
        garment, wrong = _garment(external_id, rows)
        problems += wrong
        if garment is None:
            failed += 1
        else:
            garments.append(garment)
    problems.sort(key=lambda one: one.line)
    return ReadFile(hashlib.sha256(content).hexdigest(), garments, problems, len(garments) + failed)


def read_lines(content: bytes) -> tuple[str, list[tuple[int, list[str]]]]:
    """The separator, and every line's cells with its number, the header first. Raises `FileRefused`."""
    if len(content) > MAX_FILE_BYTES:
        raise FileRefused(f"A file has at most {MAX_FILE_BYTES:,} bytes; send it in parts.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileRefused("The file is not UTF-8 text.") from error
    if "\0" in text:
        raise FileRefused("The file holds NUL characters: save it as CSV, in UTF-8.")
    separator = max(",;\t", key=text.partition("\n")[0].count)
    lines = list(_lines(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)))
    if not lines:
        raise FileRefused("The file is empty.")
    return separator, lines


def refused_lines(content: bytes, problems: Sequence[RowProblem]) -> str:
    """All lines of every garment that was refused, the reason beside those it is about: to be mended and sent again."""
    separator, lines = read_lines(content)
    columns = [name.strip().lower() for name in lines[0][1]]
    reasons: dict[int, list[str]] = {}
    for problem in problems:
        reasons.setdefault(problem.line, []).append(problem.message)
    names = {number: _name(columns, cells) for number, cells in lines[1:]}
    refused = {names[number] for number in reasons if names.get(number)}
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator, lineterminator="\n")
    writer.writerow([*(name for name in lines[0][1] if name.strip().lower() != REASON), REASON])
    for number, cells in lines[1:]:
        if number in reasons or names[number] in refused:
            kept = [cell for place, cell in enumerate(cells) if columns[place : place + 1] != [REASON]]
            writer.writerow(map(_harmless, [*kept, " ".join(reasons.get(number, []))]))
    return out.getvalue()


def _name(columns: list[str], cells: list[str]) -> str:
    """Of the garment that a line is of; a line of another width says nothing."""
    return cells[columns.index("external_id")].strip() if len(cells) == len(columns) else ""


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.lstrip(" ").startswith(COMMANDS) else cell


def _plain(cell: str) -> str:
    """Without the apostrophe that `_harmless` put before it."""
    return cell[1:] if cell.startswith("'") and cell[1:].lstrip(" ").startswith(COMMANDS) else cell


def _lines(table: Any) -> Iterator[tuple[int, list[str]]]:
    """With the number of the line each begins in; blank ones are passed over."""
    start = 1
    while True:
        try:
            cells = next(table)
        except StopIteration:
            return
        except csv.Error as error:
            raise FileRefused(f"Line {start} cannot be read: {error}.") from error
        if any(cell.strip() for cell in cells):
            yield start, cells
        start = table.line_num + 1
        if start > MAX_LINES + 1:
            raise FileRefused(f"A file has at most {MAX_LINES:,} lines; send it in parts.")


def _check_columns(columns: list[str]) -> None:
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        raise FileRefused(f"The first line must name the columns; {', '.join(missing)} is missing.")
    known = {*NEEDED, *CHART_COLUMNS, *OTHER_COLUMNS, *RANGE_CM}
    strange = [name for name in columns if name not in known and name != REASON]
    if strange:
        raise FileRefused(f"There is no column {strange[0]!r}. Known: {', '.join(sorted(known))}.")
    if len(set(columns)) != len(columns):
        raise FileRefused("A column stands there twice.")


def _garment(external_id: str, rows: list[tuple[int, dict[str, str]]]) -> tuple[GarmentRows | None, list[RowProblem]]:
    first_line, first = rows[0]
    problems = list(_contradictions(rows))
    sizes: dict[str, dict[str, float]] = {}
    lines: dict[str, int] = {}
    for number, row in rows:
        size = row["size"]
        if not size or size in sizes:
            code, said = ("missing_value", "The size is missing.") if not size else ("duplicate_size", f"{size} again.")
            problems.append(RowProblem(number, "size", code, said))
            continue
        lines[size] = number
        sizes[size] = {}
        for measure in (column for column in row if column in RANGE_CM and row[column]):
            value = _number(row[measure], is_body=first.get("measures", "") == "body")
            if value is None:
                said = f"{row[measure][:40]!r} is not a number."
                problems.append(RowProblem(number, measure, "not_a_number", said))
            else:
                sizes[size][measure] = value
    body = _body(external_id, first_line, first, sizes, problems)
    if problems:
        return None, problems
    return GarmentRows(external_id, first_line, lines, msgspec.json.encode(body).decode()), []


def _contradictions(rows: list[tuple[int, dict[str, str]]]) -> Iterator[RowProblem]:
    """What is said of the garment is the same in all its lines, or left out after the first."""
    first = rows[0][1]
    for number, row in rows[1:]:
        for column in ("name", "category", *CHART_COLUMNS, *OTHER_COLUMNS):
            if row.get(column) and row[column] != first.get(column):
                said = f"{row[column][:40]!r} here, {first[column][:40]!r} in line {rows[0][0]}."
                yield RowProblem(number, column, "contradiction", said)


def _body(
    external_id: str,
    line: int,
    row: Mapping[str, str],
    sizes: dict[str, dict[str, float]],
    problems: list[RowProblem],
) -> dict[str, Any]:
    flat = row.get("flat", "").lower()
    if flat not in TRUE | FALSE:
        problems.append(RowProblem(line, "flat", "not_yes_or_no", f"{flat[:40]!r} is neither yes nor no."))
    product = row.get("shopify_product_id", "")
    is_product = product.isdecimal() and len(product) <= MAX_PRODUCT_DIGITS
    if product and not is_product:
        problems.append(RowProblem(line, "shopify_product_id", "not_a_number", f"{product[:40]!r} is not a number."))
    chart: dict[str, Any] = {"measures": row.get("measures") or "garment", "sizes": sizes, "flat": flat in TRUE}
    look = {name: row[name] for name in ("colour", "fabric") if row.get(name)}
    return {
        "external_id": external_id,
        "name": row["name"],
        "category": row["category"],
        "size_chart": chart | ({"unit": row["unit"]} if row.get("unit") else {}),
        "shopify_product_id": int(product) if is_product else None,
        "waist_at": row.get("waist_at") or None,
        "fabric": {"stretch": row["stretch"]} if row.get("stretch") else None,
        **({"look": look} if look else {}),
    }


def _number(text: str, *, is_body: bool) -> float | None:
    """Decimal commas are read; a range (86-90) means its middle, in a chart of body measures alone."""
    found = RANGE.fullmatch(text)
    if found and is_body:
        low, high = (float(part.replace(",", ".")) for part in found.groups())
        return (low + high) / 2
    return float(text.replace(",", ".")) if NUMBER.fullmatch(text) else None
