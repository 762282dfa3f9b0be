"""Light workers: the SDK's protocol without the SDK's pauses, the real handler with nothing to compute. They misbehave.

Several live in one process, each with an id of its own; one that dies comes back under another.
"""

import asyncio
import contextlib
import json
import logging
import secrets
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import msgspec

from gpu_worker.contract import MEASUREMENTS, AvatarParams, AvatarResult, JobInput, Manifest, Quantity, Stage
from gpu_worker.files import record_of
from gpu_worker.handler import Handler, make_handler
from gpu_worker.settings import Settings
from tests.chaos.faults import Faults
from tests.chaos.world import World, write_log

PER_ENDPOINT = 2
PING_S = 0.6
ORPHAN_PINGS = 15
LATE_S = 3.0
"""By then the next attempt is under way, or has succeeded."""
SLOW_S = 0.5
"""Several looks of a dispatcher fit into it."""
GLB = b"glTF" + (2).to_bytes(4, "little") + (20).to_bytes(4, "little") + bytes(8)
NPZ = b"PK\x03\x04" + bytes(40)
MANIFEST = "manifest.json"

INSTEAD = (
    "worker dies in mid-job",
    "worker dies, its heartbeat goes on",
    "worker out of memory",
    "worker hangs",
    "worker answers any text",
    "worker answers a list",
    "worker refuses the photo",
    "manifest without files",
    "manifest of another attempt",
    "manifest with NaN",
)
"""What it does in place of its work; all but the first and the refusal cost the job an execution."""

Json = dict[str, Any]


@dataclass
class Body:
    """What a pipeline gives."""

    result: AvatarResult
    glb: bytes = GLB
    body_npz: bytes = NPZ
    timings_ms: dict[str, float] = field(default_factory=lambda: {"nothing": 1.0})


def body_of(params: AvatarParams) -> Body:
    """A plausible one that tells its order: the height that was stated comes back."""
    means = dict.fromkeys(MEASUREMENTS, 60.0) | {"height_cm": params.height_cm, "weight_kg": 70.0}
    covariance = [[4.0 if i == j else 2.0 for j in range(len(MEASUREMENTS))] for i in range(len(MEASUREMENTS))]
    found = {name: Quantity(mean, 2.0) for name, mean in means.items()}
    return Body(AvatarResult(found, covariance, ["height", "photo"], "chaos-1"))


class NothingToCompute:
    """Takes a photo, gives a body at once."""

    def run_avatar(
        self, params: AvatarParams, photo: bytes | None, _side: bytes | None, on_stage: Callable[[Stage], None], /
    ) -> Body:
        assert photo
        on_stage(Stage.MEASURING)
        return body_of(params)


