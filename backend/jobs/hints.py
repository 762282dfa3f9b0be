"""What a hook may do: make its attempt due now, and claim an id for it. Nothing else, whatever its body says."""

import hashlib
import secrets
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.core.clock import Clock
from backend.jobs import states
from backend.jobs.models import JobAttempt
from backend.jobs.rows import change_attempt

NO_HASH = "0" * 64


async def take_hint(session: AsyncSession, clock: Clock, attempt_id: UUID, token: str, rp_id: str | None) -> bool:
    """Look now, and perhaps learn the id. False for a wrong token, an unknown attempt, and one long past."""
    attempt = await session.scalar(
        select(JobAttempt).where(JobAttempt.id == attempt_id)  # tenant: the hook's token names the attempt
    )
    stored = attempt.token_sha256 if attempt else NO_HASH
    now = clock.now()
    if not secrets.compare_digest(hash_token(token), stored) or attempt is None:
        return False
    if now > attempt.submitted_at + states.HOOK_LIFE:
        return False
    if attempt.state != states.SUCCEEDED:
        values: dict[str, Any] = {"poll_at": now, "updated_at": now}
        if rp_id is not None and attempt.rp_id is None:
            values["hinted_rp_id"] = rp_id
        await session.execute(change_attempt(attempt).where(JobAttempt.state != states.SUCCEEDED).values(values))
    return True


def hash_token(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
