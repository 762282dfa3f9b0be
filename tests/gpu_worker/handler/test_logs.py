"""The worker's log: JSON lines under the ids of the job, and nothing that a stranger wrote into one."""

import io
import json
import logging

import pytest

from gpu_worker import logs
from gpu_worker.handler import make_handler
from gpu_worker.settings import Settings
from tests.gpu_worker.handler.pipelines import TinyPipeline
from tests.gpu_worker.handler.storage import Storage


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def said(stream: io.StringIO) -> logging.Handler:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JsonLines())
    return handler


async def test_a_job_is_told_of_under_the_ids_of_request_job_and_attempt(
    storage: Storage, stream: io.StringIO, said: logging.Handler
) -> None:
    log = logging.getLogger("gpu_worker.handler")
    log.addHandler(said)
    log.setLevel(logging.INFO)
    try:
        job = storage.job()
        job["input"]["request_id"] = "0123abcd"
        await make_handler(TinyPipeline(), Settings(storage_origin=storage.origin, worker_id="w1"))(job)
    finally:
        log.removeHandler(said)
    (line,) = [json.loads(text) for text in stream.getvalue().splitlines()]
    assert (line["event"], line["request_id"], line["attempt_id"]) == ("job.done", "0123abcd", "attempt-1")
    assert line["job_id"] == job["id"]
    assert line["duration_ms"] > 0


@pytest.mark.parametrize("given", ["a\nb", '"},{', "x" * 101, 7, None, {"a": 1}])
def test_an_id_that_is_none_is_left_out(stream: io.StringIO, said: logging.Handler, given: object) -> None:
    record = logging.LogRecord("x", logging.INFO, __file__, 1, "job.done", None, None)
    with logs.about({"id": given, "input": {"request_id": given, "attempt_id": "a-1"}}):
        said.emit(record)
    line = json.loads(stream.getvalue())
    assert line["attempt_id"] == "a-1"
    assert "request_id" not in line
    assert "job_id" not in line


def test_a_fault_is_told_by_its_place_and_not_by_its_text(stream: io.StringIO, said: logging.Handler) -> None:
    with pytest.raises(ValueError, match="secret") as caught:
        _fail()
    info = (caught.type, caught.value, caught.value.__traceback__)
    said.emit(logging.LogRecord("x", logging.ERROR, __file__, 1, "request failed", None, info))
    line = json.loads(stream.getvalue())
    assert "secret" not in stream.getvalue()
    assert line["exception"][-1].startswith("_fail:")


def _fail() -> None:
    raise ValueError("https://store.test/photo?token=secret")
