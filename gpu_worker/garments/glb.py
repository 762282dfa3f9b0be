"""A dressed garment as a GLB: one mesh, one morph target per further size, `_EASE_<size>` for the heat map.

Convention: y up, metres, feet at 0, facing +z, as the avatar of the same body. Exactly one size is shown at a time:
all weights 0 is the base size, one weight at 1 another. Normals are the base size's: a viewer computes the others'.
"""

import re
from typing import Any

import numpy as np

from gpu_worker.body.arrays import Floats
from gpu_worker.garments.atlas import layout_of
from gpu_worker.garments.drawn import Drawn, drawn, shade
from gpu_worker.garments.dress import Dressed, sheet_of
from gpu_worker.garments.look import ROUGHNESS, Look, fabric_of
from gpu_worker.garments.pattern import vertex_normals
from gpu_worker.garments.pictures import photo_picture, print_picture, sewn_picture, shade_picture
from gpu_worker.garments.weave import weave_of
from gpu_worker.gltf import (
    FLOAT,
    QUANTIZATION,
    SIGNED_SHORT,
    TRANSFORM,
    UNSIGNED_BYTE,
    UNSIGNED_SHORT,
    GltfFile,
    meshopt_is_available,
)

__all__ = ["Look", "attribute_of", "encode_garment"]

POSITION_STEPS = 2**14 - 1
ATLAS_STEPS, SHADE_STEPS = 2**16 - 1, 2**8 - 1
CLOTH_STEP_M = 0.0001
EASE_STEP_M = 0.001
WEAVE_DEPTH = 0.8


def attribute_of(size: str) -> str:
    """Name of a size's ease attribute: what glTF and three.js can carry."""
    return "_EASE_" + re.sub(r"[^A-Z0-9]+", "_", size.upper()).strip("_")


def encode_garment(dressed: Dressed, floor_m: float, *, base: str, look: Look | None = None, compress: bool) -> bytes:
    """The GLB of all sizes that fit on; `base` is the size without a morph target.

    floor_m : height of the body's lowest point, so that garment and avatar stand on the same floor
    """
    sizes = [size for size, worn in dressed.sizes.items() if worn.fits_on]
    if base not in sizes:
        raise ValueError(f"Size {base} is not among those that can be shown.")
    others = [size for size in sizes if size != base]
    document = GltfFile(compressed=compress and meshopt_is_available(), extensions={QUANTIZATION})
    points = {size: dressed.pattern.with_hems(dressed.sizes[size].points) for size in sizes}
    render = drawn(dressed.pattern, layout_of(dressed.category), points[base])
    placed = {size: _y_up(points[size], floor_m) for size in sizes}
    low = np.min([placed[size].min(axis=0) for size in sizes], axis=0)
    step = float(max(np.ptp(placed[base], axis=0).max(), 0.1)) * 1.2 / POSITION_STEPS
    steps = {size: np.round((placed[size] - low) / step)[render.source] for size in sizes}
    attributes = _attributes(document, dressed, points[base], placed[base], render)
    attributes["POSITION"] = document.add_vertices(steps[base].astype(np.uint16), UNSIGNED_SHORT, bounds=True)
    for size in sizes:
        ease = _with_hems(dressed, dressed.sizes[size].ease)[render.source]
        rounded = np.round(ease / EASE_STEP_M) * EASE_STEP_M
        attributes[attribute_of(size)] = document.add_vertices(rounded[:, None].astype(np.float32), FLOAT)
    targets = [
        {"POSITION": document.add_vertices((steps[size] - steps[base]).astype(np.int16), SIGNED_SHORT, bounds=True)}
        for size in others
    ]
    primitive: dict[str, Any] = {
        "attributes": attributes,
        "indices": document.add_triangles(render.faces),
        "material": 0,
        **({"targets": targets} if targets else {}),
    }
    mesh = {"name": dressed.category, "primitives": [primitive], "extras": _extras(dressed, sizes, base)}
    document.meshes = [{**mesh, "weights": [0.0] * len(targets)} if targets else mesh]
    document.nodes = [{"name": "garment", "mesh": 0, "translation": low.tolist(), "scale": [step] * 3}]
    document.materials = [_material(document, dressed, look or Look())]
    return document.to_glb()


