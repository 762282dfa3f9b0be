"""Garment and dress jobs: a chart, a kept body → a preview or a dressed GLB, and what became of every size."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import msgspec

from gpu_worker.body.canonical import Shape
from gpu_worker.contract import DressParams, DressResult, GarmentParams, GarmentResult, SizeReport, Stage
from gpu_worker.garments.brand.garment import (
    BrandDressed,
    BrandRefused,
    BrandTailor,
    NoFileUsable,
    PreparedGarment,
    PreparedSize,
)
from gpu_worker.garments.chart import CATEGORIES, Category, ChartUnusable, complete
from gpu_worker.garments.drape import DrapeFailed
from gpu_worker.garments.dress import Dressed, DressedBody
from gpu_worker.garments.garment_job import Dresser, DressRefused, GarmentSpec
from gpu_worker.garments.look import Look, check_look

PREVIEW, PICTURE, PREPARED = "preview.glb", "preview.png", "garment.npz"
WORN = "garment.glb"
BODY, GARMENT = "body", "garment"
PHOTO, TEXTURE = "photo", "texture"
TOO_SMALL = "The cloth would have to stretch by more than a third."
MANNEQUIN = Shape(gender=0.5, weight=0.5, muscle=0.5, height=0.4)
"""Who wears a preview: between the sexes, of middle build."""

OnStage = Callable[[Stage], None]


@dataclass(frozen=True, eq=False)
class TailoredFiles:
    """What one run gives. `files`: output's name → bytes; one of the two results is there."""

    files: Mapping[str, bytes]
    garment: GarmentResult | None = None
    dress: DressResult | None = None
    timings_ms: dict[str, float] = field(default_factory=dict)


