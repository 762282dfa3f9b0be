"""The buckets of a project, as the product needs them: made by one command, looked at by every start."""

from functools import partial

from storage3.types import BaseBucket, CreateOrUpdateBucketOptions

from backend.core.storage import BUCKETS, Bucket, ObjectExists, ObjectTooLarge, StoreForbidden, StoreMisconfigured
from backend.core.supabase_client import Connections


async def make(connections: Connections) -> list[str]:
    """Create what is missing, set what differs; `name: created` or `name: updated` for each."""
    return [f"{bucket.name}: {await _make_one(connections, bucket)}" for bucket in BUCKETS.values()]


async def _make_one(connections: Connections, bucket: Bucket) -> str:
    wanted = CreateOrUpdateBucketOptions(
        public=bucket.is_public, file_size_limit=bucket.max_bytes, allowed_mime_types=list(bucket.media_types)
    )
    try:
        try:
            await connections.repeat(partial(connections.calls.create_bucket, bucket.name, None, wanted))
        except ObjectExists:
            await connections.repeat(partial(connections.calls.update_bucket, bucket.name, wanted))
            return "updated"
    except ObjectTooLarge:
        limit = f"{bucket.max_bytes} bytes"
        text = f"The project's global size limit is below the {limit} of {bucket.name}: raise it in its settings."
    else:
        return "created"
    raise StoreMisconfigured(text)


async def check(connections: Connections) -> None:
    """`StoreMisconfigured` over the first bucket that is missing, open to the world, or of other limits."""
    for bucket in BUCKETS.values():
        _check_one(bucket, await _look(connections, bucket.name))


async def _look(connections: Connections, name: str) -> BaseBucket:
    try:
        return await connections.repeat(partial(connections.calls.get_bucket, name))
    except (StoreMisconfigured, StoreForbidden) as error:
        text = f"Bucket {name}: {error} Run `tryon buckets`, or look at SUPABASE_SECRET_KEY."
    raise StoreMisconfigured(text)


def _check_one(wanted: Bucket, found: BaseBucket) -> None:
    if found.public and not wanted.is_public:
        raise StoreMisconfigured(f"Bucket {wanted.name} is public and must not be. Run `tryon buckets`.")
    is_right = (found.public, found.file_size_limit) == (wanted.is_public, wanted.max_bytes)
    if not is_right or set(found.allowed_mime_types or ()) != set(wanted.media_types):
        raise StoreMisconfigured(f"Bucket {wanted.name} has other limits than it must have. Run `tryon buckets`.")
