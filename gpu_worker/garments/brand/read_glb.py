"""A brand's GLB, validated: from bytes to pieces of cloth and their look, or a refusal that names the field.

The rules are those of the Khronos validator that decide whether a file can be read at all; what only a stricter reader
would miss (unused objects, bounds, alignment) is let pass. Nothing outside the file is ever fetched.
"""

from dataclasses import dataclass

from gpu_worker.garments.brand.accessors import MESHOPT, MESHOPT_IS_READ
from gpu_worker.garments.brand.container import Container, mapping, split, strings
from gpu_worker.garments.brand.look import KEPT_EXTENSIONS, Look, read_look
from gpu_worker.garments.brand.refused import BrandRefused
from gpu_worker.garments.brand.scene import Piece, SceneReader

READ = frozenset({"KHR_mesh_quantization", "KHR_materials_specular", "KHR_materials_ior", *KEPT_EXTENSIONS})
"""Extensions a file may require; of others a file may make use, as long as it can be shown without."""
REFUSED = {
    "KHR_draco_mesh_compression": "Draco-compressed meshes are not read; export uncompressed or with meshopt.",
    "KHR_texture_basisu": "KTX2 textures are not read; embed PNG or JPEG.",
}


@dataclass(frozen=True, eq=False)
class Upload:
    """What a file holds. Convention: glTF's axes, units unknown."""

    pieces: list[Piece]
    look: Look
    warnings: list[str]


def read_glb(glb: bytes) -> Upload:
    """Raises `BrandRefused`."""
    container = split(glb)
    _check_asset(container)
    _check_extensions(container)
    _check_buffers(container)
    reader = SceneReader(container)
    pieces = reader.pieces()
    return Upload(pieces, read_look(container, reader.accessors), reader.warnings)


def _check_asset(container: Container) -> None:
    version = mapping(container.document, "asset", "document").get("version")
    if not isinstance(version, str) or not version.startswith("2."):
        raise BrandRefused("asset.version", f"The file states glTF version {version!r}; 2.0 is read.")


def _check_extensions(container: Container) -> None:
    required, used = strings(container.document, "extensionsRequired"), strings(container.document, "extensionsUsed")
    for name in (*required, *used):
        if name in REFUSED:
            raise BrandRefused("extensionsRequired", f"{name}: {REFUSED[name]}")
    readable = READ | ({MESHOPT} if MESHOPT_IS_READ else set())
    for name in required:
        if name not in readable:
            raise BrandRefused("extensionsRequired", f"The file requires {name}, which is not read.")


def _check_buffers(container: Container) -> None:
    for row, buffer in enumerate(container.items("buffers")):
        if "uri" in buffer:
            raise BrandRefused(
                f"buffers[{row}].uri", "The file's data lies outside it; no address is fetched. Export one GLB."
            )
