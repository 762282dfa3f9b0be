"""`tryon-worker garment` and `tryon-worker dress`: charts and bodies as files in, GLBs and reports as files out."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from gpu_worker.contract import DressParams, GarmentParams, LookParams, SizeReport, SizeRow, Stage
from gpu_worker.garments.brand.garment import BrandRefused
from gpu_worker.garments.garment_job import Dresser, DressRefused
from gpu_worker.tailor import BODY, GARMENT, PREPARED, WORN, Tailor

CHART_FILE = "garment.json"
CM_PER = {"cm": 1.0, "in": 2.54}
LENGTHS = frozenset({"length", "sleeve", "shoulder", "inseam", "rise"})
"""Not girths: measured flat they are whole all the same."""
COMPARED = {
    "chest": "chest_cm",
    "waist": "waist_natural_cm",
    "hip": "hip_cm",
    "thigh": "thigh_cm",
    "upper_arm": "upper_arm_cm",
}
"""Chart's girth → the body's."""
AT_NAVEL = frozenset({"trousers", "shorts"})
"""Their waistband is compared with the waist at the navel."""

Say = Callable[[str], None]
T = TypeVar("T")


class GarmentRefused(Exception):
    """The chart, the files or the body cannot be used; the text says why."""


class SizeChart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """As the API takes it: sizes from small to large, measures of the garment; `flat` girths are half widths."""

    unit: str
    measures: str
    sizes: dict[str, dict[str, float]]
    flat: bool = False


class ChartFile(msgspec.Struct, frozen=True):
    """The part of a garment, as it is sent to `POST /v1/garments`, that a mesh is made of."""

    category: str
    size_chart: SizeChart
    look: LookParams = LookParams()


def make_garment(chart: Path, models: Mapping[str, Path], folder: Path, say: Say) -> dict[str, Any]:
    """Check a garment and show it; returns what is printed. Raises `GarmentRefused`, OSError."""
    params = msgspec.structs.replace(_read_chart(chart), uploads=list(models))
    unknown = set(models) - {row.size for row in params.sizes}
    if unknown:
        raise GarmentRefused(f"the chart has no size {min(unknown)}")
    inputs = {f"size_{place}": _read(path) for place, path in enumerate(models.values())}
    say("loading")
    tailor = Tailor(Dresser())
    made = _refusing(lambda: tailor.run_garment(params, inputs, _said(say)))
    reports: Sequence[SizeReport] = made.garment.sizes if made.garment else []
    meant = [report for report in reports if report.size in models] or reports
    if all(report.reason for report in meant):  # who names files here wants no chart in their place
        raise GarmentRefused(f"{meant[0].reason}: {meant[0].detail}")
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in made.files.items():
        (folder / name).write_bytes(content)
    (folder / CHART_FILE).write_bytes(msgspec.json.encode(params))
    return {
        "category": params.category,
        "sizes": msgspec.to_builtins(reports),
        "files": sorted([*made.files, CHART_FILE]),
        "timings_ms": _rounded(made.timings_ms),
        "out": str(folder),
    }


def make_dressed(body_file: Path, folder: Path, out: Path, say: Say, *, polish: bool) -> dict[str, Any]:
    """Put a garment on a body; writes the GLB, and `fit.json` beside it. Raises `GarmentRefused`, OSError."""
    body = _read(body_file)
    params = _read_params(folder / CHART_FILE)
    inputs = {BODY: body} | ({GARMENT: _read(folder / PREPARED)} if (folder / PREPARED).exists() else {})
    say("loading")
    tailor = Tailor(Dresser())
    wanted = DressParams(params, polish=[row.size for row in params.sizes] if polish else [])
    made = _refusing(lambda: tailor.run_dress(wanted, inputs, _said(say)))
    if made.dress is None:
        raise ValueError("A dress job has a result.")
    fit = {"category": params.category, "sizes": _fit(params, made.dress.sizes, _measured(body))}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(made.files[WORN])
    (out.parent / "fit.json").write_text(json.dumps(fit, indent=1), encoding="utf-8")
    return {
        "base": made.dress.base,
        "polished": made.dress.polished,
        "sizes": msgspec.to_builtins(made.dress.sizes),
        "glb_bytes": len(made.files[WORN]),
        "timings_ms": _rounded(made.timings_ms),
        "out": str(out),
    }


def _read_chart(path: Path) -> GarmentParams:
    """Centimetres and whole girths of the garment; a chart of body measures says nothing of the cloth."""
    try:
        given = msgspec.json.decode(_read(path), type=ChartFile)
    except msgspec.DecodeError as error:
        raise GarmentRefused(f"{path} is no garment: {error}") from error
    chart = given.size_chart
    if chart.unit not in CM_PER:
        raise GarmentRefused(f"the unit of the chart is cm or in, not {chart.unit!r}")
    if chart.measures != "garment":
        raise GarmentRefused("a chart of the garment's own measures is needed (measures: garment)")
    rows = [
        SizeRow(size, {name: _cm(chart, name, value) for name, value in row.items()})
        for size, row in chart.sizes.items()
    ]
    return GarmentParams(given.category, rows, given.look)


def _cm(chart: SizeChart, name: str, value: float) -> float:
    doubled = 2 if chart.flat and name not in LENGTHS else 1
    return round(value * CM_PER[chart.unit] * doubled, 2)


def _read_params(path: Path) -> GarmentParams:
    try:
        return msgspec.json.decode(_read(path), type=GarmentParams)
    except msgspec.DecodeError as error:
        raise GarmentRefused(f"{path} was not written by `tryon-worker garment`: {error}") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise GarmentRefused(f"cannot read {path}: {error.strerror}") from error


def _refusing(work: Callable[[], T]) -> T:
    try:
        return work()
    except (DressRefused, BrandRefused) as refused:
        raise GarmentRefused(f"{refused.code}: {refused}") from refused


def _said(say: Say) -> Callable[[Stage], None]:
    return lambda stage: say(str(stage))


def _measured(body_npz: bytes) -> dict[str, float]:
    """Wire name → cm or kg, of the body itself; empty where the file does not say."""
    with np.load(io.BytesIO(body_npz), allow_pickle=False) as archive:
        if "measurement_names" not in archive.files:
            return {}
        names, values = archive["measurement_names"], archive["measurements"]
        return {str(name): float(value) for name, value in zip(names, values, strict=True)}


def _fit(params: GarmentParams, reports: Sequence[SizeReport], body_cm: Mapping[str, float]) -> list[dict[str, Any]]:
    """Chart less body, in every size and charted girth; nothing of it is read from the mesh."""
    by_size = {report.size: report for report in reports}
    compared = COMPARED | ({"waist": "waist_cm"} if params.category in AT_NAVEL else {})
    return [
        {
            "size": row.size,
            "state": by_size[row.size].state if row.size in by_size else "unavailable",
            "estimated": by_size[row.size].estimated if row.size in by_size else [],
            "regions": [
                {"region": girth, "ease_cm": round(row.garment_cm[girth] - body_cm[name], 1), "source": "chart"}
                for girth, name in compared.items()
                if girth in row.garment_cm and name in body_cm
            ],
        }
        for row in params.sizes
    ]


def _rounded(timings_ms: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 1) for name, value in timings_ms.items()}
