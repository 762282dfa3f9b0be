"""The web pixel's publishable token: bound to one install, good for nothing but events a pixel may send."""

import hashlib
import hmac
import re
from uuid import UUID

from sqlalchemy import select

from backend.core.auth import PIXEL_PREFIX, PixelContext
from backend.core.db import Database
from backend.core.problems import Unauthorized
from backend.shopify.models import UNINSTALLED, ShopifyInstall

_TOKEN = re.compile(r"px_([0-9a-f]{32})_([0-9a-f]{32})")


def issue(signing_key: str, install_id: UUID) -> str:
    """The same for an install each time, so that telling Shopify again changes nothing."""
    return f"{PIXEL_PREFIX}{install_id.hex}_{_seal(signing_key, install_id)}"


def read(signing_key: str, token: str) -> UUID | None:
    """The install it was made for, if we made it."""
    match = _TOKEN.fullmatch(token)
    if match is None:
        return None
    install_id = UUID(match.group(1))
    return install_id if hmac.compare_digest(match.group(2), _seal(signing_key, install_id)) else None


def _seal(signing_key: str, install_id: UUID) -> str:
    return hmac.new(signing_key.encode(), b"web-pixel:" + install_id.bytes, hashlib.sha256).hexdigest()[:32]


class PixelTokens:
    """Checks them; the port behind `POST /v1/events`."""

    def __init__(self, database: Database, signing_key: str) -> None:
        self.database = database
        self.signing_key = signing_key

    async def authenticate(self, credential: str) -> PixelContext:
        """Nothing is taken for a shop that took the app out."""
        install_id = read(self.signing_key, credential)
        if install_id is None:
            raise Unauthorized
        async with self.database.transaction(read_only=True) as session:
            brand_id = await session.scalar(
                select(ShopifyInstall.brand_id).where(  # tenant: the token is what names the brand
                    ShopifyInstall.id == install_id, ShopifyInstall.status != UNINSTALLED
                )
            )
        if brand_id is None:
            raise Unauthorized
        return PixelContext(brand_id)
