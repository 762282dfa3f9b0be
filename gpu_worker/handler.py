"""One job: contract in, files out, manifest last. Importing this starts nothing and loads no model.

Everything a job reads or makes stays in memory: no photo touches the worker's disk, so there is nothing to clean up
after a crash. No exception leaves the handler, because the SDK would send its text, which may hold a signed address.
"""

import asyncio
import contextlib
import contextvars
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import msgspec

from gpu_worker import logs
from gpu_worker.contract import (
    CONTRACT_VERSION,
    PERMANENT_ERRORS,
    PIPELINE_VERSION,
    RETRYABLE_ERRORS,
    AvatarParams,
    AvatarResult,
    DressParams,
    DressResult,
    FileRecord,
    GarmentParams,
    GarmentResult,
    JobInput,
    Manifest,
    Stage,
    WorkerError,
)
from gpu_worker.estimators.questionnaire import FactRefused
from gpu_worker.files import FileFault, SignedFiles, storage_session
from gpu_worker.settings import Settings

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
AVATAR_INPUTS = frozenset({"photo", "photo_side"})
AVATAR_OUTPUTS = frozenset({"avatar.glb", "body.npz", MANIFEST})
GARMENT_OUTPUTS = frozenset({"preview.glb", "preview.png", "garment.npz", MANIFEST})
LOOK_INPUTS = frozenset({"photo", "texture"})
DRESS_INPUTS = (frozenset({"body"}), frozenset({"body", "garment"}))
DRESS_OUTPUTS = frozenset({"garment.glb", MANIFEST})
LAST_STAGE_REPORTED = Stage.BUILDING
"""`saving` lasts milliseconds, and a report that arrives after the result could reopen the job at RunPod."""

STOP_GRACE_S = 10.0
"""How long a stopped job's thread may take to reach the end of its stage."""

Job = Mapping[str, Any]
Report = Callable[[Job, dict[str, object]], None]
Handler = Callable[[Job], Awaitable[dict[str, Any]]]
T = TypeVar("T")
Make = Callable[[Mapping[str, bytes], Callable[[Stage], None]], T]
"""Inputs and a call at the start of each stage → what was made."""


class AvatarOutcome(Protocol):
    """What a run of the pipeline gives."""

    @property
    def result(self) -> AvatarResult: ...
    @property
    def glb(self) -> bytes: ...
    @property
    def body_npz(self) -> bytes: ...
    @property
    def timings_ms(self) -> Mapping[str, float]: ...


class AvatarPipeline(Protocol):
    """Photo and facts to a body; may raise `FactRefused` or an error whose `code` is one of the contract's."""

    def run_avatar(
        self, params: AvatarParams, photo: bytes | None, photo_side: bytes | None, on_stage: Callable[[Stage], None], /
    ) -> AvatarOutcome:
        """Run all stages, calling `on_stage` at the start of each."""


class TailorOutcome(Protocol):
    """What a garment or dress job gives; `files` may lack an output that has nothing to show."""

    @property
    def files(self) -> Mapping[str, bytes]: ...
    @property
    def garment(self) -> GarmentResult | None: ...
    @property
    def dress(self) -> DressResult | None: ...
    @property
    def timings_ms(self) -> Mapping[str, float]: ...


OnStage = Callable[[Stage], None]


class TailorPipeline(Protocol):
    """Charts and bodies to garments; may raise an error whose `code` is one of the contract's."""

    def run_garment(self, params: GarmentParams, inputs: Mapping[str, bytes], on_stage: OnStage, /) -> TailorOutcome:
        """Check a garment and show it on a mannequin."""

    def run_dress(self, params: DressParams, inputs: Mapping[str, bytes], on_stage: OnStage, /) -> TailorOutcome:
        """Put a garment on a body, every size."""


class InputInvalid(Exception):
    """The job is not one that this worker can do; the backend's fault."""

    code = "input_invalid"


class ContractVersion(Exception):
    """The job speaks another version of the contract."""

    code = "contract_version"


class Stopped(Exception):
    """The job was cancelled; raised between stages."""


class JobVersion(msgspec.Struct):
    """The one field that is read before all others."""

    contract_version: int


def make_handler(
    pipeline: AvatarPipeline,
    settings: Settings,
    *,
    tailor: TailorPipeline | None = None,
    report: Report = lambda _job, _progress: None,
    on_out_of_memory: Callable[[], None] = lambda: None,
    process_start_ms: Callable[[], float] = lambda: 0.0,
) -> Handler:
    """The RunPod handler over a loaded pipeline.

    tailor           : None where this worker makes bodies alone
    report           : sends a stage to the platform (`runpod.serverless.progress_update`); called from a thread
    on_out_of_memory : called after such a failure; a fresh process is wanted
    process_start_ms : from the start of the process until it was ready, written into the first job's manifest
    """
    worker = _JobRunner(pipeline, tailor, settings, report, process_start_ms)

    async def handler(job: Job) -> dict[str, Any]:
        with logs.about(job):
            return await answered(job)

    async def answered(job: Job) -> dict[str, Any]:
        started_s = time.perf_counter()
        try:
            answer = await worker.run(job)
            duration_ms = round((time.perf_counter() - started_s) * 1000, 1)
            log.info("job.done", extra={"facts": {"duration_ms": duration_ms}})
            return answer  # noqa: TRY300  what follows is for failures alone
        except Exception as error:  # noqa: BLE001  nothing may escape, see above
            failure = failure_of(error)
            _log_failure(failure, error)
            told: dict[str, Any] = {"error": msgspec.json.encode(failure).decode()}
            if failure.code == "out_of_memory":
                told["refresh_worker"] = True
                on_out_of_memory()
            return told

    return handler


