"""What the `dress` and `garment` jobs run: a kept body and a chart in, GLBs and a report out."""

import io
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from gpu_worker.body.arrays import Floats
from gpu_worker.garments.chart import CATEGORIES, Category, ChartUnusable, complete
from gpu_worker.garments.drape import DrapeFailed
from gpu_worker.garments.dress import BodyUnusable, Dressed, DressedBody, Layer, Wardrobe, chart_rows, sheet_of
from gpu_worker.garments.glb import encode_garment
from gpu_worker.garments.look import FABRIC_OF, Look, LookRefused, check_look
from gpu_worker.garments.pictures import sewn_picture
from gpu_worker.garments.weave import weave_of

LONGEST_CM = 400.0
"""No measure of a garment is longer."""


class DressRefused(Exception):
    """The garment or the body cannot be used; `code` is for a program, the text for a person. Never retried."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


@dataclass(frozen=True)
class GarmentSpec:
    """A template garment. `sizes_cm`: size -> measure -> cm, girths of the garment, whole, in the chart's order."""

    category: Category
    sizes_cm: Mapping[str, Mapping[str, float]]
    look: Look = field(default_factory=Look)


class Dresser:
    """Loaded once by a worker. Dressing is `draft`, then `final` with the same arguments."""

    def __init__(self) -> None:
        self.wardrobe = Wardrobe.load()

    def warm_up(self) -> None:
        """Draw once what every garment of a kind shares: its pattern, its seams, its fabric's weave."""
        for category in CATEGORIES:
            sheet_of(category)
            sewn_picture(category, FABRIC_OF[category], Look().colour)
            weave_of(FABRIC_OF[category])

    def check(self, spec: GarmentSpec) -> dict[str, list[str]]:
        """Job `garment`: size -> the measures that will be estimated. Raises `DressRefused`."""
        if spec.category not in CATEGORIES:
            raise DressRefused("garment_invalid", f"{spec.category!r} is not one of {', '.join(CATEGORIES)}.")
        if not spec.sizes_cm:
            raise DressRefused("garment_invalid", "The chart has no sizes.")
        for size, row in spec.sizes_cm.items():
            for measure, value in row.items():
                if not 0 < value <= LONGEST_CM:
                    raise DressRefused("garment_invalid", f"Size {size}: {measure} cannot be {value:g} cm.")
        try:
            rows = [complete(spec.category, size, row) for size, row in spec.sizes_cm.items()]
            check_look(spec.look)
        except ChartUnusable as refused:
            raise DressRefused("garment_invalid", str(refused)) from refused
        except LookRefused as refused:
            raise DressRefused(refused.code, str(refused)) from refused
        return {row.size: list(row.estimated) for row in rows}

    def body(self, body_npz: bytes) -> DressedBody:
        """The body of an avatar's `body.npz`. Raises `DressRefused`."""
        try:
            with np.load(io.BytesIO(body_npz), allow_pickle=False) as archive:
                vertices: Floats = archive["vertices"].astype(np.float64)
            return self.wardrobe.body_of(vertices)
        except (BodyUnusable, ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as refused:
            raise DressRefused("body_invalid", f"The body cannot be dressed: {refused}") from refused

    def draft(
        self, body: DressedBody, spec: GarmentSpec, beneath: Layer | None = None, *, only: Collection[str] = ()
    ) -> Dressed:
        """All sizes by geometry; those of `only`, if one of them can be put on. Raises `DressRefused` when none can."""
        self.check(spec)
        rows = chart_rows(spec.category, spec.sizes_cm)
        asked = [row for row in rows if row.size in only]
        for sizes in filter(None, (asked, rows)):
            dressed = body.dress(spec.category, sizes, beneath)
            if any(worn.fits_on for worn in dressed.sizes.values()):
                return dressed
        raise DressRefused("does_not_fit", "Every size would have to stretch by more than a third.")

    def final(self, body: DressedBody, dressed: Dressed, beneath: Layer | None = None) -> Dressed:
        """All sizes as draped cloth; a size whose cloth does not come to rest keeps its draft."""
        sizes = dict(dressed.sizes)
        for size, worn in dressed.sizes.items():
            if worn.fits_on:
                try:
                    sizes[size] = body.drape(dressed, size, beneath)
                except DrapeFailed:
                    continue
        return Dressed(dressed.category, dressed.pattern, sizes)

    def encode(self, body: DressedBody, dressed: Dressed, spec: GarmentSpec, recommended: str | None = None) -> bytes:
        """The GLB; the base size is the recommended one, else the middle of those that can be put on."""
        shown = [size for size, worn in dressed.sizes.items() if worn.fits_on]
        base = recommended if recommended in shown else shown[len(shown) // 2]
        return encode_garment(dressed, body.tables.floor, base=base, look=spec.look, compress=True)
