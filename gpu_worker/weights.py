"""Large weight files that an operator brings: what a file is, whether it is that file, and reading it early.

Beside the file lies `weights.lock` (JSON), written when it was converted. At start only the size is compared; the image
build hashes it whole: `python -m gpu_worker.weights FILE`. Standard library only.
"""

import hashlib
import json
import os
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

LOCK_NAME: Final = "weights.lock"
CHUNK_BYTES: Final = 8 * 1024 * 1024


class WeightsMissing(Exception):
    """There is no such file, or it is not the locked one; the text is one sentence."""


@dataclass(frozen=True)
class WeightsLock:
    """What a weights file is and where it came from."""

    file: str
    bytes: int
    sha256: str
    source_file: str
    source_sha256: str
    precision: str
    converter: str
    licence: str

    def write(self, folder: Path) -> None:
        """Put the lock beside its file."""
        (folder / LOCK_NAME).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def beside(cls, weights: Path) -> "WeightsLock":
        """The lock of a weights file whose size is right; raises `WeightsMissing`."""
        path = weights.with_name(LOCK_NAME)
        try:
            lock = cls(**json.loads(path.read_text(encoding="utf-8")))
            size = weights.stat().st_size
        except OSError as error:
            name = Path(str(error.filename)).name
            raise WeightsMissing(f"{name} is not in the folder of the weights, or cannot be read.") from error
        except (ValueError, TypeError) as error:
            raise WeightsMissing(f"{LOCK_NAME} cannot be understood: convert the checkpoint again.") from error
        if lock.file != weights.name or lock.bytes != size:
            raise WeightsMissing(
                f"{weights.name} has {size} bytes, {LOCK_NAME} is for {lock.file} with {lock.bytes}: copy both again."
            )
        return lock


def sha256_of(path: Path) -> str:
    """Hex digest of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def verify(weights: Path) -> WeightsLock:
    """Hash the whole file and compare; raises `WeightsMissing`."""
    lock = WeightsLock.beside(weights)
    if sha256_of(weights) != lock.sha256:
        raise WeightsMissing(f"{weights.name} is damaged: its sha256 is not the one in {LOCK_NAME}.")
    return lock


def read_ahead(path: Path) -> threading.Thread:
    """Read a file once in the background, so that mapping it later finds it in memory."""

    def read() -> None:
        buffer = bytearray(CHUNK_BYTES)
        with path.open("rb", buffering=0) as file:
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
            while file.readinto(buffer):
                pass

    thread = threading.Thread(target=read, name="read-ahead", daemon=True)
    thread.start()
    return thread


if __name__ == "__main__":
    try:
        for argument in sys.argv[1:]:
            sys.stdout.write(f"{argument}: {verify(Path(argument)).sha256}\n")
    except WeightsMissing as missing:
        sys.exit(str(missing))
