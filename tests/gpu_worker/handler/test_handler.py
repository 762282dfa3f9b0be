"""The handler's promise: contract in, files out, manifest last; every failure a code; nothing said that is secret."""

import asyncio
import hashlib
import json
import logging
from typing import Any

import pytest

from gpu_worker import handler as handler_module
from gpu_worker.contract import MEASUREMENTS, AvatarParams, Stage
from gpu_worker.estimators.questionnaire import FactRefused
from gpu_worker.handler import Handler, make_handler
from gpu_worker.logs import JsonLines
from gpu_worker.photo import PhotoRefused
from gpu_worker.settings import Settings
from tests.gpu_worker.handler.pipelines import TinyPipeline
from tests.gpu_worker.handler.storage import TOKEN, Storage, storage_running

GLB, NPZ = b"glTF" + b"x" * 100, b"PK\x03\x04" + b"y" * 50


def handler_at(storage: Storage, pipeline: TinyPipeline, **more: Any) -> Handler:
    settings = Settings(storage_origin=storage.origin, worker_id="w1", gpu_name="cpu")
    return make_handler(pipeline, settings, **more)


async def failure_of(storage: Storage, job: dict[str, Any], pipeline: TinyPipeline | None = None) -> tuple[str, bool]:
    answer = await handler_at(storage, pipeline or TinyPipeline())(job)
    assert answer.keys() <= {"error", "refresh_worker"}
    error = json.loads(answer["error"])
    assert error.keys() == {"code", "retryable"}
    return error["code"], error["retryable"]


class TestAvatar:
    async def test_photo_and_facts_reach_the_pipeline_and_its_files_reach_the_store(self, storage: Storage) -> None:
        pipeline = TinyPipeline()
        job = storage.job()
        job["input"]["inputs"]["photo_side"] = storage.input("side", b"from the side")
        answer = await handler_at(storage, pipeline)(job)
        assert answer == {"attempt_id": "attempt-1", "kind": "avatar", "files": ["avatar.glb", "body.npz"]}
        assert pipeline.given == [(AvatarParams(178.0, 74.5, None, "male"), b"a photo", b"from the side")]
        assert storage.written == ["avatar.glb", "body.npz", "manifest.json"]
        assert (storage.objects["avatar.glb"], storage.objects["body.npz"]) == (GLB, NPZ)

    async def test_the_manifest_says_what_was_written_and_found(self, storage: Storage) -> None:
        await handler_at(storage, TinyPipeline(), process_start_ms=lambda: 2345.678)(storage.job())
        manifest = json.loads(storage.objects["manifest.json"])
        assert manifest["files"] == {
            name: {
                "bytes": len(body),
                "sha256": hashlib.sha256(body).hexdigest(),
                "md5": hashlib.md5(body).hexdigest(),
            }
            for name, body in (("avatar.glb", GLB), ("body.npz", NPZ))
        }
        assert manifest["result"]["measurements"].keys() == set(MEASUREMENTS)
        assert manifest["result"]["measurements"]["waist_cm"] == {"mean": 100.0, "sd": 2.5}
        timings = manifest.pop("timings_ms")
        assert timings.keys() == {"download", "pipeline", "solve", "upload", "process_start"}
        assert (timings["solve"], timings["process_start"]) == (12.3, 2345.7)
        said = {name: manifest[name] for name in manifest.keys() - {"files", "result"}}
        assert said == {
            "attempt_id": "attempt-1",
            "contract_version": 1,
            "pipeline_version": "1",
            "gpu_name": "cpu",
            "worker_id": "w1",
            "cold": True,
        }

    async def test_only_the_first_job_of_a_process_is_cold(self, storage: Storage) -> None:
        handler = handler_at(storage, TinyPipeline(), process_start_ms=lambda: 1.0)
        await handler(storage.job())
        storage.objects.clear()
        await handler(storage.job())
        manifest = json.loads(storage.objects["manifest.json"])
        assert manifest["cold"] is False
        assert "process_start" not in manifest["timings_ms"]

    async def test_no_photo_is_fine(self, storage: Storage) -> None:
        pipeline = TinyPipeline()
        await handler_at(storage, pipeline)(storage.job(photo=None))
        assert pipeline.given[0][1:] == (None, None)
        assert "manifest.json" in storage.objects

    async def test_stages_are_reported_once_in_order_and_none_at_the_end(self, storage: Storage) -> None:
        said: list[dict[str, object]] = []
        pipeline = TinyPipeline()
        await handler_at(storage, pipeline, report=lambda _job, progress: said.append(progress))(storage.job())
        assert said == [{"stage": name, "of": 5} for name in ("received", "checking", "measuring", "building")]

    async def test_the_pipeline_runs_beside_the_loop_one_job_at_a_time(self, storage: Storage) -> None:
        pipeline = TinyPipeline(measuring_s=0.1)
        handler = handler_at(storage, pipeline)
        async with storage_running() as second:
            other = make_handler(pipeline, Settings(second.origin))  # its own lock: shows that two could overlap
            await asyncio.gather(other(second.job()), handler(storage.job()))
            assert pipeline.most_at_once == 2
        storage.objects.clear()
        pipeline.most_at_once = 0
        job = storage.job()
        await asyncio.gather(handler(job), handler(job))
        assert pipeline.most_at_once == 1
        assert "MainThread" not in pipeline.threads


