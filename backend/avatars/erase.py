"""An avatar gone, and its shopper forgotten: rows and events at once, objects after the commit, with a receipt."""

from functools import partial
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend.avatars.models import Avatar
from backend.avatars.photos import PURPOSE
from backend.avatars.service import AvatarService
from backend.core.auth import Principal, ShopperContext
from backend.core.clock import Clock
from backend.core.storage import AVATARS, PHOTOS, person_prefix
from backend.shoppers import service as shoppers
from backend.shoppers.erasures import LAST_UPLOAD, LEASE
from backend.shoppers.errors import ConsentNotFound
from backend.shoppers.models import Consent, Erasure


class AvatarErasure:
    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self.session = session
        self.clock = clock
        self.avatars = AvatarService(session, clock)

    async def erase(self, principal: Principal, avatar_id: UUID, *, reason: str = "deleted") -> list[Erasure]:
        await self.avatars.hold_work(principal.brand_id, Avatar.id == avatar_id)
        return await self.erase_found(await self.avatars.get(principal, avatar_id, for_update=True), reason=reason)

    async def erase_found(self, avatar: Avatar, *, reason: str) -> list[Erasure]:
        """Try-on sessions go with the row; the work is called off and forgotten, the events lose the person."""
        await self.avatars.jobs.erase(avatar.brand_id, avatar.id)
        rows = self._order_deletion(avatar, reason)
        await self.session.execute(delete(Avatar).where(Avatar.brand_id == avatar.brand_id, Avatar.id == avatar.id))
        await self.avatars.events.record(
            avatar.brand_id, "data_erased", key=f"avatar:{avatar.id}:erased", metadata={"scope": "avatar"}
        )
        await self.avatars.events.forget(avatar.brand_id, avatar.user_id)
        await shoppers.forget(self.session, avatar.brand_id, avatar.user_id, self.clock.now())
        await self.session.flush()
        return rows

    async def withdraw(self, shopper: ShopperContext, consent_id: UUID) -> list[Erasure]:
        """The consent ends, and the avatar that rests on it with its photo: then the token is void as well."""
        consent = await self.session.scalar(
            select(Consent).where(
                Consent.brand_id == shopper.brand_id, Consent.user_id == shopper.user_id, Consent.id == consent_id
            )
        )
        if consent is None:
            raise ConsentNotFound("There is no such consent.")
        now = self.clock.now()
        await self.session.execute(
            update(Consent)
            .where(Consent.brand_id == consent.brand_id, Consent.id == consent.id, Consent.withdrawn_at.is_(None))
            .values(withdrawn_at=now, updated_at=now)
        )
        await self.avatars.events.record(
            consent.brand_id,
            "consent_withdrawn",
            key=f"consent:{consent.id}:withdrawn",
            user_id=shopper.user_id,
            metadata={"version": consent.version, "purpose": PURPOSE},
        )
        await self.avatars.hold_work(shopper.brand_id, Avatar.user_id == shopper.user_id)
        avatar = await self.avatars.of_user(shopper.brand_id, shopper.user_id, for_update=True)
        if avatar is None or avatar.id != consent.avatar_id or avatar.consent_id is None:
            return []
        return await self.erase_found(avatar, reason="consent_withdrawn")

    def _order_deletion(self, avatar: Avatar, reason: str) -> list[Erasure]:
        """Photos by prefix and, should one lie elsewhere, by key; meshes once more after the last upload.

        The sweeper keeps away for as long as a try may take, so that who asked can answer that all is gone.
        """
        prefix = f"{person_prefix(avatar.brand_id, avatar.user_id)}{avatar.id}/"
        now = self.clock.now()
        again_at = now + LAST_UPLOAD
        request = partial(self.avatars.erasures.request, avatar.brand_id, not_before=now + LEASE)
        subject = ("avatar", avatar.id)
        rows = [
            request(PHOTOS.name, "prefix", prefix, reason=reason, subject=subject),
            request(AVATARS.name, "prefix", prefix, reason=reason, subject=subject, repeat_after=again_at),
        ]
        elsewhere = [
            key for key in (avatar.photo_key, avatar.photo_side_key) if key is not None and not key.startswith(prefix)
        ]
        return [
            *rows,
            *(request(PHOTOS.name, "object", key, reason=reason, subject=subject) for key in elsewhere),
        ]