def failure_of(error: Exception) -> WorkerError:
    """The contract's code for an exception; whatever is not known is `internal`."""
    if isinstance(error, MemoryError):
        return WorkerError("out_of_memory", retryable=True)
    if isinstance(error, FactRefused):
        return WorkerError("input_invalid", retryable=False)
    code = getattr(error, "code", None)
    if code in PERMANENT_ERRORS:
        return WorkerError(str(code), retryable=False)
    if code in RETRYABLE_ERRORS:
        return WorkerError(str(code), retryable=True)
    return WorkerError("internal", retryable=True)


class _JobRunner:
    def __init__(
        self,
        pipeline: AvatarPipeline,
        tailor: TailorPipeline | None,
        settings: Settings,
        report: Report,
        process_start_ms: Callable[[], float],
    ) -> None:
        self._pipeline = pipeline
        self._tailor = tailor
        self._settings = settings
        self._report = report
        self._process_start_ms = process_start_ms
        self._is_first = True
        self._one_at_a_time = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, "job")
        """The models: a job that nobody waits for any more holds up the next until its stage ends."""

    async def run(self, job: Job) -> dict[str, Any]:
        task = decode_job(job.get("input"))
        is_cold, self._is_first = self._is_first, False
        async with storage_session() as session:
            files = SignedFiles(session, self._settings.storage_origin)
            if task.kind == "noop":
                return await self._noop(task, files, is_cold=is_cold)
            if task.kind == "avatar":
                return await self._avatar(job, task, files, is_cold=is_cold)
            return await self._tailored(job, task, files, is_cold=is_cold)

    async def _noop(self, task: JobInput, files: SignedFiles, *, is_cold: bool) -> dict[str, Any]:
        if MANIFEST not in task.outputs:
            return {"attempt_id": task.attempt_id, "kind": task.kind}
        return await self._finish(task, files, {}, {}, is_cold=is_cold)

    async def _avatar(self, job: Job, task: JobInput, files: SignedFiles, *, is_cold: bool) -> dict[str, Any]:
        params = avatar_params(task)

        def make(inputs: Mapping[str, bytes], on_stage: OnStage) -> AvatarOutcome:
            return self._pipeline.run_avatar(params, inputs.get("photo"), inputs.get("photo_side"), on_stage)

        timings_ms: dict[str, float] = {}
        outcome = await self._make(job, task, files, timings_ms, make)
        timings_ms |= outcome.timings_ms
        made = {"avatar.glb": outcome.glb, "body.npz": outcome.body_npz}
        records = await _upload(task, files, timings_ms, made)
        return await self._finish(task, files, records, timings_ms, is_cold=is_cold, avatar=outcome.result)

    async def _tailored(self, job: Job, task: JobInput, files: SignedFiles, *, is_cold: bool) -> dict[str, Any]:
        make = self._tailoring(task)
        timings_ms: dict[str, float] = {}
        outcome = await self._make(job, task, files, timings_ms, make)
        timings_ms |= outcome.timings_ms
        records = await _upload(task, files, timings_ms, outcome.files)
        return await self._finish(
            task, files, records, timings_ms, is_cold=is_cold, garment=outcome.garment, dress=outcome.dress
        )

    def _tailoring(self, task: JobInput) -> Make[TailorOutcome]:
        tailor = self._tailor
        if tailor is None:
            raise InputInvalid
        try:
            if task.kind == "garment":
                garment = msgspec.convert(task.params, GarmentParams)
                if task.inputs.keys() - LOOK_INPUTS != {f"size_{place}" for place in range(len(garment.uploads))}:
                    raise InputInvalid
                return lambda inputs, on_stage: tailor.run_garment(garment, inputs, on_stage)
            dress = msgspec.convert(task.params, DressParams)
        except msgspec.ValidationError as error:
            raise InputInvalid from error
        return lambda inputs, on_stage: tailor.run_dress(dress, inputs, on_stage)

    async def _make(
        self, job: Job, task: JobInput, files: SignedFiles, timings_ms: dict[str, float], make: Make[T]
    ) -> T:
        """Inputs in, `make` beside the loop and one job at a time."""
        stages = _Stages(lambda stage: self._report(job, {"stage": str(stage), "of": len(Stage)}))
        stages.enter(Stage.RECEIVED)
        with _timed(timings_ms, "download"):
            inputs = {name: await files.read(name, file) for name, file in task.inputs.items()}
        async with self._one_at_a_time:
            with _timed(timings_ms, "pipeline"):
                return await _in_thread(self._thread, lambda: make(inputs, stages.enter), stages.stop)

    async def _finish(
        self,
        task: JobInput,
        files: SignedFiles,
        records: dict[str, FileRecord],
        timings_ms: dict[str, float],
        *,
        is_cold: bool,
        avatar: AvatarResult | None = None,
        garment: GarmentResult | None = None,
        dress: DressResult | None = None,
    ) -> dict[str, Any]:
        """Write the manifest, which says that all else is there; return a summary without measurements."""
        if is_cold:
            timings_ms["process_start"] = self._process_start_ms()
        manifest = Manifest(
            attempt_id=task.attempt_id,
            contract_version=CONTRACT_VERSION,
            pipeline_version=PIPELINE_VERSION,
            files=records,
            result=avatar,
            gpu_name=self._settings.gpu_name,
            worker_id=self._settings.worker_id,
            cold=is_cold,
            timings_ms={name: round(value, 1) for name, value in timings_ms.items()},
            garment=garment,
            dress=dress,
        )
        summary = {"attempt_id": task.attempt_id, "kind": task.kind, "files": sorted(records)}
        try:
            await files.write(MANIFEST, task.outputs[MANIFEST], msgspec.json.encode(manifest))
        except FileFault as fault:
            if fault.code != "output_exists":
                raise
            log.info("another run of attempt %s has finished first", task.attempt_id)
        return summary


