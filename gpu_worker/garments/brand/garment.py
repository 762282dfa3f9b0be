"""Brand garments: prepared once from the uploaded GLBs, then put on any body, every size at its true measures.

This module is the package's door. What a brand's file can be refused for stands in `refused`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gpu_worker.garments.brand.encode import encode_sizes
from gpu_worker.garments.brand.grade import Levels
from gpu_worker.garments.brand.prepared import PreparedGarment, PreparedSize
from gpu_worker.garments.brand.preview import garment_on
from gpu_worker.garments.brand.reference import Build, References
from gpu_worker.garments.brand.refused import BrandRefused, NoFileUsable
from gpu_worker.garments.brand.source import Prepared, prepare_source
from gpu_worker.garments.brand.transfer import transferred
from gpu_worker.garments.brand.tubes import anchor_of, frames_of
from gpu_worker.garments.brand.worn import BrandDressed, BrandWorn, put_on
from gpu_worker.garments.chart import Category, ChartUnusable, SizeRow, complete
from gpu_worker.garments.collide import Sheet
from gpu_worker.garments.dress import DressedBody, Layer, Wardrobe
from gpu_worker.garments.raster import encode_png
from gpu_worker.garments.tables import BodyTables

__all__ = [
    "BrandDressed",
    "BrandRefused",
    "BrandTailor",
    "BrandWorn",
    "NoFileUsable",
    "PreparedGarment",
    "PreparedSize",
]

CHEST_BELOW_ARMPIT_M = 0.045
GIRTH_WARNING_M = 0.03
"""A mesh whose girth differs by more from the chart's is warned of; it is shown as it was made."""


class BrandTailor:
    """Prepares, dresses and encodes; loaded once by a worker."""

    def __init__(self, wardrobe: Wardrobe) -> None:
        self.wardrobe = wardrobe
        self.references = References(wardrobe)

    def prepare(
        self, category: Category, sizes_cm: Mapping[str, Mapping[str, float]], glbs: Mapping[str, bytes]
    ) -> PreparedGarment:
        """Every size with a file from its file, the others of the chart from the nearest. Seconds for each file.

        sizes_cm : size -> measure -> cm of the garment, in the chart's order; may lack sizes
        glbs     : size -> the uploaded file
        Raises `NoFileUsable` when none can be used, `BrandRefused` when there is none.
        """
        rows = _rows(category, sizes_cm)
        made, refused = self._made(category, rows, glbs)
        if not made:
            if refused:
                raise NoFileUsable(refused)
            raise BrandRefused("file", "No size has a file.")
        names = [*sizes_cm, *(size for size in glbs if size not in sizes_cm)]
        states = {size: _state(size, names, rows, made, refused) for size in names}
        return PreparedGarment(
            category,
            states,
            {size: _with_chart(prepared, rows.get(size), category) for size, prepared in made.items()},
            {size: dict(row.metres) for size, row in rows.items()},
            {size: _levels(category, prepared.reference.body.body.tables) for size, prepared in made.items()},
            {size: prepared.source for size, prepared in made.items()},
            self._preview(list(made.values())[len(made) // 2]),
        )

    def _made(
        self, category: Category, rows: Mapping[str, SizeRow], glbs: Mapping[str, bytes]
    ) -> tuple[dict[str, Prepared], dict[str, BrandRefused]]:
        """The middle size first: where it stands is tried first for the others."""
        made: dict[str, Prepared] = {}
        refused: dict[str, BrandRefused] = {}
        order = [size for size in rows if size in glbs]
        order += [size for size in glbs if size not in order]
        build: Build | None = None
        for size in sorted(order, key=lambda name: abs(order.index(name) - len(order) // 2)):
            length_m = rows[size].metres.get("length") if size in rows else None
            if length_m is not None and "length" in rows[size].estimated:
                length_m = None
            try:
                made[size] = prepare_source(category, glbs[size], self.references, length_m=length_m, first=build)
                build = build or made[size].reference.body.build
            except BrandRefused as refusal:
                refused[size] = refusal
        return {size: made[size] for size in order if size in made}, refused

    def _preview(self, prepared: Prepared) -> bytes:
        """The garment as it will be shown: put on its own reference body like on any other."""
        source, reference = prepared.source, prepared.reference.body
        frames = frames_of(prepared.category, reference.body.tables)
        sheet = Sheet.of(source.bound.faces, len(source.bound.points))
        points = transferred(source.bound, reference.body.tables, frames, reference.body.skin, sheet)
        figure = self.references.figures.of(reference.vertices)
        shown = garment_on(figure, source.mesh, source.drawn(points), source.look, source.normals(points))
        return encode_png(shown)

    def dress(
        self,
        body: DressedBody,
        prepared: PreparedGarment,
        sizes: Sequence[str] | None = None,
        beneath: Layer | None = None,
    ) -> BrandDressed:
        """Every size that is available, or those named. Raises `BrandRefused` when none can be put on."""
        return put_on(body, prepared, sizes, beneath)

    def encode(self, body: DressedBody, dressed: BrandDressed, base: str | None = None) -> bytes:
        """The GLB of every size that fits on; the base is the one named, else the middle one."""
        shown = [size for size, worn in dressed.sizes.items() if worn.fits_on]
        first = base if base is not None and base in shown else shown[len(shown) // 2]
        return encode_sizes(dressed, body.tables.floor, base=first)


def _rows(category: Category, sizes_cm: Mapping[str, Mapping[str, float]]) -> dict[str, SizeRow]:
    """The rows from which a size could be graded; others are left out."""
    rows = {}
    for size, row in sizes_cm.items():
        try:
            rows[size] = complete(category, size, row)
        except ChartUnusable:
            continue
    return rows


def _state(
    size: str,
    names: Sequence[str],
    rows: Mapping[str, SizeRow],
    made: Mapping[str, Prepared],
    refused: Mapping[str, BrandRefused],
) -> PreparedSize:
    if size in made:
        return PreparedSize("ok", size)
    if size in refused:
        refusal = refused[size]
        return PreparedSize("unavailable", None, refusal.reason, refusal.code, refusal.field)
    near = [other for other in made if other in rows]
    if size not in rows or not near:
        return PreparedSize("unavailable", None, "The size has no file, and no chart row to grade it from another.")
    nearest = min(near, key=lambda other: abs(names.index(other) - names.index(size)))
    return PreparedSize("graded", nearest, f"graded from {nearest}")


def _levels(category: Category, tables: BodyTables) -> Levels:
    anchor = anchor_of(category, tables)
    return Levels(anchor - tables.armpit + CHEST_BELOW_ARMPIT_M, anchor - tables.waist, anchor - tables.hip)


def _with_chart(prepared: Prepared, row: SizeRow | None, category: Category) -> dict[str, Any]:
    """The report, with the girths the mesh has and how they compare with the chart's."""
    tables = prepared.reference.body.body.tables
    levels = vars(_levels(category, tables))
    trunk = prepared.source.bound.tubes["trunk"]
    report = prepared.report
    girths, warnings = {}, list(report["warnings"])
    for measure, along in levels.items():
        if trunk.rows[0] <= along <= trunk.rows[-1] and row is not None and measure in row.metres:
            metres = float(np.interp(along, trunk.rows, trunk.hull))
            girths[measure] = round(metres * 100, 1)
            charted = row.metres[measure]
            if measure not in row.estimated and abs(metres - charted) > GIRTH_WARNING_M:
                warnings.append(f"The mesh has {metres * 100:.0f} cm at the {measure}, the chart {charted * 100:.0f}.")
    return {**report, "girths_cm": girths, "warnings": warnings}
