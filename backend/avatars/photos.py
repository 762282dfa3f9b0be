"""Photos on their way from a form into the store: checked, agreed to, put, and taken back if the order fails."""

import contextlib
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from uuid import UUID

import msgspec
from litestar.datastructures import UploadFile

from backend.avatars.photo_rules import PhotoHeader, check_photo
from backend.core.problems import Unavailable
from backend.core.storage import PHOTOS, ObjectStore, StorageError, photo_key
from backend.jobs.work import ObjectInput
from backend.shoppers.errors import ConsentRequired

KNOWN_CONSENTS = frozenset({"1"})
"""Versions of the text shown before a photo is taken."""
PURPOSE = "body_from_photo"


class Photo(msgspec.Struct, frozen=True):
    body: bytes
    sha256: str
    header: PhotoHeader


async def read_photos(photo: UploadFile | None, photo_side: UploadFile | None) -> dict[str, Photo]:
    """By the name the worker knows them under; every refusal is raised here, before anything is stored."""
    files = {"photo": photo, "photo_side": photo_side}
    photos = {}
    for name, file in files.items():
        if file is None:
            continue
        body = await file.read()
        photos[name] = Photo(body, hashlib.sha256(body).hexdigest(), check_photo(body, name))
    return photos


def check_consent(version: str | None) -> str:
    if version not in KNOWN_CONSENTS:
        raise ConsentRequired(
            "A photo is taken only with the shopper's agreement to a text we know.",
            field="consent_version",
            known=sorted(KNOWN_CONSENTS),
        )
    return version


@asynccontextmanager
async def kept_photos(
    store: ObjectStore, brand_id: UUID, user_id: UUID, avatar_id: UUID, photos: Mapping[str, Photo]
) -> AsyncIterator[dict[str, ObjectInput]]:
    """Put before the order's transaction; taken back when that raises. A crash leaves them to the sweeper."""
    kept: dict[str, ObjectInput] = {}
    try:
        for name, photo in photos.items():
            kept[name] = await _put(store, photo_key(brand_id, user_id, avatar_id, photo.header.media_type), photo)
        yield kept
    except BaseException:
        for stored in kept.values():
            with contextlib.suppress(StorageError):
                await store.delete(stored.bucket, stored.key)
        raise


async def _put(store: ObjectStore, key: str, photo: Photo) -> ObjectInput:
    media_type = photo.header.media_type
    try:
        await store.put(PHOTOS.name, key, photo.body, content_type=media_type)
    except StorageError as error:
        raise Unavailable("The photo could not be stored; send it again.") from error
    return ObjectInput(PHOTOS.name, key, photo.sha256, len(photo.body), media_type)
