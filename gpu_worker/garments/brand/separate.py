"""What in a file is the garment: a mannequin is left out, and a file with several garments is sent back.

A mannequin is told from thick cloth by how much it holds: its volume over its area and size is some ten times larger.
"""

import re
from collections.abc import Sequence

import numpy as np

from gpu_worker.body.arrays import Bools, Floats, Ints
from gpu_worker.garments.brand.mesh import RenderMesh, areas, open_length, parts_of, welded
from gpu_worker.garments.brand.preview import picture_of_parts
from gpu_worker.garments.brand.refused import BrandRefused
from gpu_worker.garments.brand.scene import Piece
from gpu_worker.garments.chart import TOPS, Category
from gpu_worker.garments.tables import BodyTables

NAMED = re.compile(r"(?<![a-z])(body|mannequin|manikin|avatar|dummy|skin|human|basemesh)(?![a-z])", re.IGNORECASE)
CLOSED = 0.3
"""Length of open edges, over the part's size, below which it is closed: a tee's openings are three times its size."""
FULL = 0.010
"""Volume over area and height from which a closed part is a body: a body has about .022, cloth 2 mm thick .002."""
LARGE = 0.6
"""Of the file's height."""
FEWEST_TRIANGLES = 100
MAIN_PART = 0.15
"""Share of the area from which a part is no detail."""


def without_mannequin(mesh: RenderMesh, pieces: Sequence[Piece]) -> tuple[RenderMesh, list[str]]:
    """The mesh without closed, body-like, named pieces, and what was left out.

    Raises `BrandRefused` where something body-like is not named, or nothing else is in the file.
    """
    extent = float(np.ptp(mesh.points, axis=0).max())
    place = welded(mesh.points, max(extent * 1e-5, 1e-12))
    faces = place[mesh.faces]
    points = np.zeros((int(place.max()) + 1, 3))
    points[place] = mesh.points
    part = parts_of(faces, len(points))
    large = np.flatnonzero(np.bincount(part) >= FEWEST_TRIANGLES)
    # a garment stored twice over has no open edge
    once = np.zeros(len(faces), np.bool_)
    once[np.unique(np.sort(faces, axis=1), axis=0, return_index=True)[1]] = True
    bodies = [name for name in large if _is_body(points, faces[once & (part == name)], extent)]
    if not bodies:
        return mesh, []
    is_body = np.isin(part, bodies)
    owners = np.unique(mesh.piece[is_body])
    unnamed = [row for row in owners if not NAMED.search(pieces[row].name)]
    if unnamed:
        raise BrandRefused(
            "meshes",
            f"A part named {pieces[unnamed[0]].name!r} looks like a body; name it mannequin, or leave it out.",
            code="garment_unclear",
            picture_png=picture_of_parts(mesh, part),
        )
    kept = ~np.isin(mesh.piece, owners)
    if not kept.any():
        raise BrandRefused("meshes", "The file holds a mannequin and no garment.")
    names = sorted({pieces[row].name for row in owners})
    return mesh.keep(kept), [f"Left out as mannequin: {name}." for name in names]


def _is_body(points: Floats, faces: Ints, extent: float) -> bool:
    corners = points[faces]
    size = float(np.ptp(corners.reshape(-1, 3), axis=0).max())
    if size < LARGE * extent or open_length(points, faces) > CLOSED * size:
        return False
    volume = abs(float(np.linalg.det(corners - corners.reshape(-1, 3).mean(axis=0)).sum())) / 6
    return volume / max(float(areas(points, faces).sum()) * size, 1e-30) > FULL


def main_parts(points: Floats, faces: Ints) -> tuple[Ints, Ints]:
    """(F,) connected part of each triangle, and the parts that are no detail."""
    part = parts_of(faces, len(points))
    area = np.bincount(part, areas(points, faces))
    return part, np.flatnonzero(area > MAIN_PART * area.sum()).astype(np.int32)


def check_one_garment(category: Category, mesh: RenderMesh, points: Floats, faces: Ints, tables: BodyTables) -> None:
    """Raises `BrandRefused` when a large part of a garment on the body belongs elsewhere: trousers under a shirt.

    points, faces : welded; faces in the order of the mesh's
    """
    if category == "dress":
        return
    part, large = main_parts(points, faces)
    for name in large:
        height = points[faces[part == name]][:, :, 2]
        is_foreign = height.max() < tables.waist if category in TOPS else height.min() > tables.waist
        if is_foreign:
            raise several_garments(category, mesh, part)


def several_garments(category: Category, mesh: RenderMesh, part: Ints | Bools) -> BrandRefused:
    return BrandRefused(
        "meshes",
        f"The file holds more than one {category}, or other garments beside it; send one garment in each file.",
        code="garment_unclear",
        picture_png=picture_of_parts(mesh, part),
    )