class TestNoop:
    async def test_it_does_nothing_and_says_so(self, storage: Storage) -> None:
        job = storage.job("noop", photo=None, outputs={}, params={})
        assert await handler_at(storage, TinyPipeline())(job) == {"attempt_id": "attempt-1", "kind": "noop"}

    async def test_with_a_manifest_address_it_writes_one(self, storage: Storage) -> None:
        job = storage.job("noop", photo=None, outputs=storage.outputs("manifest.json"), params={})
        await handler_at(storage, TinyPipeline())(job)
        manifest = json.loads(storage.objects["manifest.json"])
        assert (manifest["files"], manifest["result"]) == ({}, None)


class TestWrongJob:
    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"contract_version": 2}, "contract_version"),
            ({"contract_version": 2, "field_of_the_future": 1}, "contract_version"),
            ({"contract_version": "1"}, "input_invalid"),
            ({"field_of_the_future": 1}, "input_invalid"),
            ({"kind": "garment"}, "input_invalid"),
            ({"kind": "dress"}, "input_invalid"),
            ({"kind": "unheard_of"}, "input_invalid"),
            ({"attempt_id": None}, "input_invalid"),
            ({"outputs": {}}, "input_invalid"),
            ({"params": {}}, "input_invalid"),
            ({"params": {"height_cm": "178"}}, "input_invalid"),
            ({"params": {"height_cm": 178, "shoe_size": 43}}, "input_invalid"),
            ({"params": {"height_cm": 178, "sex": "other"}}, "input_invalid"),
        ],
    )
    async def test_it_is_refused_for_good_and_nothing_is_written(
        self, storage: Storage, change: dict[str, Any], code: str
    ) -> None:
        assert await failure_of(storage, storage.job(**change)) == (code, False)
        assert storage.written == []

    @pytest.mark.parametrize("content", [None, [], "text", {}, {"contract_version": None}])
    async def test_an_input_that_is_no_job_at_all(self, storage: Storage, content: object) -> None:
        assert await failure_of(storage, {"id": "rp-1", "input": content}) == ("input_invalid", False)

    async def test_unknown_inputs_and_a_side_view_alone_are_refused(self, storage: Storage) -> None:
        for names in (["selfie"], ["photo_side"]):
            job = storage.job(inputs={name: storage.input(name, b"x") for name in names})
            assert await failure_of(storage, job) == ("input_invalid", False)


