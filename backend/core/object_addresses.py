"""Addresses of objects that this service serves itself: `/objects/{bucket}/{key}?token=…`."""

from datetime import datetime, timedelta
from urllib.parse import quote

from backend.core.clock import Clock
from backend.core.object_tokens import KEY_ID, VERSION, ObjectGrant, ObjectSigner
from backend.core.storage import SignedPut, SignedUrl, check_bucket, check_key

ROUNDING_S = 300
"""Expiry is rounded up to this, so that an address stays the same for a while and the browser's cache hits."""


class OwnAddresses:
    """What folder and memory store share; `object_routes` answers at these addresses."""

    def __init__(self, base_url: str, signing_key: str, clock: Clock) -> None:
        self._base_url = base_url.rstrip("/")
        self._signer = ObjectSigner(signing_key)
        self._clock = clock

    def to_read(self, bucket: str, key: str, ttl: timedelta, download_name: str | None) -> SignedUrl:
        until = (self._clock.now() + ttl).timestamp()
        expires = int(-(-until // ROUNDING_S) * ROUNDING_S)
        grant = ObjectGrant(v=VERSION, kid=KEY_ID, m="GET", b=bucket, k=key, exp=expires, d=download_name or "")
        return SignedUrl(self._address(grant), datetime.fromtimestamp(expires, self._clock.now().tzinfo))

    def to_write(
        self, bucket: str, key: str, content_type: str, max_bytes: int, min_ttl: timedelta, *, overwrite: bool
    ) -> SignedPut:
        expires_at = self._clock.now() + min_ttl
        grant = ObjectGrant(
            v=VERSION,
            kid=KEY_ID,
            m="PUT",
            b=bucket,
            k=key,
            exp=int(expires_at.timestamp()) + 1,
            o=overwrite,
            n=min(max_bytes, check_bucket(bucket).max_bytes),
            t=content_type,
        )
        return SignedPut(self._address(grant), {"Content-Type": content_type}, expires_at)

    def public(self, bucket: str, key: str) -> str:
        if not check_bucket(bucket).is_public:
            raise ValueError(f"Nothing in {bucket} has a public address.")
        return f"{self._base_url}/objects/{bucket}/{check_key(key)}"

    def _address(self, grant: ObjectGrant) -> str:
        return f"{self._base_url}/objects/{grant.b}/{grant.k}?token={quote(self._signer.sign(grant))}"
