"""A brand's own models and pictures on their way into the store: put, and taken back if the order fails."""

import contextlib
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from backend.core.problems import Unavailable
from backend.core.storage import GLB, SOURCES, ObjectStore, StorageError, new_secret
from backend.jobs.work import ObjectInput

SUFFIX = {GLB: "glb", "image/png": "png", "image/jpeg": "jpg"}


@asynccontextmanager
async def kept_file(
    store: ObjectStore, brand_id: UUID, garment_id: UUID, body: bytes, media_type: str
) -> AsyncIterator[ObjectInput]:
    """Put before the transaction that names it; taken back when that raises."""
    key = f"{brand_id}/{garment_id}/{new_secret()}.{SUFFIX[media_type]}"
    try:
        await store.put(SOURCES.name, key, body, content_type=media_type)
    except StorageError as error:
        raise Unavailable("The file could not be stored; send it again.") from error
    try:
        yield ObjectInput(SOURCES.name, key, hashlib.sha256(body).hexdigest(), len(body), media_type)
    except BaseException:
        with contextlib.suppress(StorageError):
            await store.delete(SOURCES.name, key)
        raise
