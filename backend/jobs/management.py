"""RunPod's REST v2: what an endpoint may grow to, what its workers do, what a GPU costs. Another key than for jobs.

Only GET is repeated. A change is a partial PATCH of absolute values; the answer to it is no proof, so it is read back.
Never sent here: `gpu` (a PATCH with `pools` but without `excludedTypes` clears the exclusions).
"""

import asyncio
import random
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal, TypeVar

import httpx
import msgspec

from backend.jobs.answers import retry_after_s

RUNPOD_REST_V2 = "https://api.runpod.io/v2"
CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 3.0, 20.0
MAX_ANSWER_BYTES = 4_000_000
"""The catalogue with all its data centres is long."""
GET_TRIES = 3
FIRST_WAIT_S, MAX_WAIT_S = 0.2, 2.0
MAX_TEXT = 300

T = TypeVar("T")
ScalingType = Literal["QUEUE_DELAY", "REQUEST_COUNT"]


class WorkerLimits(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """None in a change: as it is."""

    min: int | None = None
    max: int | None = None
    idle_timeout: int | None = None
    """Seconds a worker waits after a job before it is stopped; not with REQUEST_COUNT."""


class Scaling(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """When a worker is added: its type, and that type's own number."""

    type: ScalingType
    queue_delay: float | None = None
    """Seconds a job may wait before a worker is added; at least 0.5."""
    request_count: int | None = None


class Endpoint(msgspec.Struct, frozen=True):
    """What is asserted after each roll-out, and what a change is measured against."""

    id: str
    name: str
    workers: WorkerLimits
    scaling: Scaling | None = None
    timeout: int | None = None
    """Milliseconds one job may run, unless its own policy says less."""


class WorkerCounts(msgspec.Struct, frozen=True):
    running: int = 0
    idle: int = 0
    initializing: int = 0
    throttled: int = 0
    unhealthy: int = 0
    """Crash-looping: an operator is needed, more workers are not."""
    total: int = 0


class GpuPrice(msgspec.Struct, frozen=True):
    """One GPU of the catalogue, as a worker of a serverless endpoint."""

    gpu_id: str
    name: str
    memory_gb: int | None
    usd_per_h: Decimal | None
    """The list price, without discounts; None: not offered."""


class Quota(msgspec.Struct, frozen=True):
    """One window of the limits of this key, as the last answer told."""

    window: str
    remaining: int
    resets_in_s: int


class ManagementFault(Exception):
    """`detail` is RunPod's own sentence, for the operator."""

    def __init__(self, detail: str, *, status: int | None = None, code: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status
        self.code = code


class Denied(ManagementFault):
    """The key is wrong, or may not do this."""


class UnknownEndpoint(ManagementFault):
    """No such endpoint, or not ours."""


class ChangeRefused(ManagementFault):
    """What was sent cannot be: asking again changes nothing."""


class Throttled(ManagementFault):
    """Too many requests of this key."""

    def __init__(self, detail: str, *, status: int, code: str | None, wait_s: float) -> None:
        super().__init__(detail, status=status, code=code)
        self.wait_s = wait_s


class Unavailable(ManagementFault):
    """No answer that says anything; a change may or may not have been made."""


class RunPodManagement:
    def __init__(
        self, api_key: str, *, base_url: str = RUNPOD_REST_V2, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.quotas: Sequence[Quota] = ()
        self._http = httpx.AsyncClient(
            base_url=base_url,
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            follow_redirects=False,
            trust_env=False,
            transport=transport,
        )

    async def endpoint(self, endpoint_id: str) -> Endpoint:
        return _read(await self._get(f"/serverless/{endpoint_id}"), Endpoint)

    async def change(
        self, endpoint_id: str, *, workers: WorkerLimits | None = None, scaling: Scaling | None = None
    ) -> Endpoint:
        """What stands afterwards, read anew."""
        body = {name: part for name, part in (("workers", workers), ("scaling", scaling)) if part is not None}
        content = msgspec.json.encode(body)
        await self._request("PATCH", f"/serverless/{endpoint_id}", content=content)
        return await self.endpoint(endpoint_id)

    async def workers(self, endpoint_id: str) -> WorkerCounts:
        return _read(await self._get(f"/serverless/{endpoint_id}/workers"), _Workers).summary

    async def gpu_prices(self) -> list[GpuPrice]:
        return [_price(gpu) for gpu in _read(await self._get("/catalog/gpus"), _Catalogue).gpus]

    async def close(self) -> None:
        await self._http.aclose()

    async def _get(self, path: str) -> bytes:
        for tried in range(1, GET_TRIES):
            try:
                return await self._request("GET", path)
            except Unavailable:
                wait_s = min(MAX_WAIT_S, FIRST_WAIT_S * 2**tried)
                await asyncio.sleep(wait_s * random.uniform(0.5, 1))  # noqa: S311  no secret
        return await self._request("GET", path)

    async def _request(self, method: str, path: str, *, content: bytes | None = None) -> bytes:
        headers = {"Content-Type": "application/json"} if content else {}
        try:
            async with self._http.stream(method, path, content=content, headers=headers) as answer:
                body = await _limited(answer)
        except httpx.HTTPError as error:
            raise Unavailable(type(error).__name__) from error
        self.quotas = read_quotas(answer.headers.get("ratelimit", ""))
        if not answer.is_success:
            raise _fault(answer, body)
        return body


class _Workers(msgspec.Struct):
    summary: WorkerCounts


class _Prices(msgspec.Struct):
    serverless: Decimal | None = None


class _Gpu(msgspec.Struct):
    id: str
    name: str = ""
    memory: int | None = None
    price: _Prices | None = None


class _Catalogue(msgspec.Struct):
    gpus: list[_Gpu]


def read_quotas(header: str) -> list[Quota]:
    """`RateLimit: "minute";r=59;t=12, "hour";r=900;t=1800`; what cannot be read is left out."""
    quotas = []
    for entry in header.split(","):
        window, *parameters = (part.strip() for part in entry.split(";"))
        told = dict(part.split("=", 1) for part in parameters if re.fullmatch(r"[rt]=\d{1,9}", part))
        if window and "r" in told and "t" in told:
            quotas.append(Quota(window.strip('"'), int(told["r"]), int(told["t"])))
    return quotas


def _price(gpu: _Gpu) -> GpuPrice:
    return GpuPrice(gpu.id, gpu.name or gpu.id, gpu.memory, gpu.price.serverless if gpu.price else None)


def _read(body: bytes, type_: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=type_)
    except msgspec.DecodeError as error:
        raise Unavailable(f"an answer that cannot be read: {error}"[:MAX_TEXT]) from error


def _fault(answer: httpx.Response, body: bytes) -> ManagementFault:
    """Of a problem document (RFC 9457), or of whatever it is."""
    status = answer.status_code
    detail, code = _problem(body)
    detail = detail or f"HTTP {status}"
    match status:
        case 401 | 403:
            return Denied(detail, status=status, code=code)
        case 404:
            return UnknownEndpoint(detail, status=status, code=code)
        case 429:
            wait_s = retry_after_s(answer.headers.get("retry-after"), datetime.now(UTC))  # noqa: TID251  RunPod's clock
            told = [
                quota.resets_in_s for quota in read_quotas(answer.headers.get("ratelimit", "")) if not quota.remaining
            ]
            return Throttled(detail, status=status, code=code, wait_s=max([wait_s, *told]))
        case _ if 300 <= status < 500 and status != 408:
            return ChangeRefused(detail, status=status, code=code)
        case _:
            return Unavailable(detail, status=status, code=code)


def _problem(body: bytes) -> tuple[str, str | None]:
    """Detail and type, cut to a length fit for a log."""
    try:
        told: Any = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return "", None
    if not isinstance(told, dict):
        return "", None
    texts = [told[name] for name in ("detail", "title") if isinstance(told.get(name), str)]
    kind = told.get("type")
    return (texts[0][:MAX_TEXT] if texts else ""), (kind[:MAX_TEXT] if isinstance(kind, str) else None)


async def _limited(answer: httpx.Response) -> bytes:
    content = bytearray()
    async for chunk in answer.aiter_bytes():
        content += chunk
        if len(content) > MAX_ANSWER_BYTES:
            raise httpx.DecodingError("The answer is too long.")
    return bytes(content)
