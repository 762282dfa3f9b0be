"""A queue that does what the script says: RunPod's client API over httpx, and by hand the worker behind it."""

import hashlib
import itertools
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

from backend.core.db import Database
from gpu_worker.contract import (
    CONTRACT_VERSION,
    MEASUREMENTS,
    AvatarResult,
    DressParams,
    DressResult,
    FileRecord,
    GarmentParams,
    GarmentResult,
    JobInput,
    Manifest,
    Quantity,
    SizeReport,
    WorkerError,
)

BASE_URL = "http://endpoint.test/v2"
Fault = Callable[[httpx.Request], httpx.Response]

GLB = b"glTF" + (2).to_bytes(4, "little") + (20).to_bytes(4, "little") + bytes(8)
NPZ = b"PK\x03\x04" + bytes(40)
FILES = {"avatar.glb": GLB, "body.npz": NPZ}
FILES_OF: dict[str, dict[str, bytes]] = {
    "avatar": FILES,
    "garment": {"preview.glb": GLB},
    "dress": {"garment.glb": GLB},
}


class SubmittedJob(msgspec.Struct):
    rp_id: str
    input: JobInput
    webhook: str
    policy: dict[str, Any]
    status: dict[str, Any]


class ScriptedEndpoint(httpx.AsyncBaseTransport):
    """`run_faults` and `status_faults` answer the next calls in place of the endpoint; `is_down` refuses them all."""

    def __init__(self) -> None:
        self.is_down = False
        self.workers = {"idle": 0, "initializing": 0, "ready": 1, "running": 1, "throttled": 0, "unhealthy": 0}
        self.jobs: dict[str, SubmittedJob] = {}
        self.cancelled: list[str] = []
        self.run_faults: list[Fault] = []
        self.status_faults: list[Fault] = []
        self.requests: list[httpx.Request] = []
        self._numbers = itertools.count(1)

    @property
    def newest(self) -> SubmittedJob:
        return list(self.jobs.values())[-1]

    def newest_of(self, kind: str) -> SubmittedJob:
        return self.all_of(kind)[-1]

    def all_of(self, kind: str) -> list[SubmittedJob]:
        return [job for job in self.jobs.values() if job.input.kind == kind]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.is_down:
            raise httpx.ConnectError("refused", request=request)
        _, _, _, action, *rest = request.url.path.split("/")
        match action:
            case "run":
                return self.run_faults.pop(0)(request) if self.run_faults else self.accept(request)
            case "status":
                return self.status_faults.pop(0)(request) if self.status_faults else self._status(rest[0])
            case "cancel":
                self.cancelled.append(rest[0])
                return httpx.Response(200, json={"id": rest[0], "status": "CANCELLED"})
            case "health":
                return httpx.Response(200, json={"jobs": self._counts(), "workers": self.workers})
            case "purge-queue":
                return httpx.Response(200, json={"removed": self._purge(), "status": "completed"})
        return httpx.Response(404)

    def accept(self, request: httpx.Request) -> httpx.Response:
        body = msgspec.json.decode(request.content)
        rp_id = f"job-{next(self._numbers)}"
        self.jobs[rp_id] = SubmittedJob(
            rp_id, msgspec.convert(body["input"], JobInput), body["webhook"], body["policy"], {"status": "IN_QUEUE"}
        )
        return httpx.Response(200, json={"id": rp_id, "status": "IN_QUEUE"})

    def calls(self, action: str) -> int:
        """How often it was asked for that."""
        return sum(request.url.path.split("/")[3] == action for request in self.requests)

    def _counts(self) -> dict[str, int]:
        states = [job.status["status"] for job in self.jobs.values()]
        return {"completed": 0, "failed": 0, "inProgress": 0, "inQueue": states.count("IN_QUEUE"), "retried": 0}

    def _purge(self) -> int:
        waiting = [job for job in self.jobs.values() if job.status["status"] == "IN_QUEUE"]
        for job in waiting:
            job.status = {"status": "CANCELLED"}
        return len(waiting)

    def _status(self, rp_id: str) -> httpx.Response:
        job = self.jobs.get(rp_id)
        return httpx.Response(200, json={"id": rp_id, **job.status}) if job else httpx.Response(404)

    # ---- the worker ---------------------------------------------------------------------------------------------

    def report(self, job: SubmittedJob, stage: str) -> None:
        job.status = {"status": "IN_PROGRESS", "output": {"stage": stage, "of": 5}}

    def complete(self, job: SubmittedJob) -> None:
        """The platform's word; the files are another matter."""
        job.status = {"status": "COMPLETED", "delayTime": 120, "executionTime": 900, "output": {}, "workerId": "w-1"}

    def fail(self, job: SubmittedJob, code: str, *, is_retryable: bool) -> None:
        error = msgspec.json.encode(WorkerError(code, is_retryable)).decode()
        job.status = {"status": "FAILED", "error": error}


