"""A job as RunPod's API shows it. Inputs and outputs are embedded as the JSON texts they arrived as."""

from typing import Any

import msgspec

from gpu_worker.local_endpoint.store import Job


def status_of(job: Job) -> dict[str, Any]:
    """The answer to `GET /status/{id}`; times are milliseconds."""
    answer: dict[str, Any] = {"id": job.id, "status": job.status}
    if job.handed_at is not None:
        answer["delayTime"] = round((job.handed_at - job.submitted_at) * 1000)
        if job.finished_at is not None:
            answer["executionTime"] = round((job.finished_at - job.handed_at) * 1000)
    if job.output is not None:
        answer["output"] = msgspec.Raw(job.output.encode())
    if job.error is not None:
        answer["error"] = job.error
    if job.worker_id is not None:
        answer["workerId"] = job.worker_id
    return answer


def encode_webhook(job: Job) -> bytes:
    """The body of a webhook: the whole job, input and address included."""
    return msgspec.json.encode({**status_of(job), "input": msgspec.Raw(job.input.encode()), "webhook": job.webhook})


def for_worker(job: Job) -> dict[str, Any]:
    """What a worker is handed."""
    return {"id": job.id, "input": msgspec.Raw(job.input.encode()), "webhook": job.webhook}
