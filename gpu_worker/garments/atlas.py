"""Where each panel of a garment lies in its texture, and what is sewn there: seams, stitches, ribs, pockets, buttons.

A panel is a rectangle of the atlas with the proportions of a middle size, so that one drawing serves every body and
size of a category. It says how dark the cloth is, and where thread shows.

Convention: metres; on a panel x goes right seen from outside and y up from its lowest row; the atlas' rows go down.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from gpu_worker.body.arrays import Bools, Floats
from gpu_worker.garments.chart import Category
from gpu_worker.garments.look import Fabric
from gpu_worker.garments.pattern import Grid

PIXELS_PER_M = 1000
MARGIN_M = 0.012
SEAM_M, STITCH_M = 0.0018, 0.0011
DASH_M, DASH_GAP_M = 0.0032, 0.0018
SEAM_SHADE, PUCKER_SHADE, PUCKER_M = 0.26, 0.16, 0.0030
"""How much darker a seam is, and the cloth drawn in beside it."""
THREAD_PULL, PUCKER_REACH = 0.35, 2.2
"""How much a row of stitches draws the cloth in, compared with a seam; and how quickly that fades."""
RIB_M, RIB_SHADE = 0.0042, 0.30
BUTTON_M = 0.011
HEM_M = (0.020, 0.025)
"""Rows of stitches above a hem."""
EDGE_M = (0.0035,)
"""Rows of stitches beside a seam."""
WOVEN: frozenset[Fabric] = frozenset({"poplin", "twill", "denim"})

Line = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Panel:
    """A panel's proportions: its lower `lower_rows` rows are `lower_m` high, the others `upper_m`."""

    width_m: float
    lower_m: float
    upper_m: float = 0.0
    lower_rows: int = 0

    @property
    def height_m(self) -> float:
        return self.lower_m + self.upper_m


@dataclass(frozen=True)
class Layout:
    """Panels in their places. corners : name -> left and bottom, metres; size : width and height."""

    panels: Mapping[str, Panel]
    corners: Mapping[str, tuple[float, float]]
    size_m: tuple[float, float]

    def texture(self, name: str, grid: Grid) -> Floats:
        """(R, C, 2) texture coordinates of a panel, 0 to 1, v downwards; an inner sheet is plain cloth."""
        rows, columns = grid.shape
        if name not in self.panels:
            return np.tile([MARGIN_M / 3 / self.size_m[0], MARGIN_M / 3 / self.size_m[1]], (rows, columns, 1))
        panel, (left, bottom) = self.panels[name], self.corners[name]
        x = left + np.linspace(0, panel.width_m, columns)
        split = panel.lower_rows or rows - 1
        y = bottom + np.interp(np.arange(rows), [0, split, rows - 1], [0, panel.lower_m, panel.height_m])
        flat = np.stack(np.broadcast_arrays(x[None, :], y[:, None]), axis=-1)
        return flat / self.size_m * [1, -1] + [0, 1]


@dataclass(frozen=True, eq=False)
class Sewn:
    """The drawing. shade : (H, W) of the cloth's colour that is left; thread : (H, W) where stitches cover it."""

    shade: NDArray[np.float32]
    thread: Bools


TOP_PANELS: Mapping[Category, Mapping[str, Panel]] = {
    "t-shirt": {
        "front": Panel(0.53, 0.47, 0.23, 39),
        "back": Panel(0.53, 0.47, 0.23, 39),
        "sleeve": Panel(0.42, 0.20),
        "rib": Panel(0.50, 0.02),
    },
    "long-sleeve shirt": {
        "front": Panel(0.54, 0.51, 0.23, 43),
        "back": Panel(0.54, 0.51, 0.23, 43),
        "sleeve": Panel(0.40, 0.58),
        "rib": Panel(0.48, 0.03),
    },
    "hoodie": {
        "front": Panel(0.58, 0.46, 0.24, 39),
        "back": Panel(0.58, 0.46, 0.24, 39),
        "sleeve": Panel(0.42, 0.59),
        "rib": Panel(0.56, 0.28),
    },
    "dress": {
        "front": Panel(0.54, 0.76, 0.22, 63),
        "back": Panel(0.54, 0.76, 0.22, 63),
        "sleeve": Panel(0.38, 0.17),
        "rib": Panel(0.55, 0.01),
    },
}
BOTTOM_PANELS: Mapping[Category, Mapping[str, Panel]] = {
    "skirt": {"front": Panel(0.58, 0.60), "back": Panel(0.58, 0.60)},
    "trousers": {"front": Panel(0.52, 0.30), "back": Panel(0.52, 0.30), "leg": Panel(0.52, 0.76)},
    "shorts": {"front": Panel(0.52, 0.30), "back": Panel(0.52, 0.30), "leg": Panel(0.60, 0.20)},
}