class TestFailure:
    @pytest.mark.parametrize(
        ("failure", "code", "is_retryable"),
        [
            (PhotoRefused("photo_no_person"), "photo_no_person", False),
            (PhotoRefused("photo_cropped"), "photo_cropped", False),
            (FactRefused("invalid_height", "height_cm", "A height of 17 cm."), "input_invalid", False),
            (MemoryError(), "out_of_memory", True),
            (RuntimeError("boom"), "internal", True),
            (KeyError("code"), "internal", True),
        ],
    )
    async def test_an_exception_becomes_a_code(
        self, storage: Storage, failure: Exception, code: str, is_retryable: bool
    ) -> None:
        assert await failure_of(storage, storage.job(), TinyPipeline(failure)) == (code, is_retryable)
        assert storage.written == []

    async def test_out_of_memory_asks_for_a_fresh_worker(self, storage: Storage) -> None:
        asked: list[bool] = []
        handler = handler_at(storage, TinyPipeline(MemoryError()), on_out_of_memory=lambda: asked.append(True))
        assert (await handler(storage.job()))["refresh_worker"] is True
        assert asked == [True]

    async def test_nothing_secret_is_said(self, storage: Storage, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        for failure in (RuntimeError(f"cannot read {storage.address('photo')}"), None):
            job = storage.job()
            storage.faults["PUT", "body.npz"] = ["403"]
            answer = await handler_at(storage, TinyPipeline(failure))(job)
            said = "\n".join(JsonLines().format(record) for record in caplog.records)
            for secret in (TOKEN, storage.origin, "cannot read"):
                assert secret not in json.dumps(answer)
                assert secret not in said
            storage.objects.clear()
        assert '"code": "internal"' in said


class TestDownload:
    @pytest.mark.parametrize(
        ("faults", "code"),
        [
            (["404"], "photo_gone"),
            (["410"], "photo_gone"),
            (["403"], "download_failed"),
            (["302"], "download_failed"),
            (["500", "502", "503"], "download_failed"),
            (["cut"] * 6, "download_failed"),  # aiohttp repeats each GET once by itself
            (["longer"], "download_failed"),
            (["shorter"], "download_failed"),
            (["other"], "download_failed"),
        ],
    )
    async def test_a_file_that_cannot_be_had(self, storage: Storage, faults: list[str], code: str) -> None:
        storage.faults["GET", "photo"] = faults
        storage.objects["other"] = b"a photo"  # where the redirect leads: must not be followed
        is_retryable = code != "photo_gone"
        assert await failure_of(storage, storage.job()) == (code, is_retryable)
        assert [name for _, name, _ in storage.requests if name == "other"] == []

    async def test_two_failures_are_overcome(self, storage: Storage) -> None:
        storage.faults["GET", "photo"] = ["500", "cut"]
        answer = await handler_at(storage, TinyPipeline())(storage.job())
        assert "error" not in answer

    @pytest.mark.parametrize("stated", [0, -1, 20_000_001])
    async def test_a_stated_size_out_of_range_is_refused_unread(self, storage: Storage, stated: int) -> None:
        job = storage.job()
        job["input"]["inputs"]["photo"]["bytes"] = stated
        assert await failure_of(storage, job) == ("input_invalid", False)
        assert storage.requests == []

    @pytest.mark.parametrize(
        "address",
        [
            "http://127.0.0.1:9/objects/photo",
            "https://{host}/objects/photo",
            "http://user@{host}/objects/photo",
            "http://{host}.example.com/objects/photo",
            "http://{host}@example.com/objects/photo",
            "http://169.254.169.254/latest/meta-data",
            "file:///etc/passwd",
            "//{host}/objects/photo",
            "http://[::1/objects/photo",
            "",
        ],
    )
    async def test_other_origins_are_never_asked(self, storage: Storage, address: str) -> None:
        url = address.replace("{host}", storage.origin.removeprefix("http://"))
        for side in ("inputs", "outputs"):
            job = storage.job()
            name = "photo" if side == "inputs" else "avatar.glb"
            job["input"][side][name]["url"] = url
            assert await failure_of(storage, job) == ("input_invalid", False)
        assert {name for _, name, _ in storage.requests} <= {"photo"}


class TestUpload:
    async def test_headers_are_sent_as_given_with_the_exact_length(self, storage: Storage) -> None:
        job = storage.job()
        job["input"]["outputs"]["avatar.glb"]["headers"] |= {"X-Given": "yes", "Cache-Control": "private"}
        await handler_at(storage, TinyPipeline())(job)
        headers = next(headers for method, name, headers in storage.requests if (method, name) == ("PUT", "avatar.glb"))
        assert headers["Content-Length"] == str(len(GLB))
        assert (headers["X-Given"], headers["Cache-Control"]) == ("yes", "private")
        assert headers["Content-Type"] == "model/gltf-binary"

    @pytest.mark.parametrize("name", ["avatar.glb", "body.npz", "manifest.json"])
    @pytest.mark.parametrize("faults", [["500", "cut"], ["503", "429"], ["cut after writing"]])
    async def test_two_failures_are_overcome(self, storage: Storage, name: str, faults: list[str]) -> None:
        storage.faults["PUT", name] = faults
        answer = await handler_at(storage, TinyPipeline())(storage.job())
        assert "error" not in answer
        assert storage.written == ["avatar.glb", "body.npz", "manifest.json"]

    @pytest.mark.parametrize("faults", [["403"], ["400"], ["307"], ["500", "500", "500"]])
    async def test_a_store_that_refuses_fails_the_attempt_without_a_manifest(
        self, storage: Storage, faults: list[str]
    ) -> None:
        storage.faults["PUT", "body.npz"] = faults
        assert await failure_of(storage, storage.job()) == ("upload_failed", True)
        assert "manifest.json" not in storage.objects

    async def test_files_of_another_run_are_not_mixed_with(self, storage: Storage) -> None:
        job = storage.job()
        storage.objects["avatar.glb"] = b"theirs"
        assert await failure_of(storage, job) == ("output_exists", True)
        assert "manifest.json" not in storage.objects

    async def test_a_manifest_of_another_run_means_that_the_attempt_is_finished(self, storage: Storage) -> None:
        job = storage.job()
        storage.objects["manifest.json"] = b"theirs"
        answer = await handler_at(storage, TinyPipeline())(job)
        assert "error" not in answer
        assert storage.objects["manifest.json"] == b"theirs"

    async def test_more_than_allowed_is_not_sent(self, storage: Storage) -> None:
        job = storage.job()
        job["input"]["outputs"]["avatar.glb"]["max_bytes"] = len(GLB) - 1
        assert await failure_of(storage, job) == ("internal", True)
        assert storage.written == []


class TestCancel:
    async def test_the_thread_ends_between_stages_and_nothing_is_written(self, storage: Storage) -> None:
        pipeline = TinyPipeline(measuring_s=0.3)
        running = asyncio.ensure_future(handler_at(storage, pipeline)(storage.job()))
        assert await asyncio.to_thread(pipeline.is_measuring.wait, 2)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert pipeline.running == 0  # waited for
        assert pipeline.stages == [Stage.RECEIVED, Stage.CHECKING, Stage.MEASURING]
        assert storage.written == []

    async def test_a_stage_that_takes_longer_than_anyone_waits_holds_up_the_next_job(
        self, storage: Storage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The models are not for two threads at a time, whoever has given up waiting."""
        monkeypatch.setattr(handler_module, "STOP_GRACE_S", 0.01)
        pipeline = TinyPipeline(measuring_s=0.3)
        handler = handler_at(storage, pipeline)
        running = asyncio.ensure_future(handler(storage.job()))
        assert await asyncio.to_thread(pipeline.is_measuring.wait, 2)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert pipeline.running == 1, "it computes on"
        assert "error" not in await handler(storage.job())
        assert pipeline.most_at_once == 1
