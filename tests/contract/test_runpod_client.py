"""The RunPod client: the same promises against our own endpoint, against RunPod as recorded, and, on request, RunPod.

RunPod itself: RUNPOD_CONTRACT_ENDPOINT (an endpoint id) and RUNPOD_CONTRACT_KEY; a few seconds of one worker are paid.
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pytest_socket import socket_allow_hosts

from backend.jobs.answers import read_id
from backend.jobs.queue import Gone, NotAccepted, Rejected, RunPodQueue, Unreachable
from tests.conftest import LOOPBACK
from tests.contract.runpod_sides import RealSide, Side, local_side, recorded_side, seen, submission

ENDPOINT, KEY = "RUNPOD_CONTRACT_ENDPOINT", "RUNPOD_CONTRACT_KEY"
RUNPOD = "https://api.runpod.ai/v2"
SIDES = ("local", "recorded", "real")
TEN_MEGABYTES = 10_485_760


def sides(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("side", names, indirect=True)


by_hand = sides("local", "recorded")
"""What a worker must be told to do, or time to pass."""
as_recorded = sides("recorded")
in_earnest = sides("real")


@pytest.fixture(params=SIDES)
async def side(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Side]:
    """The marker `recording` names the recording."""
    if request.param == "local":
        async with local_side(tmp_path) as local:
            yield local
    elif request.param == "recorded":
        async with recorded_side(request.node.get_closest_marker("recording").args[0]) as recorded:
            yield recorded
    else:
        yield _real_side()


def _real_side() -> RealSide:
    endpoint_id, key = os.environ.get(ENDPOINT), os.environ.get(KEY)
    if not endpoint_id or not key:
        pytest.skip(f"NOT TESTED ON RUNPOD: {ENDPOINT} and {KEY} are not set")
    socket_allow_hosts([*LOOPBACK, str(urlsplit(RUNPOD).hostname)], allow_unix_socket=True)
    return RealSide(endpoint_id, key, RUNPOD)


@pytest.fixture
async def client(side: Side) -> AsyncIterator[RunPodQueue]:
    client = side.client()
    yield client
    await client.close()


@by_hand
@pytest.mark.recording("completed")
async def test_from_the_queue_to_the_result(side: Side, client: RunPodQueue) -> None:
    rp_id = await client.run(submission(side))
    queued = await client.status(rp_id)
    assert (queued.state, queued.is_queued) == ("open", True)
    await side.take()
    taken = await client.status(rp_id)
    assert (taken.state, taken.is_queued, taken.stage) == ("open", False, None)
    await side.report("measuring")
    assert (await client.status(rp_id)).stage == "measuring"
    await side.end(output={"done": True})
    done = await client.status(rp_id)
    assert done.state == "completed"
    assert done.worker_id
    assert done.delay_ms is not None
    assert done.exec_ms is not None
    assert read_id(await side.told()) == rp_id


@in_earnest
async def test_a_job_ends(side: Side, client: RunPodQueue) -> None:
    rp_id = await client.run(submission(side))
    ended = await seen(side, client, rp_id, lambda status: status.state != "open")
    assert ended.state in {"completed", "failed"}, "with addresses nobody signed, a worker of ours fails"
    assert ended.delay_ms is not None
    assert ended.exec_ms is not None


@by_hand
@pytest.mark.recording("failed_by_the_handler")
async def test_our_handlers_error_is_read(side: Side, client: RunPodQueue) -> None:
    rp_id = await client.run(submission(side))
    await side.take()
    await side.end(error='{"code": "photo_no_person", "retryable": false}')
    failed = await client.status(rp_id)
    assert (failed.state, failed.error_code, failed.is_retryable) == ("failed", "photo_no_person", False)


@by_hand
@pytest.mark.recording("failed_by_an_exception")
async def test_an_escaped_exception_is_internal_and_says_nothing_more(side: Side, client: RunPodQueue) -> None:
    rp_id = await client.run(submission(side))
    await side.take()
    await side.end(error='{"error_type": "<class \'ValueError\'>", "error_message": "boom", "hostname": "h"}')
    failed = await client.status(rp_id)
    assert (failed.state, failed.error_code, failed.is_retryable) == ("failed", "internal", True)
    assert "boom" not in str(failed)


@pytest.mark.recording("cancelled")
async def test_cancelled(side: Side, client: RunPodQueue) -> None:
    rp_id = await client.run(submission(side))
    await client.cancel(rp_id)
    await seen(side, client, rp_id, lambda status: status.state == "cancelled")


@by_hand
@pytest.mark.recording("timed_out")
async def test_runs_longer_than_its_policy_allows(side: Side, client: RunPodQueue) -> None:
    rp_id = await client.run(submission(side))
    await side.take()
    await side.pass_time(121)
    assert (await client.status(rp_id)).state == "timed_out"


@by_hand
@pytest.mark.recording("expired")
async def test_lives_no_longer_than_its_policy_allows(side: Side, client: RunPodQueue) -> None:
    rp_id = await client.run(submission(side))
    assert (await client.status(rp_id)).is_queued
    await side.pass_time(901)
    with pytest.raises(Gone):
        await client.status(rp_id)


@pytest.mark.recording("unknown")
async def test_unknown_job(client: RunPodQueue) -> None:
    with pytest.raises(Gone):
        await client.status("no-such-job")


@pytest.mark.recording("wrong_key")
async def test_wrong_key(side: Side) -> None:
    client = side.client(key="wrong")
    with pytest.raises(NotAccepted) as refused:
        await client.run(submission(side))
    with pytest.raises(Unreachable) as unknown:
        await client.status("c80ffee4-f315-4e25-a146-0f3d98cf024b-e1")
    with pytest.raises(Unreachable) as unwell:
        await client.health()
    assert refused.value.is_misconfiguration
    assert unknown.value.is_misconfiguration
    assert unwell.value.is_misconfiguration
    await client.close()


@pytest.mark.recording("health")
async def test_counts(side: Side, client: RunPodQueue) -> None:
    await side.attach()
    before = await client.health()
    if side.is_real:
        return
    assert (before.idle, before.in_queue, before.in_progress) == (1, 0, 0)
    await client.run(submission(side))
    await side.take()
    during = await client.health()
    assert (during.idle, during.running, during.in_progress) == (0, 1, 1)


@by_hand
@pytest.mark.recording("purged")
async def test_purged(side: Side, client: RunPodQueue) -> None:
    rp_id = await client.run(submission(side))
    assert await client.purge() == 1
    assert (await client.status(rp_id)).state == "cancelled"


@by_hand
@pytest.mark.recording("too_large")
async def test_too_large_is_refused_for_good(side: Side, client: RunPodQueue) -> None:
    with pytest.raises(Rejected) as refusal:
        await client.run(submission(side, filler="x" * TEN_MEGABYTES))
    assert refusal.value.status == 413


@as_recorded
@pytest.mark.recording("throttled")
async def test_throttled_says_when_to_come_again(side: Side, client: RunPodQueue) -> None:
    with pytest.raises(NotAccepted) as refusal:
        await client.run(submission(side))
    assert (refusal.value.is_throttle, refusal.value.retry_after_s) == (True, 7)
    assert (await client.status("c80ffee4-f315-4e25-a146-0f3d98cf024b-e1")).is_queued, "asked again by itself"


@as_recorded
@pytest.mark.recording("states_added_later")
async def test_states_nobody_told_us_of_are_open(side: Side, client: RunPodQueue) -> None:
    rp_id = await client.run(submission(side))
    for _ in range(2):
        assert (await client.status(rp_id)).state == "open"
