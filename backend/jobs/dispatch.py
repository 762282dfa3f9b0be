"""Sends what is due: attempt committed first, then the network, then what came of it."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar, cast

import msgspec
import structlog

from backend.core.storage import ObjectNotFound, ObjectStore, StorageError
from backend.jobs import states
from backend.jobs.breaker import Ticket
from backend.jobs.ledger import Ledger
from backend.jobs.models import Job
from backend.jobs.providers import Provider, Providers
from backend.jobs.purse import BUDGET_EXCEEDED, Purse
from backend.jobs.queue import Ambiguous, NotAccepted, Rejected, Submission
from backend.jobs.rows import Claimed, Looked, work_of
from backend.jobs.work import JSON, LOOKED_AT, MANIFEST, MANIFEST_MAX_BYTES, ObjectOutput
from backend.provider_settings import KINDS
from gpu_worker.contract import CONTRACT_VERSION, InputFile, JobInput, Kind, OutputFile

log = structlog.get_logger()

T = TypeVar("T")

BATCH = 64
AT_ONCE = 8
"""What a process that dies may leave half done: each of them then waits for its grace."""
CROWD = 2
QUIET = timedelta(seconds=0.7)
LONGEST_WAIT = timedelta(seconds=10)
READ_LIFE = timedelta(minutes=30)
WRITE_LIFE = timedelta(minutes=30)


class Dispatcher:
    def __init__(
        self, ledger: Ledger, providers: Providers, store: ObjectStore, public_base_url: str, purse: Purse
    ) -> None:
        self.ledger = ledger
        self.purse = purse
        self.providers = providers
        self.store = store
        self.public_base_url = public_base_url

    async def run_due(self) -> int:
        """How many jobs were sent. What nobody takes now is not even read: it stays due in its row.

        A batch of work that has no room is looked past, so that it does not stand before work of another kind.
        """
        kinds = {kind for kind in KINDS if self.providers.choose(kind) is not None}
        held_since = await self._held_since()
        unseen_until = held_since if self._is_all_local() else None
        await self.purse.look()
        await self.ledger.limits.look()
        while kinds:
            jobs = await self.ledger.claims.due_jobs(BATCH, kinds, unseen_until=unseen_until)
            chosen, unpaid = await self._choose(jobs, held_since) if jobs else ([], [])
            if unpaid:
                await self.ledger.claims.hold(unpaid, BUDGET_EXCEEDED, self.purse.look_again_at())
            if chosen or len(jobs) < BATCH:
                return await self._dispatch_all(chosen)
            if not unpaid:
                kinds -= {job.kind for job in jobs}
        return 0

    async def _dispatch_all(self, chosen: list[tuple[Job, Provider]]) -> int:
        """Each dispatcher starts elsewhere, so that two do not collide on every row."""
        start = random.randrange(len(chosen)) if chosen else 0  # noqa: S311  no secret
        return await in_parallel([*chosen[start:], *chosen[:start]], self._dispatch)

    async def _choose(
        self, jobs: list[Job], held_since: datetime | None
    ) -> tuple[list[tuple[Job, Provider]], list[Job]]:
        """Who is given which, in the order of turns, as far as there is room; and what nobody pays for."""
        room = await self._room()
        chosen, unpaid = [], []
        for job in jobs:
            full = [provider for provider, left in room.items() if left <= 0]
            provider = self.providers.choose(job.kind, but=full, avoid=job.moved_from)
            too_dear = []
            while provider is not None and not self.purse.pays(job, provider.settings):
                too_dear.append(provider)
                provider = self.providers.choose(job.kind, but=[*full, *too_dear], avoid=job.moved_from)
            if provider is None and too_dear:
                unpaid.append(job)
            if provider is None or (provider.queue.is_local and _is_held(job, held_since)):
                continue
            if provider in room:
                room[provider] -= 1
            chosen.append((job, provider))
        return chosen, unpaid

    async def _room(self) -> dict[Provider, int]:
        """How many more attempts those take that take only so many."""
        limited = [provider for provider in self.providers.all if provider.settings.max_open]
        opened = await self.ledger.claims.count_open_attempts() if limited else {}
        return {provider: provider.settings.max_open - opened.get(provider.key, 0) for provider in limited}

    async def _held_since(self) -> datetime | None:
        """What was ordered after this and is looked at by nobody waits, on this host: shoppers come one upon the other,
        and it would take the processor from the next one's first size. None: it need not; a single one is no crowd.
        """
        now = self.ledger.clock.now()
        if any(
            provider.queue.is_local for provider in self.providers.all
        ) and await self.ledger.claims.has_bodies_since(now - QUIET, CROWD):
            return now - LONGEST_WAIT
        return None

    def _is_all_local(self) -> bool:
        """Then what waits need not even be read."""
        return all(provider.queue.is_local for provider in self.providers.all)

    async def _dispatch(self, choice: tuple[Job, Provider]) -> None:
        job, provider = choice
        with structlog.contextvars.bound_contextvars(request_id=job.request_id):
            await self._dispatch_to(job, provider)

    async def _dispatch_to(self, job: Job, provider: Provider) -> None:
        ticket = provider.enter()
        if ticket is None:  # a probe is under way, or it has failed since it was chosen
            return
        try:
            claimed = await self.ledger.claims.claim(job, *provider.key)
            if claimed is not None:
                await self._send(claimed, provider, ticket)
        finally:
            provider.leave(ticket)

    async def _send(self, claimed: Claimed, provider: Provider, ticket: Ticket) -> None:
        job, attempt = claimed.job, claimed.attempt
        looked = Looked(job, attempt)
        try:
            submission = await self._submission(claimed)
        except ObjectNotFound:
            await self.ledger.close(looked, states.REJECTED, "photo_gone", is_retryable=False)
            return
        except StorageError as error:
            log.warning("job.not_signed", job_id=str(job.id), fault=type(error).__name__)
            await self.ledger.close(looked, states.NOT_ACCEPTED, "storage", is_retryable=True)
            return
        try:
            rp_id = await provider.run(ticket, submission)
        except NotAccepted as refusal:
            await self._not_accepted(looked, provider, refusal)
        except Rejected as refusal:
            log.error("job.rejected", job_id=str(job.id), provider=provider.name, reason=refusal.reason)  # noqa: TRY400  the reason is all there is
            await self.ledger.close(looked, states.REJECTED, "rejected", is_retryable=False)
        except Ambiguous as doubt:
            log.warning("job.unknown", job_id=str(job.id), provider=provider.name, reason=doubt.reason)
            await self.ledger.unknown(attempt, doubt.reason)
        else:
            log.info("job.sent", job_id=str(job.id), attempt_id=str(attempt.id), kind=job.kind, provider=provider.name)
            poll_after = states.poll_delay(timedelta(0), is_local=provider.queue.is_local)
            if not await self.ledger.submitted(attempt, rp_id, poll_after):
                await provider.queue.cancel(rp_id)  # the shopper has deleted the avatar in this moment

    async def _not_accepted(self, looked: Looked, provider: Provider, refusal: NotAccepted) -> None:
        """To the next provider after a moment; with none left, not before the first of them opens again."""
        job = looked.job
        log.warning("job.not_accepted", job_id=str(job.id), provider=provider.name, reason=refusal.reason)
        wait_s = self.providers.opens_in(job.kind).total_seconds()
        await self.ledger.close(looked, states.NOT_ACCEPTED, "not_accepted", is_retryable=True, retry_after_s=wait_s)

    async def _submission(self, claimed: Claimed) -> Submission:
        """Addresses are signed now, so that waiting in the row costs none of their life."""
        job, attempt = claimed.job, claimed.attempt
        work = work_of(job)
        inputs = {}
        for name, item in work.inputs.items():
            signed = await self.store.signed_get_url(item.bucket, item.key, ttl=READ_LIFE)
            inputs[name] = InputFile(signed.url, item.sha256, item.size, item.media_type)
        outputs = {}
        for name, output in {**work.outputs, MANIFEST: ObjectOutput(JSON, MANIFEST_MAX_BYTES)}.items():
            put = await self.store.signed_put_url(
                work.bucket,
                work.folder(attempt.id, attempt.secret) + name,
                content_type=output.media_type,
                max_bytes=output.max_bytes,
                min_ttl=WRITE_LIFE,
            )
            outputs[name] = OutputFile(put.url, put.headers, output.max_bytes)
        request_id = job.request_id or msgspec.UNSET
        order = JobInput(CONTRACT_VERSION, str(attempt.id), _kind(job), inputs, outputs, work.params, request_id)
        hook = f"{self.public_base_url}/hooks/jobs/{attempt.id}/{claimed.token}"
        return Submission(order, hook, self.ledger.limits.of(job.kind, attempt))


def _is_held(job: Job, held_since: datetime | None) -> bool:
    return held_since is not None and job.priority not in LOOKED_AT and job.created_at > held_since


def _kind(job: Job) -> Kind:
    return cast("Kind", job.kind)


async def in_parallel(items: Sequence[T], work: Callable[[T], Awaitable[None]]) -> int:
    """How many came to their end. One that fails is logged and leaves its row for the next round; the others go on."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(item: T) -> bool:
        async with gate:
            try:
                await work(item)
            except Exception:
                log.exception("job.step_failed")
                return False
            return True

    return sum(await asyncio.gather(*(one(item) for item in items)))