class Tailor:
    """Everything that is loaded once for a process; not for two threads at a time."""

    def __init__(self, dresser: Dresser) -> None:
        self.dresser = dresser
        self.brand_tailor = BrandTailor(dresser.wardrobe)

    def run_garment(self, params: GarmentParams, inputs: Mapping[str, bytes], on_stage: OnStage) -> TailoredFiles:
        """Whether every size can be built, and how the garment looks on a mannequin. Raises `DressRefused`."""
        if params.uploads:
            return self._run_models(params, inputs, on_stage)
        return self._run_chart(params, inputs, on_stage)

    def _run_chart(self, params: GarmentParams, inputs: Mapping[str, bytes], on_stage: OnStage) -> TailoredFiles:
        timings_ms: dict[str, float] = {}
        on_stage(Stage.CHECKING)
        spec = _spec(params, inputs)
        check_look(spec.look)
        reports = [_check(spec.category, size, row) for size, row in spec.sizes_cm.items()]
        result = GarmentResult(reports)
        usable = {report.size for report in reports if report.state != "unavailable"}
        if not usable:
            return TailoredFiles({}, garment=result, timings_ms=timings_ms)
        on_stage(Stage.BUILDING)
        with _timed(timings_ms, "preview"):
            preview = self._preview(GarmentSpec(spec.category, _only(spec.sizes_cm, usable), spec.look))
        return TailoredFiles({} if preview is None else {PREVIEW: preview}, garment=result, timings_ms=timings_ms)

    def _run_models(self, params: GarmentParams, inputs: Mapping[str, bytes], on_stage: OnStage) -> TailoredFiles:
        """The brand's own models, made ready to be put on any body; a size without one is graded from another.

        Where no model can be used, the chart is built, and the reports say why.
        """
        timings_ms: dict[str, float] = {}
        on_stage(Stage.CHECKING)
        spec = _spec(params, {})
        glbs = {size: inputs[f"size_{place}"] for place, size in enumerate(params.uploads)}
        try:
            with _timed(timings_ms, "prepare"):
                prepared = self.brand_tailor.prepare(spec.category, spec.sizes_cm, glbs)
        except NoFileUsable as refused:
            template = self._run_chart(params, inputs, on_stage)
            picture = {} if refused.picture_png is None else {PICTURE: refused.picture_png}
            result = _without_models(template.garment, refused)
            return TailoredFiles({**template.files, **picture}, result, timings_ms=timings_ms | template.timings_ms)
        on_stage(Stage.BUILDING)
        result = GarmentResult([_prepared(size, state) for size, state in prepared.sizes.items()])
        files = {PREPARED: prepared.to_npz(), PICTURE: prepared.preview_png}
        return TailoredFiles(files, garment=result, timings_ms=timings_ms)

    def run_dress(self, params: DressParams, inputs: Mapping[str, bytes], on_stage: OnStage) -> TailoredFiles:
        """Every size on one body, or those of `only`; those of `polish` among them draped. Raises `DressRefused`."""
        if GARMENT in inputs:
            return self._wear_models(params, inputs, on_stage)
        timings_ms: dict[str, float] = {}
        on_stage(Stage.CHECKING)
        spec = _spec(params.garment, inputs)
        with _timed(timings_ms, "body"):
            body = self.dresser.body(inputs[BODY])
        on_stage(Stage.BUILDING)
        with _timed(timings_ms, "dress"):
            dressed = self.dresser.draft(body, spec, only=params.only)
        polished: list[str] = []
        if params.polish:
            with _timed(timings_ms, "drape"):
                dressed, polished = _drape(body, dressed, params.polish, on_stage)
        base = _base(dressed, params.base)
        with _timed(timings_ms, "glb"):
            glb = self.dresser.encode(body, dressed, spec, base)
        result = DressResult(_worn(dressed), base, polished)
        return TailoredFiles({WORN: glb}, dress=result, timings_ms=timings_ms)

    def _wear_models(self, params: DressParams, inputs: Mapping[str, bytes], on_stage: OnStage) -> TailoredFiles:
        """The brand's own models keep the folds they were made with: the first picture is the only one."""
        timings_ms: dict[str, float] = {}
        on_stage(Stage.CHECKING)
        with _timed(timings_ms, "body"):
            body = self.dresser.body(inputs[BODY])
        try:
            prepared = PreparedGarment.load(inputs[GARMENT])
        except ValueError as error:
            raise DressRefused("garment_invalid", "The prepared garment cannot be read.") from error
        on_stage(Stage.BUILDING)
        with _timed(timings_ms, "dress"):
            dressed = self.brand_tailor.dress(body, prepared)
        shown = [size for size, worn in dressed.sizes.items() if worn.fits_on]
        base = params.base if params.base in shown else shown[len(shown) // 2]
        with _timed(timings_ms, "glb"):
            glb = self.brand_tailor.encode(body, dressed, base)
        reports = [_worn_model(size, dressed) for size in prepared.sizes]
        return TailoredFiles({WORN: glb}, dress=DressResult(reports, base, shown), timings_ms=timings_ms)

    def warm_up(self) -> None:
        """What is drawn or loaded at first use is so now; the last of it by a t-shirt on the mannequin."""
        self.dresser.warm_up()
        self._preview(GarmentSpec("t-shirt", {"M": {"chest": 104.0}}))

    def _preview(self, spec: GarmentSpec) -> bytes | None:
        """None where the mannequin is too large for every size."""
        vertices, _ = self.dresser.wardrobe.body.rest(MANNEQUIN)
        body = self.dresser.wardrobe.body_of(vertices)
        try:
            dressed = self.dresser.draft(body, spec)
        except DressRefused:
            return None
        return self.dresser.encode(body, dressed, spec)


def _drape(body: DressedBody, dressed: Dressed, wanted: list[str], on_stage: OnStage) -> tuple[Dressed, list[str]]:
    """A size whose cloth does not come to rest keeps its first picture, and counts as done: none better will come."""
    sizes, done = dict(dressed.sizes), []
    for size in wanted:
        on_stage(Stage.BUILDING)  # where a cancelled job ends
        if size in sizes and sizes[size].fits_on:
            with suppress(DrapeFailed):
                sizes[size] = body.drape(dressed, size)
            done.append(size)
    return Dressed(dressed.category, dressed.pattern, sizes), done


def _spec(params: GarmentParams, inputs: Mapping[str, bytes]) -> GarmentSpec:
    if params.category not in CATEGORIES:
        raise DressRefused("garment_invalid", f"{params.category!r} is not one of {', '.join(CATEGORIES)}.")
    category: Category = params.category
    return GarmentSpec(
        category,
        {row.size: row.garment_cm for row in params.sizes},
        Look(
            linear(params.look.colour),
            fabric=params.look.fabric,
            texture=inputs.get(TEXTURE),
            tile_cm=params.look.tile_cm,
            photo=inputs.get(PHOTO),
        ),
    )


def linear(colour: str) -> tuple[float, float, float]:
    """#rrggbb as screens mean it → linear light. Raises `DressRefused`."""
    try:
        shades = [value / 255 for value in bytes.fromhex(colour.removeprefix("#"))]
        red, green, blue = (s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shades)
    except ValueError as error:
        raise DressRefused("garment_invalid", f"{colour!r} is not a colour such as #5b7086.") from error
    return red, green, blue


def _check(category: Category, size: str, row: Mapping[str, float]) -> SizeReport:
    try:
        return SizeReport(size, "ok", estimated=list(complete(category, size, row).estimated))
    except ChartUnusable as refused:
        return SizeReport(size, "unavailable", "garment_invalid", str(refused))


def _worn(dressed: Dressed) -> list[SizeReport]:
    return [
        SizeReport(size, "ok", estimated=list(worn.row.estimated))
        if worn.fits_on
        else SizeReport(size, "unavailable", "does_not_fit", TOO_SMALL)
        for size, worn in dressed.sizes.items()
    ]


def _base(dressed: Dressed, wanted: str | None) -> str:
    shown = [size for size, worn in dressed.sizes.items() if worn.fits_on]
    return wanted if wanted in shown else shown[len(shown) // 2]


def _prepared(size: str, state: PreparedSize) -> SizeReport:
    if state.status != "unavailable":
        return SizeReport(size, state.status, detail=state.reason)
    detail = state.reason if state.field is None else f"{state.field}: {state.reason}"
    return SizeReport(size, "unavailable", state.code or "garment_invalid", detail)


def _without_models(template: GarmentResult | None, refused: NoFileUsable) -> GarmentResult:
    """A size whose model was refused says so even where the chart stands in; one that cannot be had at all, too."""
    sizes = [] if template is None else template.sizes
    is_built = any(report.state != "unavailable" for report in sizes)
    reasons = {report.size: refused.by_size.get(report.size, None if is_built else refused) for report in sizes}
    return GarmentResult([_told(report, reasons[report.size]) for report in sizes])


def _told(report: SizeReport, why: BrandRefused | None) -> SizeReport:
    if why is None:
        return report
    return msgspec.structs.replace(report, reason=why.code, detail=f"{why.field}: {why.reason}")


def _worn_model(size: str, dressed: BrandDressed) -> SizeReport:
    worn = dressed.sizes.get(size)
    if worn is None:
        return SizeReport(size, "unavailable", "garment_invalid", dressed.unavailable.get(size))
    if not worn.fits_on:
        return SizeReport(size, "unavailable", "does_not_fit", TOO_SMALL)
    return SizeReport(size, "graded" if worn.status == "graded" else "ok")


def _only(sizes: Mapping[str, Mapping[str, float]], usable: set[str]) -> dict[str, Mapping[str, float]]:
    return {size: row for size, row in sizes.items() if size in usable}


@contextmanager
def _timed(timings_ms: dict[str, float], name: str) -> Iterator[None]:
    start_s = time.perf_counter()
    yield
    timings_ms[name] = (time.perf_counter() - start_s) * 1000
