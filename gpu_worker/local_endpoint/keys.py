"""The two keys of a local endpoint, kept in one file that only its owner can read."""

import json
import os
import secrets
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Keys:
    """`client_key` submits jobs (Bearer); `worker_key` takes them (sent raw, as the SDK does)."""

    client_key: str
    worker_key: str

    @classmethod
    def load_or_create(cls, folder: Path) -> "Keys":
        """Read `folder/keys.json`, made at first use; two processes that start together agree on one file."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / "keys.json"
        if not path.exists():
            _publish(path, cls(secrets.token_urlsafe(KEY_BYTES), secrets.token_urlsafe(KEY_BYTES)))
        return cls.load(folder)

    @classmethod
    def load(cls, folder: Path) -> "Keys":
        """Read the keys of an endpoint that has started before; FileNotFoundError if it never has."""
        content = json.loads((folder / "keys.json").read_text(encoding="utf-8"))
        return cls(client_key=content["client_key"], worker_key=content["worker_key"])


def _publish(path: Path, keys: Keys) -> None:
    """Write a whole file beside `path` and link it in place: readers never see half a file, the first writer wins."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent)  # created with mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(keys), file)
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        Path(temporary).unlink()
