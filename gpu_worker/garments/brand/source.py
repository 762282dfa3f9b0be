"""One upload made ready: from a GLB's bytes to cloth bound to its reference body."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from gpu_worker.body.arrays import Floats, Ints
from gpu_worker.garments.brand.align import Fixed, scaled
from gpu_worker.garments.brand.bind import Bound, bind
from gpu_worker.garments.brand.look import Look
from gpu_worker.garments.brand.mesh import RenderMesh, merged, refined, welded, without_doubles
from gpu_worker.garments.brand.read_glb import Upload, read_glb
from gpu_worker.garments.brand.reference import Build, Reference, References
from gpu_worker.garments.brand.refused import BrandRefused
from gpu_worker.garments.brand.repair import MOST_POINTS, WELD_M, Proxy, repaired
from gpu_worker.garments.brand.separate import check_one_garment, main_parts, several_garments, without_mannequin
from gpu_worker.garments.brand.tubes import frames_of
from gpu_worker.garments.chart import Category
from gpu_worker.garments.pattern import vertex_normals
from gpu_worker.garments.tables import ARM, FOREARM, HAND, share_of

LONGEST_EDGE_M = 0.022
"""Edges are cut in half until they are shorter: a long flat triangle cannot bend round another body."""


@dataclass(frozen=True, eq=False)
class Source:
    """A size's own file, on its reference body.

    mesh  : what is drawn, canonical, triangles with their outside out
    carry : (R, P) how render vertices follow the proxy
    """

    mesh: RenderMesh
    bound: Bound
    carry: "sparse.csr_array[np.float64]"
    look: Look

    def drawn(self, points: Floats) -> Floats:
        """(R, 3) the render mesh with its proxy at `points` (P, 3)."""
        moved: Floats = self.mesh.points + np.asarray(self.carry @ (points - self.bound.points))
        return moved

    def normals(self, points: Floats) -> Floats:
        """(R, 3) the proxy's, so that shading does not show texture seams."""
        carried = np.asarray(self.carry @ vertex_normals(points, self.bound.faces))
        unit: Floats = carried / np.maximum(np.linalg.norm(carried, axis=1, keepdims=True), 1e-9)
        return unit


@dataclass(frozen=True, eq=False)
class Prepared:
    """A source and what there is to say about it."""

    category: Category
    source: Source
    reference: Reference
    report: dict[str, Any]


def prepare_source(
    category: Category, glb: bytes, references: References, *, length_m: float | None, first: Build | None
) -> Prepared:
    """Raises `BrandRefused`.

    length_m : the chart's length, where it has one; first : a reference body to try before the default
    """
    upload = read_glb(glb)
    mesh, warnings = without_mannequin(merged(upload.pieces), upload.pieces)
    metres, fixed = _in_metres(category, mesh, length_m)
    mesh, doubled = without_doubles(mesh.at(metres), WELD_M)
    mesh = refined(mesh, LONGEST_EDGE_M, MOST_POINTS)
    place = welded(mesh.points, WELD_M)
    points = np.zeros((int(place.max()) + 1, 3))
    points[place] = mesh.points
    faces = place[mesh.faces]
    reference = references.find(category, points, faces, first)
    body = reference.body.body
    check_one_garment(category, mesh, reference.seated.points, faces, body.tables)
    mesh = mesh.at(reference.seated.points[place])
    proxy = repaired(mesh, body.skin.distance(mesh.points)[1])
    arm_share = share_of(references.wardrobe.body, (*ARM, *FOREARM, *HAND))
    bound = bind(category, proxy, body.tables, body.skin, frames_of(category, body.tables), arm_share)
    if "trunk" not in bound.tubes:
        raise BrandRefused("meshes", f"The mesh does not go round the body as a {category} does.")
    source = Source(_outside_out(mesh, proxy), bound, proxy.carry, upload.look)
    return Prepared(category, source, reference, _report(upload, warnings, fixed, reference, proxy, doubled))


def _in_metres(category: Category, mesh: RenderMesh, length_m: float | None) -> tuple[Floats, Fixed]:
    try:
        return scaled(mesh.points, category, length_m)
    except BrandRefused:
        place = welded(mesh.points, max(float(np.ptp(mesh.points, axis=0).max()) * 1e-5, 1e-12))
        points = np.zeros((int(place.max()) + 1, 3))
        points[place] = mesh.points
        part, large = main_parts(points, place[mesh.faces])
        if len(large) > 1:
            raise several_garments(category, mesh, part) from None
        raise


def _outside_out(mesh: RenderMesh, proxy: Proxy) -> RenderMesh:
    faces: Ints = np.where(proxy.flipped[:, None], mesh.faces[:, ::-1], mesh.faces).astype(np.int32)
    return RenderMesh(mesh.points, faces, mesh.material, mesh.piece, mesh.texture, mesh.colour)


def _report(
    upload: Upload, warnings: list[str], fixed: Fixed, reference: Reference, proxy: Proxy, doubled: int
) -> dict[str, Any]:
    build = reference.body.build
    turned = reference.seated.turn
    orientation: Mapping[str, Any] = {
        "scale_fixed": fixed.scale,
        "up_fixed": fixed.up or ("upside down" if turned[2, 2] < 0 else None),
        "turned_degrees": (fixed.turned_degrees or 0) + (180 if turned[1, 1] < 0 else 0),
        "arms_turned_degrees": round(reference.seated.arm_degrees, 1),
    }
    return {
        **orientation,
        "repairs": {**proxy.repairs.as_json(), "duplicate_faces": doubled + proxy.repairs.duplicate_faces},
        "reference_body": {"gender": build.gender, "height": build.height, "weight": build.weight},
        "overlap": round(reference.seated.overlap, 4),
        "warnings": [*upload.warnings, *warnings],
    }
