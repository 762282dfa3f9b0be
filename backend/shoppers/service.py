"""From a brand's server to a shopper's token: one-use code, exchange, renewal."""

import hashlib
import secrets
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import Uuid, column, delete, select, table, update
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from backend.brands.models import Brand
from backend.brands.service import normal_origin
from backend.core import tokens
from backend.core.auth import ShopperContext
from backend.core.clock import Clock
from backend.core.db import Database, insert_new
from backend.core.problems import Unauthorized
from backend.core.tokens import IssuedToken, ShopperClaims
from backend.shoppers.errors import OriginNotAllowed
from backend.shoppers.models import EmbedCode, Shopper

CODE_LIFETIME = timedelta(seconds=60)
CODE_BYTES = 32
ORDER_LINES = table("order_lines", column("brand_id", Uuid()), column("user_id", Uuid()), column("session_id", Uuid()))
"""Named, not imported: the feature that owns it stands above this one. A sale stays a sale, without the person."""
RENEWAL_LIMIT = timedelta(hours=24)


class IssuedCode(msgspec.Struct, frozen=True):
    code: str
    expires_at: datetime


def hash_code(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()


class ShopperService:
    def __init__(self, session: AsyncSession, clock: Clock, signing_key: str) -> None:
        self.session = session
        self.clock = clock
        self.signing_key = signing_key

    async def issue_code(
        self,
        brand_id: UUID,
        origin: str,
        user_ref: str | None,
        *,
        install_id: UUID | None = None,
        product_id: int | None = None,
    ) -> IssuedCode:
        """A code for one page of the brand; a new anonymous shopper unless the brand names one."""
        row = await self.session.get_one(Brand, brand_id)
        origin = normal_origin(origin)
        if origin not in row.allowed_origins:
            raise OriginNotAllowed(f"{origin} is not one of the origins of this brand.")
        shopper = await self._shopper(brand_id, user_ref)
        code = secrets.token_urlsafe(CODE_BYTES)
        expires_at = self.clock.now() + CODE_LIFETIME
        self.session.add(
            EmbedCode(
                brand_id=brand_id,
                user_id=shopper.id,
                code_sha256=hash_code(code),
                origin=origin,
                install_id=install_id,
                product_id=product_id,
                expires_at=expires_at,
            )
        )
        return IssuedCode(code, expires_at)

    async def exchange(self, code: str) -> tuple[ShopperClaims, IssuedToken]:
        """Code to token, once: of two frames that present it together one conditional update wins."""
        now = self.clock.now()
        used = await self.session.execute(
            update(EmbedCode)
            .where(
                EmbedCode.code_sha256 == hash_code(code),  # tenant: the code is what names the brand
                EmbedCode.used_at.is_(None),
                EmbedCode.expires_at > now,
            )
            .values(used_at=now, updated_at=now)
            .returning(
                EmbedCode.brand_id, EmbedCode.user_id, EmbedCode.origin, EmbedCode.install_id, EmbedCode.product_id
            )
        )
        row = used.one_or_none()
        if row is None:
            raise Unauthorized
        claims = ShopperClaims(
            brand_id=row.brand_id,
            user_id=row.user_id,
            origin=row.origin,
            auth_time=now,
            install_id=row.install_id,
            product_id=row.product_id,
        )
        if not await is_live(self.session, *_whose(claims)):
            raise Unauthorized
        await self._mark_seen(claims, now)
        return claims, tokens.issue(self.signing_key, claims, now)

    async def renew(self, token: str) -> tuple[ShopperClaims, IssuedToken]:
        """A fresh token with the same shopper and the same `auth_time`, for 24 h after it."""
        now = self.clock.now()
        claims = tokens.verify(self.signing_key, token, now)
        if now - claims.auth_time >= RENEWAL_LIMIT or not await is_live(self.session, *_whose(claims)):
            raise Unauthorized
        await self._mark_seen(claims, now)
        return claims, tokens.issue(self.signing_key, claims, now)

    async def for_brand(self, brand_id: UUID, user_ref: str | None) -> Shopper:
        """The shopper a brand's own server means; anonymous when it names none."""
        return await self._shopper(brand_id, user_ref)

    async def revoke_tokens(self, brand_id: UUID, user_id: UUID) -> None:
        """Void every token issued until now, on deletion or on request."""
        now = self.clock.now()
        await self.session.execute(
            update(Shopper)
            .where(Shopper.brand_id == brand_id, Shopper.id == user_id)
            .values(tokens_valid_after=now, updated_at=now)
        )

    async def _shopper(self, brand_id: UUID, user_ref: str | None) -> Shopper:
        """Two requests that name the same customer at once meet in one row."""
        if user_ref is None:
            shopper = Shopper(brand_id=brand_id)
            self.session.add(shopper)
            await self.session.flush()
            return shopper
        now = self.clock.now()
        row = {"id": uuid7(), "brand_id": brand_id, "external_ref": user_ref, "created_at": now, "updated_at": now}
        await insert_new(self.session, Shopper, [row], unique=("brand_id", "external_ref"), returning=Shopper.id)
        known = await self.session.scalars(
            select(Shopper).where(Shopper.brand_id == brand_id, Shopper.external_ref == user_ref)
        )
        return known.one()

    async def _mark_seen(self, claims: ShopperClaims, now: datetime) -> None:
        await self.session.execute(
            update(Shopper)
            .where(Shopper.brand_id == claims.brand_id, Shopper.id == claims.user_id)
            .values(last_seen_at=now, updated_at=now)
        )


async def forget(session: AsyncSession, brand_id: UUID, user_id: UUID, now: datetime) -> None:
    """After an erasure whoever comes again is somebody new: tokens and codes are void, and the brand's name for the
    shopper no longer leads to this row, which stays for the consents that were given.
    """
    await session.execute(delete(EmbedCode).where(EmbedCode.brand_id == brand_id, EmbedCode.user_id == user_id))
    await session.execute(
        update(ORDER_LINES)
        .where(ORDER_LINES.c.brand_id == brand_id, ORDER_LINES.c.user_id == user_id)
        .values(user_id=None, session_id=None)
    )
    await session.execute(
        update(Shopper)
        .where(Shopper.brand_id == brand_id, Shopper.id == user_id)
        .values(tokens_valid_after=now, external_ref=None, email=None, updated_at=now)
    )


async def is_live(session: AsyncSession, brand_id: UUID, user_id: UUID, auth_time: datetime) -> bool:
    """The shopper still exists and has not voided tokens as old as this one, and the shop has not taken the app out."""
    row = (
        await session.execute(
            select(Shopper.tokens_valid_after)
            .join(Brand, Brand.id == Shopper.brand_id)
            .where(Shopper.brand_id == brand_id, Shopper.id == user_id, Brand.uninstalled_at.is_(None))
        )
    ).one_or_none()
    if row is None:
        return False
    valid_after: datetime | None = row.tokens_valid_after
    return valid_after is None or auth_time >= valid_after


class ShopperTokens:
    """Checks shopper tokens on every request; the port behind the guards of `core.auth`."""

    def __init__(self, database: Database, clock: Clock, signing_key: str) -> None:
        self.database = database
        self.clock = clock
        self.signing_key = signing_key

    async def authenticate(self, credential: str) -> ShopperContext:
        claims = tokens.verify(self.signing_key, credential, self.clock.now())
        async with self.database.transaction(read_only=True) as session:
            if not await is_live(session, *_whose(claims)):
                raise Unauthorized
        return ShopperContext(claims.brand_id, claims.user_id, claims.origin, claims.auth_time)


def _whose(claims: ShopperClaims) -> tuple[UUID, UUID, datetime]:
    return claims.brand_id, claims.user_id, claims.auth_time
