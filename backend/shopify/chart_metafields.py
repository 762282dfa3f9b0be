"""Size charts that a shop keeps in metafields of its products → a suggestion for the merchant to accept. Pure.

Read: our own form, a list of rows, and a table as text. Metaobjects are not: they take a scope that nothing else needs.
"""

import csv
import json
import math
import re
from collections.abc import Iterable
from io import StringIO
from typing import Any

from backend.garments.chart_rules import MAX_MEASURES, MAX_SIZES, RANGE_CM
from backend.shopify.size_options import NAMES, fold

_KEY = re.compile(r"size.?(chart|guide|table)|gr(o|oe|ö)(ss|ß)en.?tabelle|guide.?(des.?)?tailles|tabla.?tallas|taglie")
MAX_TEXT = 50_000
MEASURES: dict[str, str] = {
    "bust": "chest", "poitrine": "chest", "brust": "chest", "pecho": "chest", "petto": "chest", "胸囲": "chest",
    "taille": "waist", "taillenweite": "waist", "cintura": "waist", "vita": "waist", "ウエスト": "waist",
    "hips": "hip", "hanches": "hip", "hufte": "hip", "huefte": "hip", "cadera": "hip", "fianchi": "hip",
    "ヒップ": "hip", "longueur": "length", "lange": "length", "laenge": "length", "largo": "length",
    "lunghezza": "length", "着丈": "length",
    "manche": "sleeve", "armel": "sleeve", "manga": "sleeve", "manica": "sleeve", "袖丈": "sleeve",
    "epaules": "shoulder", "schulter": "shoulder", "hombros": "shoulder", "spalle": "shoulder", "肩幅": "shoulder",
    "entrejambe": "inseam", "schrittlange": "inseam", "entrepierna": "inseam", "cavallo": "inseam", "股下": "inseam",
}  # fmt: skip
"""Words of shops, folded → columns of a chart; a chart's own names need no entry."""
_UNIT = re.compile(r"\b(cm|in|inch|inches)\b|″")


def suggest_chart(metafields: Iterable[dict[str, Any]]) -> dict[str, object] | None:
    """The first readable one; `{"unit", "measures", "sizes"}`, not yet checked against a category."""
    for field in metafields:
        if _KEY.search(fold(f"{field.get('namespace')} {field.get('key')}")):
            chart = _read(str(field.get("type") or ""), str(field.get("value") or "")[:MAX_TEXT])
            if chart is not None:
                return chart
    return None


def _read(kind: str, value: str) -> dict[str, object] | None:
    if kind != "json":
        return _from_table([row for row in csv.reader(StringIO(value), delimiter=_delimiter(value)) if row], value)
    try:
        decoded = json.loads(value)
    except (ValueError, RecursionError):
        return None
    if isinstance(decoded, dict) and isinstance(decoded.get("sizes"), dict):
        return _from_sizes(decoded["sizes"], decoded.get("unit"), decoded.get("measures"), value)
    if isinstance(decoded, list) and decoded and all(isinstance(row, dict) for row in decoded):
        header = list(decoded[0])
        return _from_table([header, *([str(row.get(name, "")) for name in header] for row in decoded)], value)
    if isinstance(decoded, list) and all(isinstance(row, list) for row in decoded):
        return _from_table([[str(cell) for cell in row] for row in decoded], value)
    return None


def _delimiter(text: str) -> str:
    first = text.partition("\n")[0]
    return max(("\t", ";", ",", "|"), key=first.count)


def _from_table(rows: list[list[str]], text: str) -> dict[str, object] | None:
    """A header, then one row for each size."""
    if not 2 <= len(rows) <= MAX_SIZES + 1:
        return None
    header = [_measure(cell) for cell in rows[0]]
    names = [position for position, cell in enumerate(rows[0]) if fold(cell).split("-")[0] in NAMES]
    at = names[0] if names else 0
    sizes = {
        row[at].strip(): {
            measure: cell for measure, cell in zip(header, row, strict=False) if measure is not None and cell.strip()
        }
        for row in rows[1:]
        if len(row) > at and row[at].strip()
    }
    return _from_sizes(sizes, None, None, text)


def _from_sizes(sizes: dict[str, Any], unit: Any, measures: Any, text: str) -> dict[str, object] | None:
    read: dict[str, dict[str, float]] = {}
    for size, row in sizes.items():
        if not isinstance(row, dict) or len(row) > MAX_MEASURES:
            return None
        values = {_measure(str(name)): _number(value) for name, value in row.items()}
        read[str(size)] = {name: value for name, value in values.items() if name is not None and value is not None}
    if not read or not all(read.values()):
        return None
    found = _UNIT.search(text.casefold())
    spoken = "in" if found and found.group(0) != "cm" else "cm"
    return {
        "unit": unit if unit in {"cm", "in"} else spoken,
        "measures": measures if measures in {"garment", "body"} else "body",
        "sizes": read,
    }


def _measure(word: str) -> str | None:
    """`Chest (cm)` → chest; None for a column that is no measure."""
    first = re.split(r"[(\[:]", fold(word))[0].strip("-")
    for candidate in (first, first.partition("-")[0]):
        name = MEASURES.get(candidate, candidate.replace("-", "_"))
        if name in RANGE_CM:
            return name
    return None


def _number(value: Any) -> float | None:
    """Ranges such as `86-90` are their middle, as shops mean them."""
    if isinstance(value, bool):
        return None
    parts = re.findall(r"\d+(?:[.,]\d+)?", str(value))
    numbers = [float(part.replace(",", ".")) for part in parts[:2]]
    middle = sum(numbers) / len(numbers) if numbers else math.nan
    return middle if math.isfinite(middle) else None
