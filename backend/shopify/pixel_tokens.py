"""The web pixel's publishable token: bound to one install, good for nothing but events a pixel may send."""

import hashlib
import hmac
import re
from uuid import UUID

PREFIX = "px_"
_TOKEN = re.compile(r"px_([0-9a-f]{32})_([0-9a-f]{32})")


def issue(signing_key: str, install_id: UUID) -> str:
    """The same for an install each time, so that telling Shopify again changes nothing."""
    return f"{PREFIX}{install_id.hex}_{_seal(signing_key, install_id)}"


def read(signing_key: str, token: str) -> UUID | None:
    """The install it was made for, if we made it."""
    match = _TOKEN.fullmatch(token)
    if match is None:
        return None
    install_id = UUID(match.group(1))
    return install_id if hmac.compare_digest(match.group(2), _seal(signing_key, install_id)) else None


def _seal(signing_key: str, install_id: UUID) -> str:
    return hmac.new(signing_key.encode(), b"web-pixel:" + install_id.bytes, hashlib.sha256).hexdigest()[:32]