class Worker:
    """One id at the endpoint."""

    def __init__(self, world: World, endpoint: str, session: aiohttp.ClientSession) -> None:
        self.id = f"light-{secrets.token_hex(6)}"
        self.world = world
        self.faults: Faults = world.faults
        self.session = session
        self.key = {"Authorization": world.endpoint_keys(endpoint).worker_key}
        self.endpoint = endpoint
        self.base = f"{world.endpoint_url(endpoint)}/v2/{endpoint}"
        settings = Settings(storage_origin=world.service_url, worker_id=self.id)
        self.handler: Handler = make_handler(NothingToCompute(), settings)
        self.job_id = ""

    # ---- the protocol -----------------------------------------------------------------------------------------------

    async def take(self) -> Json | None:
        url = f"{self.base}/job-take/{self.id}?gpu=cpu&job_in_progress=0"
        async with self.session.get(url, headers=self.key) as answer:
            if answer.status != 200:
                return None
            job: Json = await answer.json()
            return job

    async def done(self, job_id: str, result: Json) -> int:
        url = f"{self.base}/job-done/{self.id}/{job_id}?gpu=cpu&isStream=false"
        headers = {**self.key, "Content-Type": "application/x-www-form-urlencoded", "X-Request-ID": job_id}
        async with self.session.post(url, data=json.dumps(result), headers=headers) as answer:
            return answer.status

    async def ping(self) -> None:
        named = f"&job_id={self.job_id}" if self.job_id else ""
        url = f"{self.base}/ping/{self.id}?gpu=cpu{named}&runpod_version=1.12.0"
        async with self.session.get(url, headers=self.key):
            pass

    async def stop_orders(self) -> list[str]:
        async with self.session.get(f"{self.base}/job-stop/{self.id}?gpu=cpu", headers=self.key) as answer:
            return (await answer.json())["jobsToStop"] if answer.status == 200 else []

    # ---- a life -----------------------------------------------------------------------------------------------------

    async def live(self) -> None:
        """Until it dies or leaves."""
        heart = asyncio.create_task(self._beat())
        try:
            while await self._one():
                pass
        finally:
            heart.cancel()

    async def _beat(self, beats: int | None = None) -> None:
        while beats is None or beats > 0:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                await self.ping()
            await asyncio.sleep(PING_S)
            beats = None if beats is None else beats - 1

    async def _one(self) -> bool:
        """A poll, and the job it brings; False: this worker is no more."""
        if self.faults.take("worker leaves in mid-poll"):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.01):
                    await self.take()
            return False
        job = await self.take()
        if job is None:
            return True
        self.job_id = job["id"]
        self._note_secrets(job)
        lives_on = await self._work(job)
        self.job_id = ""
        return lives_on

    async def _work(self, job: Json) -> bool:
        order = msgspec.convert(job["input"], JobInput)
        subject = order.outputs[MANIFEST].url.split("/")[7]
        if self.faults.is_marked("hang", order.attempt_id):
            await self._until_stopped()
            return True
        if fault := self.faults.take_any(INSTEAD, subject):
            return await self._misbehave(fault, job, order)
        if self.faults.take("worker ends what was given up", subject):
            self.faults.mark("forgotten", order.attempt_id)
            await asyncio.sleep(LATE_S)
        if self.faults.take("upload cut off"):
            await self._cut_off_upload(order)
        is_leaving = self.faults.take("worker leaves in mid-job")
        if self.faults.is_marked("slow", "workers"):
            await asyncio.sleep(SLOW_S)
        result = await self.handler(job)
        await self.done(job["id"], {"error": result["error"]} if "error" in result else {"output": result})
        if self.faults.take("progress after the end"):
            await self.done(job["id"], {"status": "IN_PROGRESS", "output": {"stage": "checking", "of": 5}})
        if is_leaving:
            await self._say("drain")
        return not is_leaving

    async def _misbehave(self, fault: str, job: Json, order: JobInput) -> bool:
        match fault:
            case "worker dies in mid-job":
                return False
            case "worker dies, its heartbeat goes on":
                await self._beat(ORPHAN_PINGS)
                return False
            case "worker hangs":
                await self._until_stopped()
                return True
            case "worker out of memory":
                error = json.dumps({"code": "out_of_memory", "retryable": True})
                await self.done(job["id"], {"error": error, "stopPod": True})
                return False
            case "worker refuses the photo":
                error = json.dumps({"code": "photo_no_person", "retryable": False})
                await self.done(job["id"], {"error": error})
            case "worker answers any text":
                await self.done(job["id"], {"error": "Traceback (most recent call last): " + "x" * 5000})
            case "worker answers a list":
                await self.done(job["id"], {"error": ["not", "a", "text"]})
            case _:
                await self._write_wrong_manifest(fault, order)
                await self.done(job["id"], {"output": {}})
        return True

    async def _until_stopped(self) -> None:
        """Its heartbeat goes on and names the job, until it is told to drop it."""
        while self.job_id not in await self.stop_orders():  # held open by the endpoint
            pass

    async def _cut_off_upload(self, order: JobInput) -> None:
        """The beginning of a body, and then the connection is gone: nothing may be stored of it."""
        target = urlsplit(order.outputs["avatar.glb"].url)
        reader, writer = await asyncio.open_connection(target.hostname, target.port)
        head = f"PUT {target.path}?{target.query} HTTP/1.1\r\nHost: {target.netloc}\r\nContent-Length: {len(GLB)}\r\n"
        writer.write(head.encode() + b"Content-Type: model/gltf-binary\r\n\r\n" + GLB[:12])
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        del reader

    async def _write_wrong_manifest(self, fault: str, order: JobInput) -> None:
        params = msgspec.convert(order.params, AvatarParams)
        manifest = Manifest(
            attempt_id=order.attempt_id if fault != "manifest of another attempt" else secrets.token_hex(16),
            contract_version=order.contract_version,
            pipeline_version="1",
            files={"avatar.glb": record_of(GLB), "body.npz": record_of(NPZ)},
            result=body_of(params).result,
            gpu_name="cpu",
            worker_id=self.id,
            cold=False,
            timings_ms={},
        )
        bodies = {"avatar.glb": GLB, "body.npz": NPZ} if fault != "manifest without files" else {}
        written = msgspec.json.encode(manifest)
        bodies[MANIFEST] = written if fault != "manifest with NaN" else written.replace(b'"sd":2.0', b'"sd":NaN', 1)
        for name, body in bodies.items():
            output = order.outputs[name]
            async with self.session.put(output.url, data=body, headers=output.headers):
                pass

    async def _say(self, what: str) -> None:
        address = f"{self.world.endpoint_url(self.endpoint)}/_/{what}/{self.endpoint}/{self.id}"
        async with self.session.post(address, headers=self.key):
            pass

    def _note_secrets(self, job: Json) -> None:
        hook = urlsplit(job["webhook"]).path.rpartition("/")[2]
        files = [*job["input"]["inputs"].values(), *job["input"]["outputs"].values()]
        tokens = [parse_qs(urlsplit(file["url"]).query)["token"][0] for file in files]
        self.world.note_secrets(hook, *tokens)


def run_workers(world: World, name: str) -> None:
    write_log(world, name)
    warnings.simplefilter("ignore")
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(_live(world))


async def _live(world: World) -> None:
    timeout = aiohttp.ClientTimeout(total=20, connect=3)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session:

        async def lives(endpoint: str) -> None:
            while True:
                try:
                    await Worker(world, endpoint, session).live()
                except (aiohttp.ClientError, TimeoutError, OSError):  # the endpoint is being restarted
                    await asyncio.sleep(0.1)

        await asyncio.gather(*(lives(endpoint) for endpoint in world.endpoint_ports for _ in range(PER_ENDPOINT)))
