"""Sends what is due: attempt committed first, then the network, then what came of it."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TypeVar, cast

import structlog

from backend.core.storage import ObjectNotFound, ObjectStore, StorageError
from backend.jobs import states
from backend.jobs.ledger import Claimed, Ledger, Looked, work_of
from backend.jobs.models import Job
from backend.jobs.queue import Ambiguous, ComputeQueue, NotAccepted, Rejected, Submission
from backend.jobs.work import JSON, MANIFEST, MANIFEST_MAX_BYTES, ObjectOutput, Priority
from gpu_worker.contract import CONTRACT_VERSION, InputFile, JobInput, Kind, OutputFile

log = structlog.get_logger()

T = TypeVar("T")

BATCH = 64
AT_ONCE = 8
LOCAL_OPEN_ATTEMPTS = 4
"""Handed to a local endpoint at a time; the rest wait in their rows, photos first. Its workers do not grow with the
queue, and every open attempt is looked at several times a second, at the cost of requests."""
QUIET = timedelta(seconds=0.7)
LONGEST_WAIT = timedelta(seconds=10)
READ_LIFE = timedelta(minutes=30)
WRITE_LIFE = timedelta(minutes=30)


class Dispatcher:
    def __init__(self, ledger: Ledger, queue: ComputeQueue, store: ObjectStore, public_base_url: str) -> None:
        self.ledger = ledger
        self.queue = queue
        self.store = store
        self.public_base_url = public_base_url

    async def run_due(self) -> int:
        """How many jobs were due. Each dispatcher starts elsewhere, so that two do not collide on every row."""
        jobs = await self.ledger.due_jobs(BATCH)
        if jobs and self.queue.is_local:
            jobs = await self._those_for_one_host(jobs)
        start = random.randrange(len(jobs)) if jobs else 0  # noqa: S311  no secret
        await in_parallel(AT_ONCE, [*jobs[start:], *jobs[:start]], self.dispatch)
        return len(jobs)

    async def _those_for_one_host(self, jobs: list[Job]) -> list[Job]:
        """What nobody waits for waits itself until no order has come for a moment: it would take the processor from
        the next shopper's first size.
        """
        now = self.ledger.clock.now()
        room = LOCAL_OPEN_ATTEMPTS - await self.ledger.count_open_attempts()
        newest = await self.ledger.newest_order_at()
        is_busy = newest is not None and now - newest < QUIET
        wanted = [
            job
            for job in jobs
            if job.priority == Priority.WAITED_FOR or not is_busy or now - job.created_at > LONGEST_WAIT
        ]
        return wanted[: max(0, room)]

    async def dispatch(self, job: Job) -> None:
        claimed = await self.ledger.claim(job, self.queue.provider, self.queue.endpoint_id)
        if claimed is not None:
            await self._send(claimed)

    async def _send(self, claimed: Claimed) -> None:
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
            rp_id = await self.queue.run(submission)
        except NotAccepted as refusal:
            log.warning("job.not_accepted", job_id=str(job.id), reason=refusal.reason)
            await self.ledger.close(
                looked,
                states.NOT_ACCEPTED,
                "not_accepted",
                is_retryable=True,
                retry_after_s=refusal.retry_after_s,
            )
        except Rejected as refusal:
            log.error("job.rejected", job_id=str(job.id), reason=str(refusal))  # noqa: TRY400  the reason is all there is
            await self.ledger.close(looked, states.REJECTED, "rejected", is_retryable=False)
        except Ambiguous as doubt:
            log.warning("job.unknown", job_id=str(job.id), reason=str(doubt))
            await self.ledger.unknown(attempt, str(doubt))
        else:
            poll_after = states.poll_delay(timedelta(0), is_local=self.queue.is_local)
            if not await self.ledger.submitted(attempt, rp_id, poll_after):
                await self.queue.cancel(rp_id)  # the shopper has deleted the avatar in this moment

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
        order = JobInput(CONTRACT_VERSION, str(attempt.id), _kind(job), inputs, outputs, work.params)
        return Submission(order, f"{self.public_base_url}/hooks/jobs/{attempt.id}/{claimed.token}")


def _kind(job: Job) -> Kind:
    return cast("Kind", job.kind)


async def in_parallel(limit: int, items: Sequence[T], work: Callable[[T], Awaitable[None]]) -> None:
    """One that fails is logged and leaves its row for the next round; the others go on."""
    gate = asyncio.Semaphore(limit)

    async def one(item: T) -> None:
        async with gate:
            try:
                await work(item)
            except Exception:
                log.exception("job.step_failed")

    await asyncio.gather(*(one(item) for item in items))
