"""The service with a queue that does what the test says, and hands to move the jobs on."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from litestar import Litestar

from backend.cli import main
from backend.jobs.queue import ComputeQueue, RunPodQueue
from tests.fakes import HandClock
from tests.scripted_endpoint import BASE_URL, ScriptedEndpoint, SubmittedJob, manifest_of, upload

Step = Callable[[], Awaitable[None]]
Finish = Callable[[SubmittedJob], Awaitable[None]]
Tryon = Callable[..., tuple[int, str, str]]


@pytest.fixture
def endpoint() -> ScriptedEndpoint:
    return ScriptedEndpoint()


@pytest.fixture
def queue(endpoint: ScriptedEndpoint) -> ComputeQueue:
    return RunPodQueue(BASE_URL, "local", lambda: "endpoint-key-of-the-tests", transport=endpoint)


@pytest.fixture
def step(app: Litestar, clock: HandClock) -> Step:
    """One round of the loop, some time later."""

    async def run() -> None:
        clock.advance(seconds=3)
        await app.state.sweeper.step()

    return run


@pytest.fixture
def finish(http: httpx.AsyncClient, endpoint: ScriptedEndpoint, step: Step) -> Finish:
    """The worker does its work well, and the backend hears of it."""

    async def run(job: SubmittedJob) -> None:
        await upload(http, job, manifest_of(job))
        endpoint.complete(job)
        await step()

    return run


@pytest.fixture
def tryon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Tryon:
    """Types a command in a data folder of its own; gives exit status, stdout and stderr."""
    for name in ("DATABASE_URL", "TRYON_ENV", "TOKEN_SIGNING_KEY", "STORAGE_SIGNING_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main(list(arguments))
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out, said.err

    return run
