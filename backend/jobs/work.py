"""What a feature orders: which objects to read, which to write, with which parameters. Pure."""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import timedelta
from enum import IntEnum
from typing import Any
from uuid import UUID

import msgspec

from backend.core.storage import StoredObject
from backend.jobs import states
from gpu_worker.contract import CONTRACT_VERSION, Kind, Manifest

PIPELINE_VERSION = "1"
"""Part of every cache key: a new pipeline computes anew what was found by an old one."""
MANIFEST = "manifest.json"
MANIFEST_MAX_BYTES = 200_000
JSON = "application/json"


class ObjectInput(msgspec.Struct, frozen=True):
    """An object the worker may read."""

    bucket: str
    key: str
    sha256: str
    size: int
    media_type: str


class ObjectOutput(msgspec.Struct, frozen=True):
    """An object the worker writes under the attempt's own folder of `Work.prefix`; it must, unless it is optional."""

    media_type: str
    max_bytes: int
    is_optional: bool = False


class Work(msgspec.Struct, frozen=True):
    """`prefix` ends in `/`; every attempt gets a folder below it, so two attempts never write to one place."""

    bucket: str
    prefix: str
    outputs: dict[str, ObjectOutput]
    params: dict[str, Any]
    inputs: dict[str, ObjectInput] = {}

    def folder(self, attempt_id: UUID, secret: str) -> str:
        return f"{self.prefix}{attempt_id}-{secret}/"


class Priority(IntEnum):
    """Whose turn comes first. Nothing starves: see `PATIENCE`."""

    WAITED_FOR = 0
    """Somebody looks at a progress bar: a photo, a first dress."""
    SOON = 1
    """Seen a moment later: the body of an avatar whose size is already shown."""
    LATER = 2
    """Seen by nobody yet: a catalogue. It also has longer until its deadline."""
    BETTER = 3
    """Replaces what somebody already looks at: a dress's polish. It lets first pictures past, and little else."""


LOOKED_AT = (Priority.WAITED_FOR, Priority.BETTER)
"""What somebody has on the screen, or waits for there."""

PATIENCE = {
    Priority.WAITED_FOR: timedelta(0),
    Priority.SOON: timedelta(seconds=30),
    Priority.LATER: timedelta(minutes=5),
    Priority.BETTER: timedelta(seconds=3),
}
"""Work takes its turn as if it had been ordered this much later: whatever is ordered after that stands behind it."""


def time_until_deadline(priority: int) -> timedelta:
    """From the moment on in which nothing but its turn keeps it waiting."""
    return states.UNHURRIED_DEADLINE if priority == Priority.LATER else states.DEADLINE


class Order(msgspec.Struct, frozen=True):
    """One piece of work for one subject of one brand."""

    brand_id: UUID
    kind: Kind
    subject_id: UUID
    cache_key: str
    work: Work
    priority: Priority = Priority.SOON


class Done(msgspec.Struct, frozen=True):
    """A checked manifest, and where its files lie."""

    attempt_id: UUID
    manifest: Manifest
    bucket: str
    folder: str
    files: dict[str, StoredObject]

    def key(self, file_name: str) -> str:
        return self.folder + file_name


class Ended(msgspec.Struct, frozen=True):
    """It will not be done: a refusal the shopper can act on, or a fault after which nothing more is tried."""

    code: str
    is_retryable: bool


Outcome = Done | Ended


def cache_key(secret: str, kind: Kind, owner: UUID, inputs: Mapping[str, str], params: Mapping[str, Any]) -> str:
    """Keyed with the brand's own secret: equal requests meet, and nobody can test a guess about another's.

    inputs : name → sha256 of the bytes as uploaded
    """
    content = [kind, CONTRACT_VERSION, PIPELINE_VERSION, str(owner), dict(inputs), dict(params)]
    message = msgspec.json.encode(content, order="deterministic")
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
