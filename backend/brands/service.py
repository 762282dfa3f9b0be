"""Brands and their API keys."""

import hashlib
import hmac
import re
import secrets
from datetime import timedelta
from typing import Literal
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend.brands.errors import BrandNotFound, InvalidOrigin, KeyNotFound
from backend.brands.models import ApiKey, Brand
from backend.core.auth import BrandContext
from backend.core.clock import Clock
from backend.core.db import Database
from backend.core.problems import Unauthorized

KEY_LIFETIME = timedelta(days=365)
LAST_USED_RESOLUTION = timedelta(minutes=1)
PREFIX_BYTES = 6
SECRET_BYTES = 32
KEY_PATTERN = re.compile(r"tryon_(live|test)_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
HOST_PATTERN = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|::1")
DEFAULT_PORTS = {"https": 443, "http": 80}

Mode = Literal["live", "test"]


class NewKey(msgspec.Struct, frozen=True):
    """The one moment at which the whole key exists in the clear."""

    key_id: UUID
    prefix: str
    api_key: str


def hash_secret(secret: str) -> str:
    """Plain SHA-256 is enough for 256 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()


def normal_origin(text: str) -> str:
    """`https://shop.example` and nothing more; plain http only for this machine. Raises `InvalidOrigin`."""
    refusal = InvalidOrigin(f"{text!r} is not an origin such as https://shop.example.")
    try:
        parts = urlsplit(text.strip().lower())
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise refusal from error
    is_local = host in {"localhost", "127.0.0.1", "::1"} or host.endswith(".localhost")
    is_bare = not (parts.path.rstrip("/") or parts.query or parts.fragment or parts.username)
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_local)
    if not (is_bare and is_safe) or HOST_PATTERN.fullmatch(host) is None:
        raise refusal
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + (f":{port}" if port and port != DEFAULT_PORTS[parts.scheme] else "")


class BrandService:
    """Run by the operator's commands; nothing here is reachable by HTTP but looking a brand up."""

    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self.session = session
        self.clock = clock

    async def create(self, name: str, origins: list[str]) -> Brand:
        brand = Brand(name=name, allowed_origins=[normal_origin(origin) for origin in origins])
        self.session.add(brand)
        await self.session.flush()
        return brand

    async def everyone(self) -> list[Brand]:
        return list((await self.session.scalars(select(Brand).order_by(Brand.id))).all())

    async def get(self, brand_id: UUID) -> Brand:
        brand = await self.session.get(Brand, brand_id)
        if brand is None:
            raise BrandNotFound("No such brand.")
        return brand

    async def by_embed_key(self, embed_key: str) -> Brand:
        brand = await self.session.scalar(select(Brand).where(Brand.embed_key == embed_key))
        if brand is None:
            raise BrandNotFound("No brand has this embed key.")
        return brand

    async def create_key(
        self, brand_id: UUID, label: str, mode: Mode = "live", lifetime: timedelta = KEY_LIFETIME
    ) -> NewKey:
        """Two keys may live at a time and so be rotated; the secret is never shown again."""
        await self.get(brand_id)
        prefix, secret = secrets.token_hex(PREFIX_BYTES), secrets.token_urlsafe(SECRET_BYTES)
        key = ApiKey(
            brand_id=brand_id,
            label=label,
            prefix=prefix,
            last_four=secret[-4:],
            secret_sha256=hash_secret(secret),
            expires_at=self.clock.now() + lifetime,
        )
        self.session.add(key)
        await self.session.flush()
        return NewKey(key.id, prefix, f"tryon_{mode}_{prefix}_{secret}")

    async def list_keys(self, brand_id: UUID) -> list[ApiKey]:
        return list((await self.session.scalars(select(ApiKey).where(ApiKey.brand_id == brand_id))).all())

    async def revoke_key(self, prefix: str) -> ApiKey:
        """At once: the next request with it is refused. Revoking twice keeps the first time."""
        key = await self.session.scalar(
            select(ApiKey).where(ApiKey.prefix == prefix)  # tenant: the operator names any brand's key
        )
        if key is None:
            raise KeyNotFound("No key has this prefix.")
        key.revoked_at = key.revoked_at or self.clock.now()
        return key


class BrandKeys:
    """Checks API keys; the port behind the guards of `core.auth`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock

    async def authenticate(self, credential: str) -> BrandContext:
        """Constant-time against the stored hash; every refusal is the same `Unauthorized`."""
        match = KEY_PATTERN.fullmatch(credential)
        if match is None:
            raise Unauthorized
        prefix, secret = match.group(2), match.group(3)
        async with self.database.transaction(read_only=True) as session:
            key = await session.scalar(
                select(ApiKey).where(ApiKey.prefix == prefix)  # tenant: the key is what names the brand
            )
        presented = hash_secret(secret)
        is_right = hmac.compare_digest(presented, key.secret_sha256 if key else "0" * len(presented))
        now = self.clock.now()
        if key is None or not is_right or key.revoked_at is not None or key.expires_at <= now:
            raise Unauthorized
        if key.last_used_at is None or now - key.last_used_at >= LAST_USED_RESOLUTION:
            await self._mark_used(key)
        return BrandContext(brand_id=key.brand_id, key_id=key.id)

    async def _mark_used(self, key: ApiKey) -> None:
        async with self.database.transaction() as session:
            await session.execute(
                update(ApiKey)
                .where(ApiKey.brand_id == key.brand_id, ApiKey.id == key.id)
                .values(last_used_at=self.clock.now())
            )