@cache
def layout_of(category: Category) -> Layout:
    """Front and back side by side, the rest below them; left and right share one drawing."""
    panels = {**TOP_PANELS, **BOTTOM_PANELS}[category]
    corners, left = {}, MARGIN_M
    for name in ("front", "back"):
        corners[name] = (left, MARGIN_M)
        left += panels[name].width_m + MARGIN_M
    width, high = left, panels["front"].height_m + 2 * MARGIN_M
    left, top = MARGIN_M, high
    for name in [name for name in panels if name not in corners]:
        corners[name] = (left, high)
        left += panels[name].width_m + MARGIN_M
        top = max(top, high + panels[name].height_m + MARGIN_M)
    placed, at = {}, {}
    for name, panel in panels.items():
        for both in (f"{name}.L", f"{name}.R") if name in {"sleeve", "leg"} else (name,):
            placed[both], at[both] = panel, corners[name]
    return Layout(placed, at, (max(width, left), top))


@cache
def sewn(category: Category, fabric: Fabric) -> Sewn:
    """What is sewn on this kind of garment."""
    sheet = _Drawing(layout_of(category))
    _RECIPES[category](sheet, fabric)
    return sheet.finished()


class _Drawing:
    """Seams, stitches and ribs while they are drawn."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        width, height = layout.size_m
        self.size_px = (round(width * PIXELS_PER_M), round(height * PIXELS_PER_M))
        self._seams, self._threads = (Image.new("L", self.size_px) for _ in range(2))
        self._pens = {"seam": ImageDraw.Draw(self._seams), "thread": ImageDraw.Draw(self._threads)}
        self.shade = np.ones((self.size_px[1], self.size_px[0]), np.float32)

    def size(self, name: str) -> tuple[float, float]:
        panel = self.layout.panels[name]
        return panel.width_m, panel.height_m

    def _pixels(self, name: str, line: Line) -> list[tuple[float, float]]:
        left, bottom = self.layout.corners[name]
        high = self.layout.size_m[1]
        return [((left + x) * PIXELS_PER_M, (high - bottom - y) * PIXELS_PER_M) for x, y in line]

    def seam(self, name: str, *line: tuple[float, float]) -> None:
        self._pens["seam"].line(self._pixels(name, line), fill=255, width=round(SEAM_M * PIXELS_PER_M))

    def stitch(self, name: str, *line: tuple[float, float]) -> None:
        """Dashes along a line."""
        points = np.array(line)
        steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
        along = np.append(0.0, np.cumsum(steps))
        for start in np.arange(0, along[-1], DASH_M + DASH_GAP_M):
            where = np.array([start, min(start + DASH_M, along[-1])])
            x, y = (np.interp(where, along, points[:, axis]) for axis in range(2))
            ends = self._pixels(name, list(zip(x, y, strict=True)))
            self._pens["thread"].line(ends, fill=255, width=max(round(STITCH_M * PIXELS_PER_M), 1))

    def sew(self, name: str, *line: tuple[float, float]) -> None:
        """A seam with a row of stitches on its left."""
        self.seam(name, *line)
        points = np.array(line)
        along = np.gradient(points, axis=0)
        across = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.linalg.norm(along, axis=1, keepdims=True)
        for inset in EDGE_M:
            self.stitch(name, *[(float(x), float(y)) for x, y in points + inset * across])

    def across(self, name: str, *heights: float, seam: bool = False) -> None:
        """Straight lines from side to side; negative heights are from the top."""
        width, high = self.size(name)
        for height in heights:
            y = height if height >= 0 else high + height
            (self.seam if seam else self.stitch)(name, (0, y), (width, y))

    def sides(self, name: str, *insets: float, seam: bool = False) -> None:
        """Straight lines up both sides."""
        width, high = self.size(name)
        for inset in insets:
            for x in (inset, width - inset):
                (self.seam if seam else self.stitch)(name, (x, 0), (x, high))

    def rib(self, name: str, low: float, high: float) -> None:
        """Knit ribs between two heights."""
        width, _ = self.size(name)
        (left, bottom), (right, top) = self._pixels(name, [(0, low), (width, high)])
        columns = np.arange(round(left), round(right))
        waves = 1 - RIB_SHADE * (0.5 + 0.5 * np.cos(2 * np.pi * columns / (RIB_M * PIXELS_PER_M)))
        self.shade[round(top) : round(bottom), columns] *= waves

    def button(self, name: str, x: float, y: float) -> None:
        radius = BUTTON_M / 2 * PIXELS_PER_M
        ((middle, high),) = self._pixels(name, [(x, y)])
        self._pens["seam"].ellipse((middle - radius, high - radius, middle + radius, high + radius), outline=255)
        inner = radius * 0.55
        self._pens["thread"].ellipse((middle - inner, high - inner, middle + inner, high + inner), fill=255)

    def finished(self) -> Sewn:
        drawn = ImageChops.add(self._seams, self._threads.point(lambda shade: round(THREAD_PULL * shade)))
        pucker = np.asarray(drawn.filter(ImageFilter.GaussianBlur(PUCKER_M * PIXELS_PER_M / 2)), np.float32) / 255
        seams = np.asarray(self._seams, np.float32) / 255
        shade = self.shade * (1 - SEAM_SHADE * seams) * (1 - PUCKER_SHADE * np.minimum(PUCKER_REACH * pucker, 1))
        return Sewn(shade.astype(np.float32), np.asarray(self._threads) > 127)


def _top(sheet: _Drawing, fabric: Fabric) -> None:
    for name in ("front", "back"):
        sheet.sides(name, 0.0005, seam=True)
        sheet.across(name, -0.0005, seam=True)
        sheet.across(name, 0.0, seam=True)
    sheet.across("sleeve.L", 0.0005, 0.0, seam=True)
    sheet.sides("sleeve.L", 0.0005, seam=True)
    sheet.across("sleeve.L", EDGE_M[0])
    if fabric in WOVEN:
        _shirt_front(sheet)


def _hems(sheet: _Drawing) -> None:
    for name in ("front", "back"):
        sheet.across(name, *HEM_M)
    sheet.across("sleeve.L", *(-height for height in HEM_M))


def _tee(sheet: _Drawing, fabric: Fabric) -> None:
    _top(sheet, fabric)
    _hems(sheet)
    width, height = sheet.size("rib")
    sheet.rib("rib", 0.0, height)
    sheet.seam("rib", (0, 0.0005), (width, 0.0005))
    for name in ("front", "back"):
        sheet.across(name, -EDGE_M[0] - 0.002)


def _shirt_front(sheet: _Drawing) -> None:
    """A placket down the middle with its buttons."""
    width, height = sheet.size("front")
    for x in (width / 2 - 0.016, width / 2 + 0.016):
        sheet.seam("front", (x, 0.0), (x, height))
        sheet.stitch("front", (x - np.sign(x - width / 2) * 0.004, 0.0), (x - np.sign(x - width / 2) * 0.004, height))
    for y in np.linspace(0.10, height - 0.10, 7):
        sheet.button("front", width / 2, float(y))


def _shirt(sheet: _Drawing, fabric: Fabric) -> None:
    _top(sheet, fabric)
    for name in ("front", "back"):
        sheet.across(name, 0.008)
    width, height = sheet.size("rib")
    sheet.seam("rib", (0, 0.0005), (width, 0.0005))
    sheet.stitch("rib", (0, height - 0.005), (width, height - 0.005))
    if fabric in WOVEN:
        sheet.across("sleeve.L", -0.06, seam=True)
        sheet.across("sleeve.L", -0.064, -0.006)
        _patch(sheet, "front", 0.70, 0.50, (0.11, 0.13))
        sheet.sew("back", (0, 0.60), (sheet.size("back")[0], 0.60))
    else:
        _hems(sheet)
        sheet.rib("rib", 0.0, height)


def _patch(sheet: _Drawing, name: str, x_share: float, y: float, size: tuple[float, float]) -> None:
    """A patch pocket; `y` is its lower edge."""
    middle, half = sheet.size(name)[0] * x_share, size[0] / 2
    top, low, point = y + size[1], y + 0.02, y
    sheet.sew(
        name, (middle - half, top), (middle - half, low), (middle, point), (middle + half, low), (middle + half, top)
    )
    sheet.sew(name, (middle + half, top), (middle - half, top))
    sheet.stitch(name, (middle - half, top - 0.02), (middle + half, top - 0.02))


def _hoodie(sheet: _Drawing, fabric: Fabric) -> None:
    _top(sheet, fabric)
    for name in ("front", "back"):
        sheet.rib(name, 0.0, 0.055)
        sheet.across(name, 0.055, seam=True)
        sheet.across(name, 0.059)
    high = sheet.size("sleeve.L")[1]
    sheet.rib("sleeve.L", high - 0.06, high)
    sheet.across("sleeve.L", -0.06, seam=True)
    sheet.across("sleeve.L", -0.064)
    middle = sheet.size("front")[0] / 2
    pocket = [(-0.17, 0.06), (-0.17, 0.15), (-0.10, 0.25), (0.10, 0.25), (0.17, 0.15), (0.17, 0.06)]
    sheet.sew("front", *[(middle - x, y) for x, y in pocket])
    for side in (-1, 1):
        sheet.stitch("front", (middle + side * 0.155, 0.145), (middle + side * 0.088, 0.238))
    width, height = sheet.size("rib")
    sheet.seam("rib", (0, 0.0005), (width, 0.0005))
    sheet.seam("rib", (width * 0.73, 0), (width * 0.73, height))
    sheet.across("rib", -HEM_M[0])


def _dress(sheet: _Drawing, fabric: Fabric) -> None:
    _top(sheet, fabric)
    for name in ("front", "back"):
        sheet.across(name, HEM_M[0])
        sheet.across(name, -EDGE_M[0] - 0.002)
    sheet.across("sleeve.L", -HEM_M[0])


def _waistband(sheet: _Drawing, height: float) -> None:
    for name in ("front", "back"):
        sheet.across(name, -height, seam=True)
        sheet.across(name, -height - EDGE_M[0], -height + EDGE_M[0], -0.004)


def _skirt(sheet: _Drawing, fabric: Fabric) -> None:
    del fabric
    _waistband(sheet, 0.035)
    for name in ("front", "back"):
        sheet.sides(name, 0.0005, seam=True)
        sheet.across(name, HEM_M[1])
    width, height = sheet.size("back")
    sheet.seam("back", (width / 2, height), (width / 2, height - 0.20))
    for side in (-1, 1):
        for name in ("front", "back"):
            x = width / 2 + side * width * 0.22
            sheet.seam(name, (x, height - 0.035), (x - side * 0.006, height - 0.12))


def _trousers(sheet: _Drawing, fabric: Fabric) -> None:
    band = 0.038
    _waistband(sheet, band)
    width, height = sheet.size("front")
    middle, top = width / 2, height - band
    for name in ("front", "back"):
        sheet.sides(name, 0.0005, seam=True)
        sheet.seam(name, (middle, 0), (middle, top))
        sheet.stitch(name, (middle - 0.004, 0), (middle - 0.004, top if name == "back" else top - 0.17))
        for share in (0.06, 0.27, 0.73, 0.94):
            x = width * share
            sheet.seam(name, (x - 0.005, top - 0.012), (x - 0.005, height), (x + 0.005, height))
            sheet.seam(name, (x + 0.005, height), (x + 0.005, top - 0.012), (x - 0.005, top - 0.012))
    turn = np.linspace(0, np.pi / 2, 8)
    fly = [(middle + 0.035 * np.cos(t), top - 0.13 - 0.04 * np.sin(t)) for t in turn]
    sheet.stitch("front", (middle + 0.035, top), *[(float(x), float(y)) for x, y in fly])
    sheet.button("front", middle, height - band / 2)
    for side in (-1, 1):
        mouth = [(middle + side * 0.135, top), (middle + side * 0.205, top - 0.11), (middle + side * 0.258, top - 0.15)]
        sheet.sew("front", *(mouth if side < 0 else mouth[::-1]))
    if fabric == "denim":
        for share in (0.25, 0.75):
            _patch(sheet, "back", share, top - 0.20, (0.135, 0.145))
        sheet.sew("back", (width, top - 0.035), (middle, top - 0.075), (0, top - 0.035))
    else:
        for share in (0.25, 0.75):
            x = width * share
            box = [
                (x - 0.065, top - 0.085),
                (x + 0.065, top - 0.085),
                (x + 0.065, top - 0.073),
                (x - 0.065, top - 0.073),
            ]
            sheet.seam("back", *box, box[0])
    _leg(sheet)


def _leg(sheet: _Drawing) -> None:
    width, height = sheet.size("leg.L")
    outer, inner = width * 16 / 48, width * 40 / 48
    for x in (outer, inner):
        sheet.seam("leg.L", (x, 0), (x, height))
        sheet.stitch("leg.L", (x + 0.004, 0), (x + 0.004, height))
    sheet.across("leg.L", *HEM_M[:1])


_RECIPES: dict[Category, Callable[[_Drawing, Fabric], None]] = {
    "t-shirt": _tee,
    "long-sleeve shirt": _shirt,
    "hoodie": _hoodie,
    "dress": _dress,
    "skirt": _skirt,
    "trousers": _trousers,
    "shorts": _trousers,
}
