"""What a shopper stated does not outlive the job that needed it."""

from pathlib import Path

import pytest

from gpu_worker.local_endpoint.store import FORGOTTEN, Store

STATED = '{"height_cm": 178}'
WEBHOOK = "http://127.0.0.1:9/hooks/jobs/1/secret"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "queue.db")


def add(store: Store, webhook: str | None) -> None:
    store.add(
        "job-e1",
        "local",
        is_sync=False,
        input_json=STATED,
        webhook=webhook,
        execution_timeout_s=60.0,
        submitted_at=0.0,
        expires_at=900.0,
    )


def input_of(store: Store) -> str:
    job = store.job("job-e1")
    assert job is not None
    return job.input


def test_without_a_webhook_the_input_goes_with_the_result(store: Store) -> None:
    add(store, None)
    assert store.finish("job-e1", "COMPLETED", 1.0, output="{}", error=None)
    assert input_of(store) == FORGOTTEN


def test_the_webhook_still_quotes_it_then_it_goes(store: Store) -> None:
    add(store, WEBHOOK)
    assert store.finish("job-e1", "COMPLETED", 1.0, output="{}", error=None)
    assert input_of(store) == STATED
    store.webhook_tried("job-e1", 11.0)
    assert input_of(store) == STATED
    store.webhook_tried("job-e1", None)
    assert input_of(store) == FORGOTTEN


def test_a_failed_job_keeps_it_for_a_retry(store: Store) -> None:
    add(store, None)
    assert store.finish("job-e1", "FAILED", 1.0, output=None, error="internal")
    assert store.retry("job-e1", 2.0, 900.0)
    assert input_of(store) == STATED
