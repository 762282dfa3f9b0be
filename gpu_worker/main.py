"""The worker process: load the models, warm them, take jobs. Entry of the container and of `tryon-worker serve`."""

import asyncio
import contextlib
import io
import logging
import multiprocessing
import os
import resource
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import aiohttp
import psutil
from PIL import Image

from gpu_worker import logs
from gpu_worker.available import Hmr2Settings, photo_estimator
from gpu_worker.contract import AvatarParams
from gpu_worker.handler import AvatarPipeline, Handler, Job, Report, failure_of, make_handler
from gpu_worker.settings import Settings, SettingsError, one_thread_per_matrix
from gpu_worker.start_timeline import StartTimeline

if TYPE_CHECKING:
    from gpu_worker.pipeline import Pipeline
    from gpu_worker.tailor import Tailor

log = logging.getLogger(__name__)

QUICK_S = 0.5
FREE_QUICK_CALLS = 3
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 0.25
WATCH_PERIOD_S = 1.0
DRAIN_TIMEOUT = aiohttp.ClientTimeout(total=2)


class TakeLoopPace:
    """The SDK's `concurrency_modifier`, called before each poll. It never changes the concurrency.

    While the endpoint is unreachable the SDK polls without any pause: thousands of log lines a second and a full core.
    So after a few calls that came back at once without a job having started, it sleeps a little. The sleep blocks the
    event loop, hence it is short. Returning a smaller number instead would hang the SDK for ever.
    """

    def __init__(self, concurrency: int, jobs_started: Callable[[], int]) -> None:
        self._concurrency = concurrency
        self._jobs_started = jobs_started
        self._last_call_s = 0.0
        self._last_started = 0
        self._quick_calls = 0

    def __call__(self, _current: int) -> int:
        """Pause if need be, and return the constant concurrency."""
        started = self._jobs_started()
        is_quick = time.monotonic() - self._last_call_s < QUICK_S and started == self._last_started
        self._quick_calls = self._quick_calls + 1 if is_quick else 0
        self._last_started = started
        excess = self._quick_calls - FREE_QUICK_CALLS
        if excess > 0:
            time.sleep(min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (excess - 1)))
        self._last_call_s = time.monotonic()
        return self._concurrency


class CountedHandler:
    """Counts the jobs that have started, for `TakeLoopPace`."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.jobs_started = 0

    async def __call__(self, job: Job) -> dict[str, object]:
        """Run one job."""
        self.jobs_started += 1
        return await self._handler(job)


class StartUp:
    """How long this process took from its start until it could take jobs."""

    def __init__(self) -> None:
        self.ms = 0.0

    def has_ended(self) -> None:
        """Now it can."""
        self.ms = (time.time() - psutil.Process().create_time()) * 1000


def start(settings: Settings, make: Callable[[Report], Handler], check: Callable[[], None] = lambda: None) -> None:
    """Run the SDK worker until SIGTERM.

    make  : the handler, given the SDK's call that reports progress
    check : run first; if it raises, the SDK reports this worker as unhealthy and ends the process
    """
    os.environ.setdefault("RUNPOD_LOG_LEVEL", "INFO")  # read when runpod is imported; DEBUG would print outputs
    import runpod  # noqa: PLC0415  reads its environment at import

    if settings.lifeline_fd is not None:
        threading.Thread(target=_watch, args=(settings, settings.lifeline_fd), daemon=True).start()
    counted = CountedHandler(make(runpod.serverless.progress_update))
    pace = TakeLoopPace(settings.parked_polls, lambda: counted.jobs_started)
    runpod.serverless.register_fitness_check(check)
    runpod.serverless.start({"handler": counted.__call__, "concurrency_modifier": pace})


def leave() -> None:
    """Finish the running job, take no other, exit: what SIGTERM means to the SDK."""
    os.kill(os.getpid(), signal.SIGTERM)


def warm_up(pipeline: AvatarPipeline) -> None:
    """One body from answers and one look at an empty picture: what is loaded at first use is loaded now."""
    params = AvatarParams(height_cm=170.0, weight_kg=70.0)
    pipeline.run_avatar(params, None, None, lambda _stage: None)
    try:
        pipeline.run_avatar(params, _empty_picture(), None, lambda _stage: None)
    except Exception as error:
        if failure_of(error).code != "photo_no_person":
            raise


def _empty_picture() -> bytes:
    picture = io.BytesIO()
    Image.new("RGB", (480, 640), "grey").save(picture, "PNG")
    return picture.getvalue()


def load_pipeline(hmr2: Hmr2Settings, timeline: StartTimeline) -> "Pipeline":
    """The pipeline with the best photo estimator that can be offered here; what is offered is said in the log."""
    estimator = photo_estimator(hmr2, timeline)
    with timeline.span("body"):
        from gpu_worker.body.canonical import CanonicalBody  # noqa: PLC0415  numpy and scipy, for this process alone
        from gpu_worker.pipeline import Pipeline  # noqa: PLC0415

        return Pipeline(CanonicalBody.load(), estimator)


def load_tailor() -> "Tailor":
    """What puts garments on bodies."""
    from gpu_worker.garments.garment_job import Dresser  # noqa: PLC0415  numpy and scipy, for this process alone
    from gpu_worker.tailor import Tailor  # noqa: PLC0415

    return Tailor(Dresser())


def main() -> None:
    """Load everything first, so that the first job is as quick as the rest; then take jobs."""
    logs.configure()
    try:
        settings = Settings.from_env(os.environ)
    except SettingsError as error:
        sys.exit(f"tryon-worker: {error}")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold a photo
    one_thread_per_matrix(os.environ)
    timeline = StartTimeline()
    try:
        pipeline = load_pipeline(Hmr2Settings.from_env(os.environ), timeline)
    except ValueError as error:
        sys.exit(f"tryon-worker: {error}")
    with timeline.span("tailor"):
        tailor = load_tailor()
    log.info("start-up: %s", timeline)
    start_up = StartUp()

    def make(report: Report) -> Handler:
        return make_handler(
            pipeline,
            settings,
            tailor=tailor,
            report=report,
            on_out_of_memory=leave if settings.lifeline_fd is not None else lambda: None,
            process_start_ms=lambda: start_up.ms,
        )

    def models_work() -> None:
        warm_up(pipeline)
        tailor.warm_up()
        start_up.has_ended()

    start(settings, make, models_work)


def _watch(settings: Settings, lifeline_fd: int) -> None:
    """Leave when the supervisor dies (nothing is ever written to the pipe, it only closes) or the heartbeat does.

    Without its heartbeat, a process that the SDK starts once and does not look after, the endpoint would hold this
    worker for dead; leaving gets a fresh one.
    """
    has_heartbeat = False
    while True:
        is_closed = bool(select.select([lifeline_fd], [], [], WATCH_PERIOD_S)[0])
        had_heartbeat, has_heartbeat = has_heartbeat, bool(multiprocessing.active_children())
        if is_closed or (had_heartbeat and not has_heartbeat):
            log.warning("%s is gone; leaving after the running job", "supervisor" if is_closed else "heartbeat")
            leave()
            asyncio.run(_drain(settings))
            return


async def _drain(settings: Settings) -> None:
    """Have the open polls answered; without that the SDK waits for them, up to 20 s."""
    if settings.drain_url is None:
        return
    headers = {"Authorization": settings.endpoint_key}
    with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
        async with (
            aiohttp.ClientSession(timeout=DRAIN_TIMEOUT) as session,
            session.post(settings.drain_url, headers=headers),
        ):
            pass


if __name__ == "__main__":
    main()
