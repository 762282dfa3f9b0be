"""Pictures a brand sees: its garment on the reference body, or what was wrong with it."""

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from PIL import Image

from gpu_worker.body.arrays import Bools, Floats, Ints
from gpu_worker.body.canonical import CanonicalBody
from gpu_worker.body.display import Display
from gpu_worker.garments.brand.look import Look
from gpu_worker.garments.brand.mesh import RenderMesh
from gpu_worker.garments.look import to_screen
from gpu_worker.garments.raster import Picture, Shown, draw, encode_png

PANE_PX = (340, 440)
YAWS = (0.0, np.radians(35.0), np.pi)
SKIN_COLOUR, BASE_COLOUR = (205.0, 184.0, 168.0), (112.0, 114.0, 120.0)
PART_COLOURS = np.array(
    [[86, 122, 172], [196, 120, 70], [104, 150, 98], [160, 90, 140], [190, 170, 80], [90, 160, 170]], np.float64
)
INSIDE_COLOUR = (214.0, 60.0, 50.0)
MARGIN_M = 0.06
TEXTURE_PX = 1024
"""Textures are drawn from pictures no larger than this."""


@dataclass(frozen=True, eq=False)
class Figure:
    """The body in a picture, in its base layer. outline : (V, 3) canonical vertices."""

    outline: Floats
    shown: Shown


class Figures:
    """Makes figures of bodies."""

    def __init__(self, body: CanonicalBody) -> None:
        self._display = Display(body)

    def of(self, vertices: Floats) -> Figure:
        surface = self._display.surface(vertices)
        faces = np.concatenate([surface.skin, surface.base])
        colours = np.tile(SKIN_COLOUR, (len(surface.vertices), 1))
        colours[np.unique(surface.base)] = BASE_COLOUR
        return Figure(vertices, Shown(surface.vertices, faces, colours, normals=surface.normals))


def garment_on(figure: Figure, mesh: RenderMesh, points: Floats, look: Look, normals: Floats) -> Picture:
    """Front, 35 degrees and back. points, normals : (R, 3) of the render mesh."""
    shown = [figure.shown]
    for number in np.unique(mesh.material):
        chosen = mesh.faces[mesh.material == number]
        colours, picture = _painted(mesh, look, int(number))
        shown.append(Shown(points, chosen, colours, mesh.texture, picture, normals))
    low, high = float(figure.outline[:, 2].min()), float(figure.outline[:, 2].max())
    return _views(shown, low, high)


def overlap_picture(figure: Figure, points: Floats, faces: Ints, is_inside: Bools) -> bytes:
    """Where a garment cuts into the body, in red."""
    colours = np.where(is_inside[:, None], np.array(INSIDE_COLOUR), PART_COLOURS[0])
    ends = np.concatenate([points[:, 2], figure.outline[:, 2]])
    # what is inside would be hidden: cloth is drawn over the body
    apart = Shown(points + np.array([0.75, 0.0, 0.0]), faces, colours)
    centred = [replace(mesh, vertices=mesh.vertices - np.array([0.375, 0.0, 0.0])) for mesh in (figure.shown, apart)]
    picture = draw(centred, (2 * PANE_PX[0], PANE_PX[1]), yaw=0.0, low_m=float(ends.min()), high_m=float(ends.max()))
    return encode_png(picture)


def picture_of_parts(mesh: RenderMesh, part: Ints | Bools) -> bytes:
    """The file as it is, y up, each connected part in its own colour."""
    turned = mesh.points[:, [0, 2, 1]] * np.array([1.0, -1.0, 1.0])
    centred = turned - (turned.min(axis=0) + turned.max(axis=0)) / 2
    centred *= 1.6 / max(float(np.ptp(centred, axis=0).max()), 1e-9)
    shown = [
        Shown(centred, mesh.faces[part == name], np.tile(PART_COLOURS[row % len(PART_COLOURS)], (len(centred), 1)))
        for row, name in enumerate(np.unique(part)[:64])
    ]
    return encode_png(_views(shown, -0.85, 0.85))


def _views(shown: Sequence[Shown], low_m: float, high_m: float) -> Picture:
    panes = [draw(shown, PANE_PX, yaw=yaw, low_m=low_m - MARGIN_M, high_m=high_m + MARGIN_M, fill=1.0) for yaw in YAWS]
    return np.concatenate(panes, axis=1)


def _painted(mesh: RenderMesh, look: Look, number: int) -> tuple[Floats, Picture | None]:
    """Colours (R, 3) and texture of one of the look's materials."""
    material = look.materials[number] if number >= 0 else {}
    rough = material.get("pbrMetallicRoughness", {})
    factor = np.array([float(value) for value in rough.get("baseColorFactor", (1.0, 1.0, 1.0, 1.0))][:3])
    linear = np.tile(factor, (len(mesh.points), 1)) if mesh.colour is None else mesh.colour[:, :3] * factor
    colours: Floats = to_screen(np.clip(linear, 0, 1)) * 255.0
    index = rough.get("baseColorTexture", {}).get("index")
    if index is None:
        return colours, None
    return colours, _read(look.images[look.textures[index]["source"]][1])


@lru_cache(maxsize=8)
def _read(data: bytes) -> Picture | None:
    """None where the picture's data is damaged after its header: the garment is then drawn plain."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as picture:
                picture.draft("RGB", (TEXTURE_PX, TEXTURE_PX))
                small = picture.convert("RGB")
        small.thumbnail((TEXTURE_PX, TEXTURE_PX))
        return np.asarray(small, np.uint8)
    except (OSError, ValueError, SyntaxError):
        return None
