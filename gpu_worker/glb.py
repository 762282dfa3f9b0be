"""A body as files: the avatar GLB for browsers and `body.npz` for dressing. Same input, same bytes.

Convention: in the GLB y is up, metres, feet at 0, facing +z; the canonical body is z up, facing -y, so (x, z, -y).
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from gpu_worker.body.archive import encode_npz
from gpu_worker.body.arrays import Floats, Ints
from gpu_worker.body.canonical import CanonicalBody
from gpu_worker.body.display import Display, Surface
from gpu_worker.gltf import FLOAT, QUANTIZATION, UNSIGNED_SHORT, GltfFile, cache_order, meshopt_is_available

MATTE_SKIN = ("skin", (0.48, 0.432, 0.386), 0.9)
MATTE_BASE = ("base_layer", (0.115, 0.12, 0.135), 0.95)
"""Name, linear RGB, roughness. Neutral and matte: a mannequin, nobody's skin."""

POSITION_STEPS = 2**13 - 1
"""Steps over the longest side: .22 mm on a person of 1.8 m, so no vertex is off by more than .11 mm on an axis."""


def encode_avatar(body: CanonicalBody, vertices: Floats, *, compress: bool) -> bytes:
    """The avatar, base layer always included.

    vertices : (V, 3) metres, rest pose, z up
    compress : quantised and, where meshoptimizer is built, compressed; otherwise plain float32
    """
    surface = _y_up(_display(body, for_meshopt=compress and meshopt_is_available()).surface(vertices))
    document = GltfFile(extras={"body_version": body.version, "units": "metres"})
    if not compress:
        _write_plain(document, surface)
    else:
        _write_quantised(document, surface)
    return document.to_glb()


def encode_body_npz(
    body: CanonicalBody, parameters: Floats, vertices: Floats, measurements: Mapping[str, float]
) -> bytes:
    """What dressing needs: the parameters are the truth, the half-precision vertices are up to .5 mm off above 1 m.

    parameters   : (22,), in the order of `gpu_worker.body.family.PARAMETERS`
    measurements : wire name -> cm or kg, as the tape reads them on this body
    """
    names = sorted(measurements)
    return encode_npz(
        {
            "body_version": np.array(body.version, np.uint8),
            "parameters": parameters.astype(np.float64),
            "vertices": vertices.astype(np.float16),
            "measurement_names": np.array(names),
            "measurements": np.array([measurements[name] for name in names], np.float64),
        }
    )


def _y_up(surface: Surface) -> Surface:
    turn = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    vertices = surface.vertices @ turn
    vertices[:, 1] -= vertices[:, 1].min()
    return Surface(vertices, surface.normals @ turn, surface.skin, surface.base)


@lru_cache(maxsize=2)
def _display(body: CanonicalBody, *, for_meshopt: bool) -> Display:
    return Display(body, _cache_and_fetch_order) if for_meshopt else Display(body)


def _cache_and_fetch_order(skin: Ints, base: Ints, vertex_count: int) -> tuple[Ints, Ints, Ints]:
    """Triangles in the order a vertex cache likes, vertices in the order triangles fetch them: both compress better."""
    parts = [_cache_order(faces, vertex_count) for faces in (skin, base)]
    indices = np.concatenate(parts)
    first_use = np.unique(indices, return_index=True)[1]
    order = indices[np.sort(first_use)]
    place = np.zeros(vertex_count, np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    skin_parts, base_parts = (place[part].reshape(-1, 3) for part in parts)
    return order, skin_parts, base_parts


def _cache_order(faces: Ints, vertex_count: int) -> Ints:
    return cache_order(np.ascontiguousarray(faces.reshape(-1), np.uint32), vertex_count)


def _write_plain(document: GltfFile, surface: Surface) -> None:
    positions = document.add_vertices(surface.vertices.astype(np.float32), FLOAT, bounds=True)
    normals = document.add_vertices(surface.normals.astype(np.float32), FLOAT)
    _write_primitives(document, surface, positions, normals, node={})


def _write_quantised(document: GltfFile, surface: Surface) -> None:
    document.extensions.add(QUANTIZATION)
    document.compressed = meshopt_is_available()
    low = surface.vertices.min(axis=0)
    step = float(np.ptp(surface.vertices, axis=0).max()) / POSITION_STEPS
    steps = np.round((surface.vertices - low) / step).astype(np.uint16)
    positions = document.add_vertices(steps, UNSIGNED_SHORT, bounds=True)
    normals = document.add_normals(surface.normals)
    node = {"translation": low.tolist(), "scale": [step] * 3}
    _write_primitives(document, surface, positions, normals, node=node)


def _write_primitives(
    document: GltfFile, surface: Surface, positions: int, normals: int, *, node: dict[str, Any]
) -> None:
    attributes = {"POSITION": positions, "NORMAL": normals}
    primitives = [
        {"attributes": attributes, "indices": document.add_triangles(faces), "material": material}
        for material, faces in enumerate((surface.skin, surface.base))
    ]
    document.meshes = [{"name": "avatar", "primitives": primitives}]
    document.materials = [_material(*look) for look in (MATTE_SKIN, MATTE_BASE)]
    document.nodes = [{"name": "avatar", "mesh": 0, **node}]


def _material(name: str, colour: tuple[float, float, float], roughness: float) -> dict[str, Any]:
    matte = {"baseColorFactor": [*colour, 1.0], "metallicFactor": 0.0, "roughnessFactor": roughness}
    return {"name": name, "pbrMetallicRoughness": matte}
