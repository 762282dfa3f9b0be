"""A dressed brand garment as a GLB: morph targets where all sizes come from one file, else a node for each size.

Convention: y up, metres, feet at 0, facing +z, as the avatar of the same body. Exactly one size is shown at a time: in
the first form by the weights of the morph targets, in the second by which node is visible.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from gpu_worker.body.arrays import Floats
from gpu_worker.garments.brand.source import Source
from gpu_worker.garments.brand.worn import BrandDressed, BrandWorn
from gpu_worker.garments.glb import attribute_of
from gpu_worker.gltf import (
    FLOAT,
    QUANTIZATION,
    SIGNED_SHORT,
    UNSIGNED_BYTE,
    UNSIGNED_SHORT,
    GltfFile,
    meshopt_is_available,
)

POSITION_STEPS = 2**14 - 1
EASE_STEP_M = 0.001
PLAIN = {"name": "cloth", "doubleSided": True, "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.9}}
TEXTURES = ("normalTexture", "occlusionTexture", "emissiveTexture")


def encode_sizes(dressed: BrandDressed, floor_m: float, *, base: str) -> bytes:
    """The GLB of all sizes that fit on.

    floor_m : height of the body's lowest point, so that garment and avatar stand on the same floor
    """
    shown = {size: worn for size, worn in dressed.sizes.items() if worn.fits_on}
    file = GltfFile(compressed=meshopt_is_available(), extensions={QUANTIZATION})
    materials = _Materials(file)
    groups = {worn.source for worn in shown.values()}
    is_one_file = len(groups) == 1
    extras = {
        "units": "metres",
        "layout": "morphs" if is_one_file else "nodes",
        "sizes": list(dressed.prepared.sizes),
        "base": base,
        "ease": {size: attribute_of(size) for size in shown},
        "graded": [size for size, worn in shown.items() if worn.status == "graded"],
        "unavailable": [size for size in dressed.prepared.sizes if size not in shown],
    }
    if is_one_file:
        source = dressed.prepared.sources[shown[base].source]
        file.nodes = [_sizes_as_morphs(file, materials, source, shown, base, floor_m)]
        others = [size for size in shown if size != base]
        file.meshes[0] |= {"name": dressed.category, "extras": {**extras, "targetNames": others}}
        return file.to_glb()
    nodes = []
    for size, worn in shown.items():
        source = dressed.prepared.sources[worn.source]
        node = _sizes_as_morphs(file, materials, source, {size: worn}, size, floor_m)
        nodes.append({**node, "name": size})
    children = list(range(1, len(nodes) + 1))
    file.nodes = [{"name": "garment", "children": children, "extras": extras}, *nodes]
    return file.to_glb()


def _sizes_as_morphs(
    file: GltfFile, materials: "_Materials", source: Source, shown: Mapping[str, BrandWorn], base: str, floor_m: float
) -> dict[str, Any]:
    """Add a mesh in which the base size is drawn and the others are targets; the node that shows it."""
    placed = {size: _y_up(worn.drawn, floor_m) for size, worn in shown.items()}
    low = np.min([points.min(axis=0) for points in placed.values()], axis=0)
    high = np.max([points.max(axis=0) for points in placed.values()], axis=0)
    step = float((high - low).max()) / POSITION_STEPS
    steps = {size: np.round((points - low) / step) for size, points in placed.items()}
    attributes = _attributes(file, source, shown, base)
    attributes["POSITION"] = file.add_vertices(steps[base].astype(np.uint16), UNSIGNED_SHORT, bounds=True)
    targets = [
        {"POSITION": file.add_vertices((steps[size] - steps[base]).astype(np.int16), SIGNED_SHORT, bounds=True)}
        for size in shown
        if size != base
    ]
    primitives = []
    for number in np.unique(source.mesh.material):
        faces = source.mesh.faces[source.mesh.material == number]
        primitive = {"attributes": attributes, "indices": file.add_triangles(faces)}
        primitive |= {"material": materials.number(source, int(number)), **({"targets": targets} if targets else {})}
        primitives.append(primitive)
    mesh: dict[str, Any] = {"name": base, "primitives": primitives}
    file.meshes.append({**mesh, "weights": [0.0] * len(targets)} if targets else mesh)
    return {"name": "garment", "mesh": len(file.meshes) - 1, "translation": low.tolist(), "scale": [step] * 3}


def _attributes(file: GltfFile, source: Source, shown: Mapping[str, BrandWorn], base: str) -> dict[str, int]:
    mesh = source.mesh
    normals = source.normals(shown[base].points)[:, [0, 2, 1]] * np.array([1.0, 1.0, -1.0])
    attributes = {"NORMAL": file.add_normals(normals)}
    if mesh.texture is not None:
        attributes["TEXCOORD_0"] = file.add_vertices(mesh.texture.astype(np.float32), FLOAT)
    if mesh.colour is not None:
        colours = np.round(np.clip(mesh.colour, 0, 1) * 255).astype(np.uint8)
        attributes["COLOR_0"] = file.add_vertices(colours, UNSIGNED_BYTE, normalised=True)
    for size, worn in shown.items():
        ease = np.round(np.asarray(source.carry @ worn.ease) / EASE_STEP_M) * EASE_STEP_M
        attributes[attribute_of(size)] = file.add_vertices(ease[:, None].astype(np.float32), FLOAT)
    return attributes


class _Materials:
    """Materials and pictures of a file, each written once however many sizes share it."""

    def __init__(self, file: GltfFile) -> None:
        self.file = file
        self._pictures: dict[bytes, int] = {}
        self._numbers: dict[str, int] = {}

    def number(self, source: Source, material: int) -> int:
        look = source.look
        made = dict(PLAIN if material < 0 else look.materials[material])
        rough = dict(made.get("pbrMetallicRoughness", {}))
        for owner, names in ((made, TEXTURES), (rough, ("baseColorTexture", "metallicRoughnessTexture"))):
            for name in names:
                if name in owner:
                    image = look.images[look.textures[owner[name]["index"]]["source"]]
                    owner[name] = {**owner[name], "index": self._picture(*image)}
        made["pbrMetallicRoughness"] = {"metallicFactor": 0.0, **rough}
        self.file.optional_extensions |= _extensions_in(made)
        key = repr(sorted(made.items()))
        if key not in self._numbers:
            self._numbers[key] = len(self.file.materials)
            self.file.materials.append(made)
        return self._numbers[key]

    def _picture(self, media_type: str, data: bytes) -> int:
        if data not in self._pictures:
            self._pictures[data] = self.file.add_picture(media_type, data)
        return self._pictures[data]


def _extensions_in(value: object) -> set[str]:
    """Names of the extensions used anywhere in a material."""
    if isinstance(value, dict):
        own = set(value.get("extensions", {}))
        return own.union(*(_extensions_in(part) for part in value.values()))
    return set()


def _y_up(points: Floats, floor_m: float) -> Floats:
    return np.stack([points[:, 0], points[:, 2] - floor_m, -points[:, 1]], axis=1)
