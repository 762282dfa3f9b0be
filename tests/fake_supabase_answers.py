"""What the fake storage server says: refusals, rows and files in the recorded forms."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote
from uuid import uuid4

JSON_TYPE = "application/json; charset=utf-8"


@dataclass
class Answer:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class Refused(Exception):
    """`status` stands in the body; HTTP's is 400 unless it says otherwise."""

    def __init__(self, status: str, error: str, message: str, code: str, http: int = 400) -> None:
        super().__init__(message)
        self.answer = Answer(
            http,
            dump({"statusCode": status, "error": error, "message": message, "code": code}),
            {"content-type": JSON_TYPE},
        )


def dump(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def no_key() -> Refused:
    return Refused("404", "not_found", "Object not found", "NoSuchKey")


def no_bucket() -> Refused:
    return Refused("404", "Bucket not found", "Bucket not found", "NoSuchBucket")


def duplicate(code: str = "KeyAlreadyExists") -> Refused:
    return Refused("409", "Duplicate", "The resource already exists", code)


def too_large() -> Refused:
    return Refused("413", "Payload too large", "The object exceeded the maximum allowed size", "EntityTooLarge")


def not_allowed(message: str = "new row violates row-level security policy") -> Refused:
    return Refused("403", "Unauthorized", message, "AccessDenied")


def bad_request(message: str) -> Refused:
    return Refused("400", "Error", message, "InvalidRequest")


def no_authorization() -> Refused:
    return bad_request("headers must have required property 'authorization'")


@dataclass
class FakeBucket:
    id: str
    public: bool
    limit: int | None
    types: list[str] | None
    made_at: datetime


@dataclass
class FakeObject:
    bucket: str
    key: str
    body: bytes
    content_type: str
    cache_control: str
    facts: dict[str, Any]
    made_at: datetime
    changed_at: datetime
    id: str = field(default_factory=lambda: str(uuid4()))
    version: str = field(default_factory=lambda: str(uuid4()))

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.body, usedforsecurity=False).hexdigest()}"'


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        decoded: dict[str, Any] = json.loads(self.body or b"{}")
        return decoded

    def bearer(self) -> str | None:
        return self.headers["authorization"].removeprefix("Bearer ") if "authorization" in self.headers else None


@dataclass
class Upload:
    body: bytes
    content_type: str
    cache_control: str
    facts: dict[str, Any]


def bucket_settings(row: dict[str, Any], global_limit: int) -> tuple[bool, int | None, list[str] | None]:
    limit = row.get("file_size_limit")
    if isinstance(limit, str):
        limit = int(limit.removesuffix("MB")) * 1_000_000
    if limit is not None and limit > global_limit:
        raise too_large()
    return bool(row.get("public")), limit, row.get("allowed_mime_types")


def bucket_row(bucket: FakeBucket) -> dict[str, Any]:
    made_at = iso(bucket.made_at)
    return {
        "id": bucket.id, "name": bucket.id, "owner": "", "public": bucket.public, "file_size_limit": bucket.limit,
        "allowed_mime_types": bucket.types, "created_at": made_at, "updated_at": made_at,
    }  # fmt: skip


def is_of(content_type: str, wanted: str) -> bool:
    return content_type == wanted or (wanted.endswith("/*") and content_type.startswith(wanted[:-1]))


def read_upload(asked: Asked) -> Upload:
    """A form with a file, or a raw body."""
    declared = asked.headers.get("content-type", "application/octet-stream")
    if not declared.startswith("multipart/form-data"):
        facts = json.loads(base64.b64decode(asked.headers.get("x-metadata", "e30=")))
        return Upload(asked.body, declared, asked.headers.get("cache-control", "no-cache"), facts)
    parts = dict(form_parts(asked.body, b"--" + declared.partition("boundary=")[2].encode()))
    content_type, content = parts["file"]
    facts = json.loads(parts.get("metadata", ("", b"{}"))[1])
    return Upload(content, content_type, f"max-age={parts['cacheControl'][1].decode()}", facts)


def form_parts(body: bytes, boundary: bytes) -> Iterator[tuple[str, tuple[str, bytes]]]:
    """Name → type without its parameters, content."""
    for part in body.split(boundary)[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        name = re.search(rb'name="(\w+)"', head)
        kind = re.search(rb"(?i)content-type: ([^;\r\n]+)", head)
        assert name is not None
        yield name.group(1).decode(), (kind.group(1).decode() if kind else "", content.removesuffix(b"\r\n"))


def iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def info_of(found: FakeObject) -> Answer:
    row = {
        "id": found.id, "name": found.key, "version": found.version, "bucket_id": found.bucket,
        "size": len(found.body), "content_type": found.content_type, "cache_control": found.cache_control,
        "etag": found.etag, "metadata": found.facts, "last_modified": iso(found.changed_at),
        "created_at": iso(found.made_at),
    }  # fmt: skip
    headers = {
        "content-type": JSON_TYPE, "etag": found.etag, "cache-control": found.cache_control,
        "last-modified": format_datetime(found.changed_at, usegmt=True),
    }  # fmt: skip
    return Answer(200, dump(row), headers)


def listed(found: FakeObject, name: str) -> dict[str, Any]:
    facts = {
        "eTag": found.etag, "size": len(found.body), "mimetype": found.content_type,
        "cacheControl": found.cache_control, "lastModified": iso(found.changed_at),
        "contentLength": len(found.body), "httpStatusCode": 200,
    }  # fmt: skip
    changed_at, made_at = iso(found.changed_at), iso(found.made_at)
    return {
        "name": name, "id": found.id, "updated_at": changed_at, "created_at": made_at, "last_accessed_at": made_at,
        "metadata": facts,
    }  # fmt: skip


def removed_row(found: FakeObject) -> dict[str, Any]:
    more = {
        "bucket_id": found.bucket,
        "owner": "",
        "owner_id": "",
        "version": found.version,
        "user_metadata": found.facts,
    }
    return listed(found, found.key) | more


def serve(asked: Asked, found: FakeObject, headers: dict[str, str]) -> Answer:
    """Ranges, conditions, download names; never compressed."""
    headers = headers | {
        "content-type": found.content_type, "etag": found.etag, "accept-ranges": "bytes", "x-robots-tag": "none",
        "last-modified": format_datetime(found.changed_at.replace(microsecond=0), usegmt=True),
    }  # fmt: skip
    if "download" in asked.query:
        name = quote(asked.query["download"])
        headers["content-disposition"] = (
            f"attachment; filename={name}; filename*=UTF-8''{name}" if name else "attachment;"
        )
    if asked.headers.get("if-none-match") == found.etag:
        return Answer(304, b"", headers)
    wanted = asked.headers.get("range")
    if wanted is None:
        return Answer(200, found.body, headers)
    first, last = part_of(wanted, len(found.body))
    headers["content-range"] = f"bytes {first}-{last}/{len(found.body)}"
    return Answer(206, found.body[first : last + 1], headers)


def part_of(wanted: str, size: int) -> tuple[int, int]:
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", wanted)
    refusal = Refused("416", "invalid_range", "invalid range provided", "InvalidRange", 416)
    if match is None:
        raise refusal
    first, last = match.groups()
    if not first:
        return max(0, size - int(last)), size - 1
    if int(first) >= size:
        raise refusal
    return int(first), min(size - 1, int(last or size))
