"""Things that may be presented once: a document's token, a proxy signature, a request's own key."""

import hashlib
from datetime import timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from backend.core.clock import Clock
from backend.core.db import Database, insert_new
from backend.shopify.models import SpentCredential

Kind = Literal["proxy_signature", "document_token", "request"]


async def spend(
    session: AsyncSession, clock: Clock, brand_id: UUID, kind: Kind, value: str, lifetime: timedelta
) -> bool:
    """Whether it was new. Of two that come at once one is; a transaction that fails has spent nothing."""
    now = clock.now()
    row = {
        "id": uuid7(),
        "brand_id": brand_id,
        "kind": kind,
        "value_sha256": hashlib.sha256(value.encode()).hexdigest(),
        "expires_at": now + lifetime,
        "created_at": now,
        "updated_at": now,
    }
    unique = ("brand_id", "kind", "value_sha256")
    return bool(await insert_new(session, SpentCredential, [row], unique=unique, returning=SpentCredential.id))


async def forget_expired(database: Database, clock: Clock) -> int:
    """By then each would be refused for its age."""
    async with database.transaction() as session:
        gone = await session.execute(
            delete(SpentCredential)  # tenant: housekeeping, whosoever's they are
            .where(SpentCredential.expires_at <= clock.now())
            .returning(SpentCredential.id)
        )
        return len(gone.all())
