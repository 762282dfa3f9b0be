"""RunPod's REST v2 as recorded: worker limits, worker counts, prices, and each way in which it says no."""

from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest

from backend.jobs.management import (
    ChangeRefused,
    Denied,
    GpuPrice,
    ManagementFault,
    Quota,
    RunPodManagement,
    Scaling,
    Throttled,
    Unavailable,
    UnknownEndpoint,
    WorkerCounts,
    WorkerLimits,
    read_quotas,
)
from tests.contract.runpod_sides import RECORDED_KEY, recorded_side

ENDPOINT_ID = "ep_abc123"


@pytest.fixture
async def management(request: pytest.FixtureRequest) -> AsyncIterator[RunPodManagement]:
    """Of the recording that the marker names."""
    async with recorded_side(request.node.get_closest_marker("recording").args[0]) as side:
        client = RunPodManagement(RECORDED_KEY, base_url=f"{side.base_url}/v2/recorded")
        yield client
        await client.close()


@pytest.mark.recording("rest_endpoint")
async def test_what_stands(management: RunPodManagement) -> None:
    endpoint = await management.endpoint(ENDPOINT_ID)
    assert endpoint.workers == WorkerLimits(min=0, max=3, idle_timeout=5)
    assert endpoint.scaling == Scaling("QUEUE_DELAY", queue_delay=4)
    assert endpoint.timeout == 600_000
    assert management.quotas == [Quota("minute", 58, 41), Quota("hour", 2996, 2513)]


@pytest.mark.recording("rest_workers_changed")
async def test_a_change_is_read_back(management: RunPodManagement) -> None:
    after = await management.change(ENDPOINT_ID, workers=WorkerLimits(min=1, max=6, idle_timeout=30))
    assert after.workers == WorkerLimits(min=1, max=6, idle_timeout=30)


@pytest.mark.recording("rest_scaling_changed")
async def test_only_what_is_named_is_sent(management: RunPodManagement) -> None:
    after = await management.change(
        ENDPOINT_ID, workers=WorkerLimits(max=3), scaling=Scaling("QUEUE_DELAY", queue_delay=0.5)
    )
    assert after.scaling == Scaling("QUEUE_DELAY", queue_delay=0.5)


@pytest.mark.recording("rest_change_refused")
async def test_a_refusal_says_why(management: RunPodManagement) -> None:
    with pytest.raises(ChangeRefused, match=r"idleTimeout must be between 1 and 3600") as refusal:
        await management.change(ENDPOINT_ID, workers=WorkerLimits(idle_timeout=9000))
    assert refusal.value.code == "https://docs.runpod.io/errors/validation"


@pytest.mark.recording("rest_workers")
async def test_workers_by_state(management: RunPodManagement) -> None:
    assert await management.workers(ENDPOINT_ID) == WorkerCounts(running=1, idle=1, unhealthy=1, total=3)


@pytest.mark.recording("rest_gpu_prices")
async def test_prices_to_the_cent_and_none_where_it_is_not_offered(management: RunPodManagement) -> None:
    assert await management.gpu_prices() == [
        GpuPrice("NVIDIA GeForce RTX 4090", "RTX 4090", 24, Decimal("1.116")),
        GpuPrice("NVIDIA L4", "L4", 24, Decimal("0.684")),
        GpuPrice("NVIDIA GeForce RTX 3070", "RTX 3070", 8, None),
    ]


# ---- what no recording has ------------------------------------------------------------------------------------------

Handler = Callable[[httpx.Request], httpx.Response]


class Answers:
    """One after the other, the last for ever."""

    def __init__(self, *handlers: Handler) -> None:
        self.handlers = list(handlers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return (self.handlers.pop(0) if len(self.handlers) > 1 else self.handlers[0])(request)


def answering(status: int, **more: Any) -> Handler:
    return lambda _: httpx.Response(status, **more)


def cut(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadError("cut", request=request)


def management_with(answers: Answers) -> RunPodManagement:
    return RunPodManagement("k", base_url="https://rest.test/v2", transport=httpx.MockTransport(answers))


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        (answering(401), Denied),
        (answering(403, json={"detail": "no"}), Denied),
        (answering(404), UnknownEndpoint),
        (answering(302, headers={"location": "https://elsewhere.test"}), ChangeRefused),
        (answering(400), ChangeRefused),
        (answering(409), ChangeRefused),
        (answering(429), Throttled),
        (answering(408), Unavailable),
        (answering(500), Unavailable),
        (answering(503, content=b"<html>"), Unavailable),
        (cut, Unavailable),
    ],
)
async def test_a_change_is_sent_once_whatever_comes(handler: Handler, expected: type[ManagementFault]) -> None:
    answers = Answers(handler)
    with pytest.raises(expected):
        await management_with(answers).change(ENDPOINT_ID, workers=WorkerLimits(max=2))
    assert [request.method for request in answers.requests] == ["PATCH"]


async def test_a_question_is_asked_again_after_a_fault_that_may_pass() -> None:
    endpoint = {"id": ENDPOINT_ID, "name": "n", "workers": {"min": 0, "max": 2}}
    answers = Answers(answering(502), cut, answering(200, json=endpoint))
    assert (await management_with(answers).endpoint(ENDPOINT_ID)).workers.max == 2
    assert len(answers.requests) == 3


@pytest.mark.parametrize("content", [b"", b"[]", b'{"id": "x"}', b'{"summary": {"running": "many"}}'])
async def test_an_answer_that_cannot_be_read_is_no_answer(content: bytes) -> None:
    answers = Answers(answering(200, content=content))
    with pytest.raises(Unavailable):
        await management_with(answers).workers(ENDPOINT_ID)


async def test_the_longest_wait_counts() -> None:
    """Retry-After may name the window that refused this request, while a longer one is used up too."""
    headers = {"retry-after": "12", "ratelimit": '"minute";r=0;t=12, "hour";r=0;t=1812, "day";r=5;t=60000'}
    with pytest.raises(Throttled) as refusal:
        await management_with(Answers(answering(429, headers=headers))).endpoint(ENDPOINT_ID)
    assert refusal.value.wait_s == 1812


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", []),
        ('"minute";r=5;t=3', [Quota("minute", 5, 3)]),
        ('"minute";t=3;r=5;x=1', [Quota("minute", 5, 3)]),
        ('"minute";r=5', []),
        ('"minute";r=-5;t=3, "hour";r=1;t=2', [Quota("hour", 1, 2)]),
        (";;;,=,r=1", []),
    ],
)
def test_quotas(header: str, expected: list[Quota]) -> None:
    assert read_quotas(header) == expected
