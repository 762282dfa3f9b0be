"""A pattern as it is drawn: panels apart along their seams, each vertex with its places in the textures and its shade.

Convention: cloth coordinates are metres on the flat panel, u right and v down seen from outside, so that a repeat of
10 cm is 10 cm; atlas coordinates are those of `atlas`.
"""

from dataclasses import dataclass

import numpy as np

from gpu_worker.body.arrays import Floats, Ints
from gpu_worker.garments.atlas import Layout
from gpu_worker.garments.collide import Sheet
from gpu_worker.garments.pattern import Grid, Pattern, quads, vertex_normals

BETWEEN_PANELS_M = 0.013
VALLEY_DEPTH = 3.0
"""How much a fold's valley darkens for each metre of depth over metre of spacing."""
DARKEST, LIGHTEST = 0.78, 1.0
LINING_SHADE = 0.86
"""The inner sheets of hems lie in the dark."""
SOFTENINGS = 4


@dataclass(frozen=True, eq=False)
class Drawn:
    """source : (N,) rows of the points with hems; faces : (F, 3); cloth, atlas : (N, 2)."""

    source: Ints
    faces: Ints
    cloth: Floats
    atlas: Floats


def drawn(pattern: Pattern, layout: Layout, points: Floats) -> Drawn:
    """Every panel as its own grid of vertices; `points` with hems say how large the panels are."""
    sources, faces, cloths, atlases = [], [], [], []
    start, across = 0, 0.0
    for name, grid in {
        **pattern.panels,
        **{f"inner {name}": grid for name, grid in pattern.hem_panels.items()},
    }.items():
        flat = _flat(points, grid)
        flat[..., 0] += across - flat[..., 0].min()
        across = float(flat[..., 0].max()) + BETWEEN_PANELS_M
        cloths.append(flat.reshape(-1, 2))
        atlases.append(layout.texture(name, grid).reshape(-1, 2))
        sources.append(grid.reshape(-1))
        faces.append(quads(np.arange(grid.size, dtype=np.int32).reshape(grid.shape)) + start)
        start += grid.size
    cloth = np.concatenate(cloths)
    cloth[:, 1] = cloth[:, 1].max() - cloth[:, 1]
    return Drawn(np.concatenate(sources), np.concatenate(faces).astype(np.int32), cloth, np.concatenate(atlases))


def shade(pattern: Pattern, sheet: Sheet, points: Floats) -> Floats:
    """(N,) share of its colour that cloth shows: less in the valleys of folds and inside hems. points : with hems."""
    outer = points[: pattern.count]
    normal = vertex_normals(outer, pattern.faces)
    off = np.asarray(sheet.neighbours @ outer) - outer
    spacing = np.maximum(np.linalg.norm(outer[sheet.edges[:, 0]] - outer[sheet.edges[:, 1]], axis=1).mean(), 1e-6)
    valley = (off * normal).sum(axis=1) / spacing
    for _ in range(SOFTENINGS):
        valley = 0.5 * valley + 0.5 * np.asarray(sheet.neighbours @ valley)
    shown = np.full(len(points), LINING_SHADE)
    shown[: pattern.count] = np.clip(1 - VALLEY_DEPTH * valley, DARKEST, LIGHTEST)
    return shown


def _flat(points: Floats, grid: Grid) -> Floats:
    """(R, C, 2) metres across each row from its middle, and up each column."""
    panel = points[grid]
    across = np.linalg.norm(np.diff(panel, axis=1), axis=2)
    u = np.concatenate([np.zeros((len(grid), 1)), np.cumsum(across, axis=1)], axis=1)
    u -= u[:, [grid.shape[1] // 2]]
    up = np.linalg.norm(np.diff(panel, axis=0), axis=2)
    v = np.concatenate([np.zeros((1, grid.shape[1])), np.cumsum(up, axis=0)])
    return np.stack([u, v], axis=-1)
