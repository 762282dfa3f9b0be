"""A prepared garment on a body: every size off the skin, and over what is worn beneath."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gpu_worker.body.arrays import Floats, Ints
from gpu_worker.garments.brand.prepared import PreparedGarment, Status
from gpu_worker.garments.brand.refused import BrandRefused
from gpu_worker.garments.brand.transfer import ease_of, is_too_tight, transferred
from gpu_worker.garments.brand.tubes import Frame, frames_of
from gpu_worker.garments.chart import Category
from gpu_worker.garments.collide import Skin
from gpu_worker.garments.dress import LAYER_GAP_M, DressedBody, Layer
from gpu_worker.garments.tables import BodyTables


@dataclass(frozen=True, eq=False)
class BrandWorn:
    """One size on a body.

    points, faces : the proxy (P, 3) and (F, 3); ease : (P,) girth of the cloth less the skin's, metres
    drawn         : (R, 3) the render mesh
    fits_on       : False when the cloth would have to stretch by more than a third; then it is not to be shown
    """

    status: Status
    source: str
    points: Floats
    faces: Ints
    ease: Floats
    drawn: Floats
    fits_on: bool

    def layer(self) -> Layer:
        """As what is worn beneath another garment."""
        return Layer(self.points, self.faces)


@dataclass(frozen=True, eq=False)
class BrandDressed:
    """A brand garment on a body. unavailable : size -> why."""

    prepared: PreparedGarment
    sizes: Mapping[str, BrandWorn]
    unavailable: Mapping[str, str]

    @property
    def category(self) -> Category:
        return self.prepared.category


def put_on(
    body: DressedBody, prepared: PreparedGarment, sizes: Sequence[str] | None, beneath: Layer | None
) -> BrandDressed:
    """Every available size, or those named. Raises `BrandRefused` when none can be put on."""
    chosen = [size for size in prepared.sizes if sizes is None or size in sizes]
    worn = worn_sizes(body, prepared, chosen, beneath)
    gone = {size: str(prepared.sizes[size].reason) for size in chosen if size not in worn}
    gone |= {size: "Too small for this body." for size, one in worn.items() if not one.fits_on}
    if not any(one.fits_on for one in worn.values()):
        raise BrandRefused("sizes", "No size can be put on this body.", code="does_not_fit")
    return BrandDressed(prepared, worn, gone)


def worn_sizes(
    body: DressedBody, prepared: PreparedGarment, sizes: Sequence[str], beneath: Layer | None = None
) -> dict[str, BrandWorn]:
    """Those of the sizes that are available, whether they fit on or not."""
    frames = frames_of(prepared.category, body.tables)
    skin = body.skin if beneath is None else body.skin.under(beneath.points, beneath.faces, LAYER_GAP_M)
    return {
        size: _worn(prepared, size, body.tables, frames, skin)
        for size in sizes
        if prepared.sizes[size].status != "unavailable"
    }


def _worn(
    prepared: PreparedGarment, size: str, tables: BodyTables, frames: Mapping[str, Frame], skin: Skin
) -> BrandWorn:
    state = prepared.sizes[size]
    name = str(state.source)
    source, bound = prepared.sources[name], prepared.bound(size)
    points = transferred(bound, tables, frames, skin, prepared.sheets[name])
    tight = is_too_tight(prepared.category, bound, tables, frames["trunk"])
    ease = ease_of(bound, frames)
    return BrandWorn(state.status, name, points, bound.faces, ease, source.drawn(points), fits_on=not tight)
