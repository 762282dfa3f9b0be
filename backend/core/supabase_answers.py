"""What the storage server says of objects, as typed records. Pure."""

import base64
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from backend.core.storage import BUCKETS, StoredObject

CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)", re.ASCII)


class Info(msgspec.Struct, frozen=True):
    """Of `GET /object/info/…`."""

    size: int
    content_type: str
    etag: str
    last_modified: datetime


class ListedFacts(msgspec.Struct, frozen=True, rename={"etag": "eTag", "content_type": "mimetype"}):
    """`metadata` of an element of a listing."""

    size: int
    content_type: str
    etag: str
    last_modified: datetime = msgspec.field(name="lastModified")


class UploadClaims(msgspec.Struct, frozen=True):
    iat: int
    exp: int


def stored_from_info(bucket: str, key: str, answer: Mapping[str, Any]) -> StoredObject:
    return _stored(bucket, key, msgspec.convert(answer, Info))


def stored_from_listing(bucket: str, key: str, metadata: Mapping[str, Any]) -> StoredObject:
    return _stored(bucket, key, msgspec.convert(metadata, ListedFacts))


def stored_from_headers(bucket: str, key: str, headers: Mapping[str, str]) -> StoredObject:
    """Of a signed GET, whole or in part."""
    part = CONTENT_RANGE.fullmatch(headers.get("content-range", ""))
    size = int(part.group(3)) if part else int(headers["content-length"])
    modified_at = parsedate_to_datetime(headers["last-modified"]).astimezone(UTC)
    return _stored(bucket, key, Info(size, headers["content-type"], headers.get("etag", ""), modified_at))


def lifetime_of(upload_token: str) -> timedelta:
    """How long the server lets an upload address live; measured by its own clock alone."""
    payload = upload_token.split(".")[1]
    claims = msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=UploadClaims)
    return timedelta(seconds=claims.exp - claims.iat)


def _stored(bucket: str, key: str, facts: Info | ListedFacts) -> StoredObject:
    etag = facts.etag.removeprefix("W/").strip('"')
    return StoredObject(
        bucket, key, facts.size, facts.content_type, BUCKETS[bucket].cache, etag, facts.last_modified.astimezone(UTC)
    )
