"""Materials, textures and images of an upload: what of them is kept, and the bytes of its pictures.

Pictures are kept as they came; only their headers are read before they are drawn.
"""

import io
import warnings
from dataclasses import dataclass, field
from typing import Any

from PIL import Image, UnidentifiedImageError

from gpu_worker.garments.brand.accessors import Accessors
from gpu_worker.garments.brand.container import Container, Json, mapping
from gpu_worker.garments.brand.refused import BrandRefused

MAX_TEXTURE_PX = 4096
MIME_TYPES = {"image/png": "PNG", "image/jpeg": "JPEG"}
KEPT = ("name", "pbrMetallicRoughness", "normalTexture", "occlusionTexture", "emissiveTexture", "emissiveFactor")
KEPT_ALPHA = ("alphaMode", "alphaCutoff")
KEPT_EXTENSIONS = frozenset({"KHR_texture_transform", "KHR_materials_sheen", "KHR_materials_unlit"})
TEXTURES = ("baseColorTexture", "metallicRoughnessTexture", "normalTexture", "occlusionTexture", "emissiveTexture")


@dataclass(frozen=True, eq=False)
class Look:
    """glTF materials with what they refer to. images : the pictures' bytes and their MIME types."""

    materials: list[Json]
    textures: list[Json] = field(default_factory=list)
    samplers: list[Json] = field(default_factory=list)
    images: list[tuple[str, bytes]] = field(default_factory=list)


def read_look(container: Container, accessors: Accessors) -> Look:
    """Raises `BrandRefused` for pictures that are too large, of another format, or not in the file."""
    images = [_image(image, f"images[{row}]", accessors) for row, image in enumerate(container.items("images"))]
    textures: list[Json] = []
    for row, texture in enumerate(container.items("textures")):
        source = texture.get("source")
        if source is None:
            raise BrandRefused(f"textures[{row}].source", f"textures[{row}] has no PNG or JPEG picture.")
        container.item("images", source, f"textures[{row}].source")
        if "sampler" in texture:
            container.item("samplers", texture["sampler"], f"textures[{row}].sampler")
        textures.append({key: texture[key] for key in ("source", "sampler") if key in texture})
    materials = [
        _material(material, f"materials[{row}]", container) for row, material in enumerate(container.items("materials"))
    ]
    samplers = [
        {key: value for key, value in sampler.items() if isinstance(value, int)}
        for sampler in container.items("samplers")
    ]
    return Look(materials, textures, samplers, images)


def _image(image: Json, where: str, accessors: Accessors) -> tuple[str, bytes]:
    mime = image.get("mimeType")
    if "uri" in image:
        raise BrandRefused(f"{where}.uri", f"{where} lies outside the file; no address is fetched. Embed the picture.")
    if mime not in MIME_TYPES:
        raise BrandRefused(f"{where}.mimeType", f"{where} is {mime!r}; PNG and JPEG are read.")
    data = accessors.view(image.get("bufferView"), f"{where}.bufferView").tobytes()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(io.BytesIO(data), formats=[MIME_TYPES[mime]]) as picture:
                width, height = picture.size
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Warning) as broken:
        raise BrandRefused(where, f"{where} is no readable {MIME_TYPES[mime]}.") from broken
    if max(width, height) > MAX_TEXTURE_PX:
        raise BrandRefused(where, f"{where} has {width} x {height} pixels; at most {MAX_TEXTURE_PX} a side are taken.")
    return mime, data


def _material(material: Json, where: str, container: Container) -> Json:
    """What every viewer understands; cloth is seen from both sides."""
    kept: Json = {key: material[key] for key in (*KEPT, *KEPT_ALPHA) if key in material}
    kept["pbrMetallicRoughness"] = rough = dict(mapping(material, "pbrMetallicRoughness", where))
    for owner in (kept, rough):
        for name in TEXTURES:
            if name in owner and not _is_kept(owner, name, where, container):
                del owner[name]
    extensions = mapping(material, "extensions", where)
    used = {name: extensions[name] for name in sorted(KEPT_EXTENSIONS & set(extensions))}
    for name, value in used.items():
        if _textures_within(value):
            raise BrandRefused(f"{where}.extensions.{name}", f"Textures inside {name} are not read.")
    return {**kept, "doubleSided": True, **({"extensions": used} if used else {})}


def _is_kept(owner: Json, name: str, where: str, container: Container) -> bool:
    """Whether a texture is on the first texture coordinates; shade on others is left out, colour is refused."""
    info = mapping(owner, name, where)
    container.item("textures", info.get("index"), f"{where}.{name}.index")
    is_first = bool(info.get("texCoord", 0) == 0)
    if not is_first and name == "baseColorTexture":
        raise BrandRefused(f"{where}.{name}.texCoord", "The colour must use the first set of texture coordinates.")
    return is_first


def _textures_within(value: Any) -> bool:
    return isinstance(value, dict) and any(key.endswith("Texture") for key in value)
