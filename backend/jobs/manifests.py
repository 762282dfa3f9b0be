"""The proof that an attempt has finished: its manifest, and the files it names as they lie in the store."""

from uuid import UUID

import msgspec

from backend.core.magic import matches_type
from backend.core.storage import ByteRange, ObjectNotFound, ObjectStore, RangeNotSatisfiable, StoredObject, read
from backend.jobs.models import Job, JobAttempt
from backend.jobs.outcomes import Outcomes
from backend.jobs.work import MANIFEST, MANIFEST_MAX_BYTES, Done, Work
from gpu_worker.contract import CONTRACT_VERSION, FileRecord, Manifest

HEAD_BYTES = 12


async def find_done(store: ObjectStore, job: Job, attempt: JobAttempt, outcomes: Outcomes) -> Done | None:
    """None: there is no manifest under this attempt's own path, or not one that may be believed."""
    if not job.input:  # erased
        return None
    work = msgspec.convert(job.input, Work)
    folder = work.folder(attempt.id, attempt.secret)
    manifest = await _read(store, work.bucket, folder + MANIFEST)
    if manifest is None or not _is_of(manifest, attempt.id):
        return None
    needed = {name for name, output in work.outputs.items() if not output.is_optional}
    if not needed <= set(manifest.files) <= set(work.outputs):
        return None
    files: dict[str, StoredObject] = {}
    for name, record in manifest.files.items():
        stored = await _checked_file(store, work, folder + name, name, record)
        if stored is None:
            return None
        files[name] = stored
    return Done(attempt.id, manifest, work.bucket, folder, files) if outcomes.is_sound(manifest) else None


def _is_of(manifest: Manifest, attempt_id: UUID) -> bool:
    return manifest.attempt_id == str(attempt_id) and manifest.contract_version == CONTRACT_VERSION


async def _read(store: ObjectStore, bucket: str, key: str) -> Manifest | None:
    try:
        if (await store.stat(bucket, key)).size > MANIFEST_MAX_BYTES:
            return None
        return msgspec.json.decode(await read(store, bucket, key), type=Manifest)
    except (ObjectNotFound, msgspec.DecodeError):
        return None


async def _checked_file(store: ObjectStore, work: Work, key: str, name: str, record: FileRecord) -> StoredObject | None:
    """Size and first bytes as they must be; the store's own MD5 too, where it has one: two runs may mix their files."""
    media_type = work.outputs[name].media_type
    try:
        stored = await store.stat(work.bucket, key)
        if stored.size > work.outputs[name].max_bytes:  # a store may let a body in pieces pass its limits
            await store.delete(work.bucket, key)
            return None
        opened = await store.open(work.bucket, key, ByteRange(0, HEAD_BYTES - 1))
        head = b"".join([chunk async for chunk in opened.chunks])
    except (ObjectNotFound, RangeNotSatisfiable):
        return None
    is_same = stored.size == record.bytes and stored.content_type == media_type
    has_other_md5 = _is_md5(stored.etag) and _is_md5(record.md5) and stored.etag != record.md5
    return stored if is_same and not has_other_md5 and matches_type(head, stored.size, media_type) else None


def _is_md5(text: str) -> bool:
    return len(text) == 32 and all(letter in "0123456789abcdef" for letter in text)