def decode_job(content: object) -> JobInput:
    """Read a job's input strictly: the version first, then every field, then what its kind needs."""
    try:
        if msgspec.convert(content, JobVersion).contract_version != CONTRACT_VERSION:
            raise ContractVersion
        task = msgspec.convert(content, JobInput)
    except msgspec.ValidationError as error:
        raise InputInvalid from error
    if task.kind == "avatar":
        if not task.inputs.keys() <= AVATAR_INPUTS or task.outputs.keys() != AVATAR_OUTPUTS:
            raise InputInvalid
        if "photo_side" in task.inputs and "photo" not in task.inputs:
            raise InputInvalid
    elif task.kind == "garment":
        if task.outputs.keys() != GARMENT_OUTPUTS:
            raise InputInvalid
    elif task.kind == "dress" and (
        task.inputs.keys() - LOOK_INPUTS not in DRESS_INPUTS or task.outputs.keys() != DRESS_OUTPUTS
    ):
        raise InputInvalid
    return task


def avatar_params(task: JobInput) -> AvatarParams:
    """What the shopper stated, read strictly."""
    try:
        return msgspec.convert(task.params, AvatarParams)
    except msgspec.ValidationError as error:
        raise InputInvalid from error


class _Stages:
    """Reports each stage once and, between stages, ends a job that was cancelled."""

    def __init__(self, report: Callable[[Stage], None]) -> None:
        self._report = report
        self._left = list(Stage)[: list(Stage).index(LAST_STAGE_REPORTED) + 1]
        self.stop = threading.Event()

    def enter(self, stage: Stage) -> None:
        if self.stop.is_set():
            raise Stopped
        if stage in self._left:
            self._left = self._left[self._left.index(stage) + 1 :]
            self._report(stage)


async def _upload(
    task: JobInput, files: SignedFiles, timings_ms: dict[str, float], made: Mapping[str, bytes]
) -> dict[str, FileRecord]:
    with _timed(timings_ms, "upload"):
        return {name: await files.write(name, task.outputs[name], body) for name, body in made.items()}


async def _in_thread(thread: Executor, work: Callable[[], T], stop: threading.Event) -> T:
    """Run `work` off the loop. Cancelled: tell it to stop, wait for it a while, then pass the cancellation on."""
    context = contextvars.copy_context()  # the log's ids
    running = asyncio.get_running_loop().run_in_executor(thread, lambda: context.run(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stop.set()
        running.add_done_callback(_seen)
        await asyncio.wait([running], timeout=STOP_GRACE_S)
        raise


def _seen(over: asyncio.Future[Any]) -> None:
    """It is `Stopped`, or no longer of interest."""
    if not over.cancelled():
        over.exception()


@contextlib.contextmanager
def _timed(timings_ms: dict[str, float], name: str) -> Iterator[None]:
    start_s = time.perf_counter()
    yield
    timings_ms[name] = (time.perf_counter() - start_s) * 1000


def _log_failure(failure: WorkerError, error: Exception) -> None:
    """Code, kind and place of a failure, never its text."""
    facts = {"code": failure.code, "fault": type(error).__name__}
    if failure.code == "internal" and (frame := error.__traceback__):
        while frame.tb_next:
            frame = frame.tb_next
        facts["place"] = f"{frame.tb_frame.f_code.co_qualname}:{frame.tb_lineno}"
    log.warning("job.failed", extra={"facts": facts})
