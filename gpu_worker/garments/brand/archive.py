"""A prepared garment as bytes and back: flat arrays by name, sparse operators as their three arrays.

Same garment, same bytes. Reading checks the version and never unpickles.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from gpu_worker.body.archive import encode_npz
from gpu_worker.garments.brand.bind import Bound, BoundTube
from gpu_worker.garments.brand.look import Look
from gpu_worker.garments.brand.mesh import RenderMesh
from gpu_worker.garments.brand.source import Source

FORMAT_VERSION = 1
Arrays = dict[str, NDArray[Any]]
DENSE = ("index", "weight", "along", "angle", "share", "rows", "offset", "hull", "perimeter", "cut_row")
BOUND = ("points", "faces", "part", "base", "arm", "yoke", "underarm", "above", "below", "gap")
INTEGERS = frozenset({"index", "cut_row", "faces", "part", "yoke", "underarm", "above", "below"})


def pack(sources: Mapping[str, Source], about: Mapping[str, Any], preview_png: bytes) -> bytes:
    """`about` is everything that is JSON."""
    arrays: Arrays = {"version": np.array(FORMAT_VERSION)}
    materials = {}
    for row, (size, source) in enumerate(sources.items()):
        arrays |= {f"{row}.{name}": array for name, array in _flat(source).items()}
        mime = [mime for mime, _ in source.look.images]
        materials[size] = {"materials": source.look.materials, "textures": source.look.textures, "mime": mime}
    text = json.dumps({**about, "sources": materials}, sort_keys=True).encode()
    arrays["about"] = np.frombuffer(text, np.uint8)
    arrays["preview"] = np.frombuffer(preview_png, np.uint8)
    return encode_npz(arrays)


def unpack(npz: bytes) -> tuple[dict[str, Source], dict[str, Any], bytes]:
    """Raises `ValueError` when the bytes are no prepared garment of this version."""
    try:
        with np.load(io.BytesIO(npz), allow_pickle=False) as archive:
            arrays: Arrays = {name: archive[name] for name in archive.files}
        version, about = int(arrays["version"]), json.loads(arrays["about"].tobytes())
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as broken:
        raise ValueError(f"These bytes are no prepared garment: {broken}") from broken
    if version != FORMAT_VERSION:
        raise ValueError(f"Version {version} of a prepared garment is not read; prepare it again.")
    materials = about.pop("sources")
    sources = {
        size: _source(arrays, f"{row}.", materials[size]) for row, size in enumerate(_in_order(about, materials))
    }
    return sources, about, arrays["preview"].tobytes()


def _in_order(about: Mapping[str, Any], materials: Mapping[str, Any]) -> list[str]:
    """JSON objects are sorted by key; arrays are numbered in the order of the sizes."""
    return [size for size in about["sizes"] if size in materials]


def _flat(source: Source) -> Arrays:
    bound, mesh = source.bound, source.mesh
    arrays: Arrays = {name: _narrow(getattr(bound, name)) for name in BOUND}
    arrays |= _sparse("skin", bound.skin_weights) | _sparse("carry", source.carry)
    for tube_name, tube in bound.tubes.items():
        arrays |= {f"tube.{tube_name}.{name}": _narrow(getattr(tube, name)) for name in DENSE}
        arrays |= _sparse(f"tube.{tube_name}.cut", tube.cut)
    arrays |= {
        "mesh.points": _narrow(mesh.points),
        "mesh.faces": mesh.faces,
        "mesh.material": mesh.material.astype(np.int16),
        "tubes": np.array(list(bound.tubes)),
    }
    if mesh.texture is not None:
        arrays["mesh.texture"] = _narrow(mesh.texture)
    if mesh.colour is not None:
        arrays["mesh.colour"] = np.round(mesh.colour * 255).astype(np.uint8)
    for row, (_, data) in enumerate(source.look.images):
        arrays[f"image.{row}"] = np.frombuffer(data, np.uint8)
    return arrays


def _source(arrays: Arrays, prefix: str, about: Mapping[str, Any]) -> Source:
    own = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
    tubes = {}
    for name in own["tubes"].tolist():
        dense = {field: _wide(own[f"tube.{name}.{field}"], field) for field in DENSE}
        tubes[name] = BoundTube(**dense, cut=_operator(own, f"tube.{name}.cut"))
    dense = {field: _wide(own[field], field) for field in BOUND}
    bound = Bound(**dense, skin_weights=_operator(own, "skin"), tubes=tubes)
    faces = own["mesh.faces"]
    texture, colour = own.get("mesh.texture"), own.get("mesh.colour")
    mesh = RenderMesh(
        own["mesh.points"].astype(np.float64),
        faces,
        own["mesh.material"].astype(np.int32),
        np.zeros(len(faces), np.int32),
        None if texture is None else texture.astype(np.float64),
        None if colour is None else colour.astype(np.float64) / 255,
    )
    images = [(mime, own[f"image.{row}"].tobytes()) for row, mime in enumerate(about["mime"])]
    look = Look(about["materials"], about["textures"], [], images)
    return Source(mesh, bound, _operator(own, "carry"), look)


def _narrow(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(np.float32) if array.dtype == np.float64 else array.astype(np.int32)


def _wide(array: NDArray[Any], field: str) -> NDArray[Any]:
    return array if field in INTEGERS else array.astype(np.float64)


def _sparse(name: str, operator: "sparse.csr_array[np.float64]") -> Arrays:
    return {
        f"{name}.data": operator.data.astype(np.float32),
        f"{name}.columns": operator.indices.astype(np.int32),
        f"{name}.ends": operator.indptr.astype(np.int32),
        f"{name}.shape": np.array(operator.shape, np.int32),
    }


def _operator(arrays: Arrays, name: str) -> "sparse.csr_array[np.float64]":
    parts = (arrays[f"{name}.data"].astype(np.float64), arrays[f"{name}.columns"], arrays[f"{name}.ends"])
    return sparse.csr_array(parts, shape=tuple(arrays[f"{name}.shape"].tolist()))
