"""The public contract as a committed file: what the front end's types are generated from."""

import json
import tempfile
from pathlib import Path

from backend.app import create_app
from backend.settings import MIN_KEY_BYTES, Settings

OPENAPI_FILE = Path(__file__).resolve().parent / "openapi.json"


def render_document() -> str:
    """The same text on every machine: from a service that never starts, with keys sorted."""
    with tempfile.TemporaryDirectory() as folder:
        placeholder = "x" * MIN_KEY_BYTES
        settings = Settings.from_env(
            {"DATA_DIR": folder, "TOKEN_SIGNING_KEY": placeholder, "STORAGE_SIGNING_KEY": placeholder}
        )
        document = create_app(settings).openapi_schema.to_schema()
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
