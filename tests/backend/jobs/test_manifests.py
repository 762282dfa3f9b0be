"""What is believed of a result, and what is not."""

from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.backend.conftest import Step
from tests.backend.jobs.conftest import Seen
from tests.fakes import HandClock
from tests.scripted_endpoint import (
    NPZ,
    ScriptedEndpoint,
    avatar_result,
    manifest_of,
    upload,
)


class TestManifests:
    """Whatever is not as it must be counts as no artefact, and the work is done again."""

    @pytest.mark.parametrize(
        "changes",
        [
            {"attempt_id": str(UUID(int=5))},
            {"contract_version": 2},
            {"files": {}},
            {"result": None},
            {"result": avatar_result(chest_cm=900)},
        ],
        ids=["other attempt", "other version", "no files", "no result", "out of range"],
    )
    async def test_wrong_content(
        self,
        changes: dict[str, Any],
        endpoint: ScriptedEndpoint,
        http: httpx.AsyncClient,
        step: Step,
        clock: HandClock,
        seen: Seen,
    ) -> None:
        await step()
        job = endpoint.newest
        await upload(http, job, manifest_of(job, **changes))
        endpoint.complete(job)
        await step()
        assert await seen.attempts() == ["no_artifact"]
        assert (await seen.avatar())["status"] == "pending"
        clock.advance(seconds=60)
        await step()
        assert await seen.attempts() == ["no_artifact", "submitted"]

    @pytest.mark.parametrize("manifest", [b"", b"{}", b"[1]", b"\xff"])
    async def test_not_a_manifest(
        self, manifest: bytes, endpoint: ScriptedEndpoint, http: httpx.AsyncClient, step: Step, seen: Seen
    ) -> None:
        await step()
        job = endpoint.newest
        await upload(http, job, manifest)
        endpoint.complete(job)
        await step()
        assert await seen.attempts() == ["no_artifact"]

    async def test_a_file_of_another_size(
        self, endpoint: ScriptedEndpoint, http: httpx.AsyncClient, step: Step, seen: Seen
    ) -> None:
        await step()
        job = endpoint.newest
        await upload(http, job, manifest_of(job), body_npz=NPZ + b"more")
        endpoint.complete(job)
        await step()
        assert await seen.attempts() == ["no_artifact"]

    async def test_completed_without_anything(
        self, endpoint: ScriptedEndpoint, step: Step, clock: HandClock, seen: Seen
    ) -> None:
        """Three executions, then the end; the measurements stay."""
        for _ in range(3):
            await step()
            endpoint.complete(endpoint.newest)
            await step()
            clock.advance(seconds=60)
        await step()
        assert await seen.attempts() == ["no_artifact"] * 3
        assert len(endpoint.jobs) == 3
        avatar = await seen.avatar()
        assert (avatar["status"], avatar["error"]["code"]) == ("failed", "exhausted")
        assert avatar["measurements"]["chest_cm"]["mean"] > 80