def _attributes(document: GltfFile, dressed: Dressed, points: Floats, placed: Floats, render: Drawn) -> dict[str, int]:
    normals = vertex_normals(placed, dressed.pattern.all_faces)[render.source]
    seen = shade(dressed.pattern, sheet_of(dressed.category), points)[render.source]
    colours = np.repeat(np.round(seen * SHADE_STEPS)[:, None], 4, axis=1).astype(np.uint8)
    colours[:, 3] = SHADE_STEPS
    return {
        "NORMAL": document.add_normals(normals),
        "TEXCOORD_0": document.add_vertices(np.round(render.cloth / CLOTH_STEP_M).astype(np.uint16), UNSIGNED_SHORT),
        "TEXCOORD_1": document.add_vertices(
            np.round(render.atlas * ATLAS_STEPS).astype(np.uint16), UNSIGNED_SHORT, normalised=True
        ),
        "COLOR_0": document.add_vertices(colours, UNSIGNED_BYTE, normalised=True),
    }


def _extras(dressed: Dressed, sizes: list[str], base: str) -> dict[str, Any]:
    return {
        "units": "metres",
        "sizes": list(dressed.sizes),
        "base": base,
        "targetNames": [size for size in sizes if size != base],
        "ease": {size: attribute_of(size) for size in sizes},
        "estimated": {size: list(worn.row.estimated) for size, worn in dressed.sizes.items()},
        "unavailable": [size for size, worn in dressed.sizes.items() if not worn.fits_on],
    }


def _material(document: GltfFile, dressed: Dressed, look: Look) -> dict[str, Any]:
    """The atlas on the second texture coordinates; weave and print on the first, which are steps of the cloth."""
    fabric = fabric_of(dressed.category, look)
    weave = weave_of(fabric)
    document.optional_extensions.add(TRANSFORM)

    def on_cloth(picture: int, tile_m: float) -> dict[str, Any]:
        return {"index": picture, "extensions": {TRANSFORM: {"scale": [CLOTH_STEP_M / tile_m] * 2}}}

    def on_atlas(picture: int) -> dict[str, Any]:
        return {"index": picture, "texCoord": 1}

    material: dict[str, Any] = {"name": fabric, "doubleSided": True}
    if look.texture is not None:
        print_ = print_picture(look.texture)
        colour = on_cloth(document.add_picture(print_.media_type, print_.data), look.tile_cm / 100)
        sewn = shade_picture(dressed.category, fabric)
        material["occlusionTexture"] = on_atlas(document.add_picture(sewn.media_type, sewn.data))
    else:
        cloth = (
            sewn_picture(dressed.category, fabric, look.colour)
            if look.photo is None
            else photo_picture(dressed.category, fabric, look.photo)
        )
        colour = on_atlas(document.add_picture(cloth.media_type, cloth.data))
    threads = on_cloth(document.add_picture("image/png", weave.png), weave.width_m)
    roughness = ROUGHNESS[fabric] if look.roughness is None else look.roughness
    return {
        **material,
        "normalTexture": {**threads, "scale": WEAVE_DEPTH},
        "pbrMetallicRoughness": {"baseColorTexture": colour, "metallicFactor": 0.0, "roughnessFactor": roughness},
    }


def _with_hems(dressed: Dressed, ease: Floats) -> Floats:
    """The inner sheets take the ease of their edge."""
    return np.concatenate([ease, *(np.tile(ease[edge], 2) for edge, _ in dressed.pattern.hems.values())])


def _y_up(points: Floats, floor_m: float) -> Floats:
    return np.stack([points[:, 0], points[:, 2] - floor_m, -points[:, 1]], axis=1)
