"""The triangles of a GLB where its scene puts them: node transforms and the skin's pose applied.

Convention: glTF's own, y up; units as the file has them, told apart later.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpu_worker.body.arrays import Floats, Ints
from gpu_worker.garments.brand.accessors import Accessors
from gpu_worker.garments.brand.container import Container, Json, entries, integer, mapping, numbers
from gpu_worker.garments.brand.refused import BrandRefused

MAX_TRIANGLES = 300_000
MAX_DEPTH = 64
TRIANGLES, STRIP, FAN = 4, 5, 6
IDENTITY = tuple(float(value) for value in np.eye(4).reshape(-1))
NONE, VEC2, VEC3, VEC4 = frozenset({"SCALAR"}), frozenset({"VEC2"}), frozenset({"VEC3"}), frozenset({"VEC4"})


@dataclass(frozen=True, eq=False)
class Piece:
    """One primitive of one node.

    points : (N, 3); faces : (F, 3), counter-clockwise from outside as authored
    texture : (N, 2) or None; colour : (N, 4) 0 to 1 or None; material : row of the file's materials, or None
    """

    name: str
    points: Floats
    faces: Ints
    texture: Floats | None
    colour: Floats | None
    material: int | None


@dataclass(frozen=True, eq=False)
class _Placed:
    """A node of the scene: its number, its JSON, and its (4, 4) transform to the world."""

    number: int
    node: Json
    world: Floats


class SceneReader:
    """Reads one file's default scene."""

    def __init__(self, container: Container) -> None:
        self.container = container
        self.accessors = Accessors(container)
        self.warnings: list[str] = []
        self._triangles = 0

    def pieces(self) -> list[Piece]:
        """Every triangle primitive. Raises `BrandRefused` when there is none."""
        placed = {entry.number: entry for entry in self._placed()}
        found = [piece for entry in placed.values() for piece in self._pieces_of(entry, placed)]
        if not found:
            raise BrandRefused("meshes", "The file has no triangles.")
        return found

    def _placed(self) -> Iterator[_Placed]:
        nodes = self.container.items("nodes")
        scenes = self.container.items("scenes")
        if scenes:
            number = integer(self.container.document, "scene", "document", default=0)
            roots = entries(self.container.item("scenes", number, "scene"), "nodes", f"scenes[{number}]")
        else:
            below = {child for node in nodes for child in entries(node, "children", "nodes") if isinstance(child, int)}
            roots = [number for number in range(len(nodes)) if number not in below]
        seen: set[int] = set()
        waiting = [(root, np.eye(4), 0) for root in reversed(roots)]
        while waiting:
            number, above, depth = waiting.pop()
            node = self.container.item("nodes", number, f"nodes[{number}]")
            if number in seen or depth > MAX_DEPTH:
                raise BrandRefused(f"nodes[{number}]", "A node has two parents, is its own ancestor, or lies too deep.")
            seen.add(number)
            world = above @ _local(node, f"nodes[{number}]")
            yield _Placed(number, node, world)
            children = entries(node, "children", f"nodes[{number}]")
            waiting += [(child, world, depth + 1) for child in reversed(children)]

    def _pieces_of(self, entry: _Placed, placed: Mapping[int, _Placed]) -> Iterator[Piece]:
        if "mesh" not in entry.node:
            return
        where = f"nodes[{entry.number}]"
        mesh = self.container.item("meshes", entry.node["mesh"], f"{where}.mesh")
        name = " ".join(dict.fromkeys(str(named["name"]) for named in (entry.node, mesh) if named.get("name")))
        field = f"meshes[{entry.node['mesh']}]"
        for row, primitive in enumerate(entries(mesh, "primitives", field)):
            here = f"{field}.primitives[{row}]"
            if not isinstance(primitive, dict):
                raise BrandRefused(here, f"{here} must be an object.")
            piece = self._piece(name, primitive, here, entry, placed)
            if piece is not None:
                yield piece

    def _piece(
        self, name: str, primitive: Json, where: str, entry: _Placed, placed: Mapping[int, _Placed]
    ) -> Piece | None:
        mode = integer(primitive, "mode", where, default=TRIANGLES)
        if mode not in {TRIANGLES, STRIP, FAN}:
            self.warnings.append(f"{where}: points and lines are left out.")
            return None
        attributes = mapping(primitive, "attributes", where)
        if "POSITION" not in attributes:
            raise BrandRefused(f"{where}.attributes", f"{where} has no POSITION.")
        points = self.accessors.floats(attributes["POSITION"], f"{where}.POSITION", VEC3)
        faces = self._faces(primitive, where, mode, len(points))
        self._triangles += len(faces)
        if self._triangles > MAX_TRIANGLES:
            raise BrandRefused("meshes", f"The scene has more than {MAX_TRIANGLES:,} triangles; simplify the mesh.")
        turned, flips = self._world(points, attributes, where, entry, placed)
        texture = self._optional(attributes, "TEXCOORD_0", where, len(points), VEC2)
        colour = self._optional(attributes, "COLOR_0", where, len(points), VEC3 | VEC4)
        if colour is not None and colour.shape[1] == 3:
            colour = np.concatenate([colour, np.ones((len(colour), 1))], axis=1)
        material = integer(primitive, "material", where) if "material" in primitive else None
        if material is not None:
            self.container.item("materials", material, f"{where}.material")
        return Piece(name, turned, faces[:, ::-1].copy() if flips else faces, texture, colour, material)

    def _optional(self, attributes: Json, name: str, where: str, count: int, kinds: frozenset[str]) -> Floats | None:
        if name not in attributes:
            return None
        values = self.accessors.floats(attributes[name], f"{where}.{name}", kinds)
        if len(values) != count:
            raise BrandRefused(f"{where}.{name}", f"{name} has {len(values):,} entries for {count:,} vertices.")
        return values

    def _faces(self, primitive: Json, where: str, mode: int, count: int) -> Ints:
        """(F, 3), strips and fans taken apart."""
        if "indices" in primitive:
            stored = self.accessors.read(primitive["indices"], f"{where}.indices", NONE).reshape(-1)
            if stored.dtype.kind != "u":
                raise BrandRefused(f"{where}.indices", "Indices must be unsigned integers.")
            if int(stored.max()) >= count:
                raise BrandRefused(f"{where}.indices", f"An index is {int(stored.max()):,} of {count:,} vertices.")
            indices = stored.astype(np.int32)
        else:
            indices = np.arange(count, dtype=np.int32)
        if mode == TRIANGLES:
            if len(indices) % 3:
                raise BrandRefused(f"{where}.indices", f"{len(indices):,} indices do not make whole triangles.")
            return indices.reshape(-1, 3)
        if len(indices) < 3:
            raise BrandRefused(f"{where}.indices", "A strip or fan has fewer than three indices.")
        if mode == FAN:
            return np.stack([np.full(len(indices) - 2, indices[0]), indices[1:-1], indices[2:]], axis=1)
        strip = np.stack([indices[:-2], indices[1:-1], indices[2:]], axis=1)
        strip[1::2] = strip[1::2, ::-1]
        return strip

    def _world(
        self, points: Floats, attributes: Json, where: str, entry: _Placed, placed: Mapping[int, _Placed]
    ) -> tuple[Floats, bool]:
        """World positions, and whether the transform turns triangles inside out."""
        if "skin" in entry.node and "JOINTS_0" in attributes:
            return self._skinned(points, attributes, where, entry, placed), False
        turned = points @ entry.world[:3, :3].T + entry.world[:3, 3]
        if not np.isfinite(turned).all():
            raise BrandRefused(f"nodes[{entry.number}]", "A node's transform sends vertices to infinity.")
        return turned, float(np.linalg.det(entry.world[:3, :3])) < 0

    def _skinned(
        self, points: Floats, attributes: Json, where: str, entry: _Placed, placed: Mapping[int, _Placed]
    ) -> Floats:
        """Linear blend skinning with the joints where the scene has them."""
        field = f"skins[{entry.node['skin']}]"
        skin = self.container.item("skins", entry.node["skin"], field)
        joints = entries(skin, "joints", field)
        if not joints or not all(isinstance(joint, int) and joint in placed for joint in joints):
            raise BrandRefused(f"{field}.joints", "A skin refers to joints that the scene does not have.")
        matrices = np.stack([placed[joint].world for joint in joints])
        if "inverseBindMatrices" in skin:
            inverse = self.accessors.floats(skin["inverseBindMatrices"], field, frozenset({"MAT4"}))
            if len(inverse) < len(joints):
                raise BrandRefused(field, "A skin has fewer inverse bind matrices than joints.")
            matrices = matrices @ inverse[: len(joints)].reshape(-1, 4, 4).transpose(0, 2, 1)
        rows = self.accessors.read(attributes["JOINTS_0"], f"{where}.JOINTS_0", VEC4).astype(np.int64)
        weights = self._optional(attributes, "WEIGHTS_0", where, len(points), VEC4)
        if weights is None or len(rows) != len(points) or rows.max() >= len(joints) or rows.min() < 0:
            raise BrandRefused(f"{where}.JOINTS_0", "JOINTS_0 and WEIGHTS_0 do not fit the skin and the vertices.")
        total = weights.sum(axis=1, keepdims=True)
        if (total < 1e-6).any():
            raise BrandRefused(f"{where}.WEIGHTS_0", "A vertex has no weights.")
        moved = np.einsum("njab,nb->nja", matrices[rows][:, :, :3, :3], points) + matrices[rows][:, :, :3, 3]
        posed: Floats = (moved * (weights / total)[:, :, None]).sum(axis=1)
        if not np.isfinite(posed).all():
            raise BrandRefused(field, "The skin's pose sends vertices to infinity.")
        return posed


def _local(node: Mapping[str, Any], where: str) -> Floats:
    """(4, 4) transform of a node to its parent."""
    if "matrix" in node:
        return np.array(numbers(node, "matrix", where, IDENTITY)).reshape(4, 4).T
    x, y, z, w = numbers(node, "rotation", where, (0.0, 0.0, 0.0, 1.0))
    length = float(np.sqrt(x * x + y * y + z * z + w * w))
    if length < 1e-6:
        raise BrandRefused(f"{where}.rotation", "A node's rotation is no unit quaternion.")
    x, y, z, w = x / length, y / length, z / length, w / length
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    local = np.eye(4)
    local[:3, :3] = turn * np.array(numbers(node, "scale", where, (1.0, 1.0, 1.0)))
    local[:3, 3] = numbers(node, "translation", where, (0.0, 0.0, 0.0))
    return local