async def upload(
    http: httpx.AsyncClient,
    job: SubmittedJob,
    manifest: Manifest | bytes | None,
    *,
    only: dict[str, bytes] | None = None,
    **files: bytes,
) -> None:
    """What a worker writes, through the addresses it was given. `only`: these files in place of the usual ones."""
    usual = FILES_OF[job.input.kind] if only is None else only
    contents = usual | {name.replace("_", "."): body for name, body in files.items()}
    for name, body in contents.items():
        output = job.input.outputs[name]
        (await http.put(output.url, content=body, headers=output.headers)).raise_for_status()
    if manifest is not None:
        output = job.input.outputs["manifest.json"]
        body = manifest if isinstance(manifest, bytes) else msgspec.json.encode(manifest)
        (await http.put(output.url, content=body, headers=output.headers)).raise_for_status()


def manifest_of(job: SubmittedJob, **changes: Any) -> Manifest:
    manifest = Manifest(
        attempt_id=job.input.attempt_id,
        contract_version=CONTRACT_VERSION,
        pipeline_version="1",
        files={name: record_of(body) for name, body in FILES_OF[job.input.kind].items()},
        result=avatar_result() if job.input.kind == "avatar" else None,
        garment=garment_result(job) if job.input.kind == "garment" else None,
        dress=dress_result(job) if job.input.kind == "dress" else None,
        gpu_name="cpu",
        worker_id="w-1",
        cold=False,
        timings_ms={"pipeline": 500.0},
    )
    return msgspec.structs.replace(manifest, **changes)


def record_of(body: bytes) -> FileRecord:
    return FileRecord(len(body), hashlib.sha256(body).hexdigest(), hashlib.md5(body).hexdigest())


def garment_result(job: SubmittedJob) -> GarmentResult:
    """Every size can be built; the length is made up where the chart has none."""
    params = msgspec.convert(job.input.params, GarmentParams)
    return GarmentResult(
        [SizeReport(row.size, "ok", estimated=[] if "length" in row.garment_cm else ["length"]) for row in params.sizes]
    )


def dress_result(job: SubmittedJob, unavailable: tuple[str, ...] = ()) -> DressResult:
    """What was asked for, but for the sizes that cannot be put on."""
    params = msgspec.convert(job.input.params, DressParams)
    every = [row.size for row in params.garment.sizes]
    sizes = params.only if set(params.only) - set(unavailable) else every
    return DressResult(
        [
            SizeReport(size, "unavailable", "does_not_fit") if size in unavailable else SizeReport(size, "ok")
            for size in sizes
        ],
        params.base or sizes[0],
        [size for size in params.polish if size not in unavailable],
    )


def avatar_result(chest_cm: float = 98.0, evidence: tuple[str, ...] = ("height", "weight", "photo")) -> AvatarResult:
    """A body of plausible measures, sd 2 in each, correlation .5."""
    means = dict.fromkeys(MEASUREMENTS, 60.0) | {
        "chest_cm": chest_cm,
        "waist_cm": 84.0,
        "waist_natural_cm": 82.0,
        "hip_cm": 97.0,
        "height_cm": 178.0,
        "weight_kg": 74.0,
    }
    return AvatarResult(
        measurements={name: Quantity(mean, 2.0) for name, mean in means.items()},
        covariance=[[4.0 if i == j else 2.0 for j in range(13)] for i in range(13)],
        evidence=list(evidence),
        estimator="silhouette-1",
        flags=[],
    )


def hook_path(job: SubmittedJob) -> str:
    return urlsplit(job.webhook).path


async def rows(database: Database, sql: str) -> list[tuple[Any, ...]]:
    """What stands in the database, whoever wrote it."""
    async with database.transaction(read_only=True) as session:
        connection = await session.connection()
        return [tuple(row) for row in (await connection.exec_driver_sql(sql)).all()]
