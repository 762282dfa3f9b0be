"""One id from the request to the worker: what an operator searches the logs for."""

import io
import json

import httpx

from backend.core import logging
from tests.backend.conftest import Step
from tests.factories import Given
from tests.scripted_endpoint import ScriptedEndpoint


async def test_the_request_that_ordered_a_job_is_named_to_the_worker_and_in_every_line_about_it(
    http: httpx.AsyncClient,
    given: Given,
    endpoint: ScriptedEndpoint,
    step: Step,
) -> None:
    log = io.StringIO()
    logging.configure(log)
    shopper = await given.shopper(await given.brand())
    answer = await http.post("/v1/avatars", headers=shopper.headers, data={"height_cm": "178"})
    request_id = answer.headers["x-request-id"]
    await http.get("/health")
    await step()
    assert endpoint.newest.input.request_id == request_id
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    sent = next(line for line in lines if line["event"] == "job.sent")
    answered = next(line for line in lines if line.get("path") == "/v1/avatars")
    assert sent["request_id"] == answered["request_id"] == request_id
    assert sent["attempt_id"] == endpoint.newest.input.attempt_id
