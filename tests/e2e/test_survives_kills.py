"""Killing a part at the worst moment: the avatar still becomes ready, once."""

import signal
import sqlite3
import time
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page

from tests.e2e.conftest import Demo, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


def submit(demo: Demo, photo: Path) -> str:
    """A new avatar with a photo for a new subject of the brand; returns its id."""
    facts = {
        "height_cm": "178",
        "weight_kg": "74",
        "sex": "male",
        "consent_version": "1",
        "user_ref": str(uuid.uuid4()),
    }
    with demo.api() as api, photo.open("rb") as file:
        answer = api.post("/v1/avatars", data=facts, files={"photo": ("me.jpg", file, "image/jpeg")})
    assert answer.status_code == 202, answer.text
    avatar_id: str = answer.json()["id"]
    return avatar_id


def attempts(demo: Demo, avatar_id: str) -> list[tuple[Any, ...]]:
    """(attempt state, job state) of the avatar's photo job."""
    sql = (
        "select a.state, j.state from job_attempts a join jobs j on j.id = a.job_id "
        "where replace(lower(j.subject_id), '-', '') = ? order by a.n"
    )
    return demo.rows(sql, avatar_id.replace("-", ""))


def avatar(demo: Demo, avatar_id: str) -> dict[str, Any] | None:
    try:
        with demo.api() as api:
            answer = api.get(f"/v1/avatars/{avatar_id}")
    except (httpx.TransportError, ValueError):  # the backend is being restarted
        return None
    return answer.json() if answer.is_success else None


def assert_ready_once(demo: Demo, avatar_id: str) -> None:
    def ready() -> dict[str, Any] | None:
        seen = avatar(demo, avatar_id)
        assert seen is None or seen["status"] != "failed", seen
        return seen if seen and seen["status"] == "ready" else None

    seen = wait_for("avatar ready", ready, timeout_s=120, every_s=0.2)
    glb = httpx.get(seen["glb_url"], timeout=10)
    assert glb.content[:4] == b"glTF"
    time.sleep(1.5)  # a second effect would come from a late hook or the sweeper's next rounds
    states = attempts(demo, avatar_id)
    assert [state for state, _ in states].count("succeeded") == 1, states
    assert {job for _, job in states} == {"succeeded"}
    created = demo.rows("select count(*) from events where dedup_key = ?", f"avatar:{avatar_id}:ready")
    assert created == [(1,)]


def deliveries(demo: Demo) -> int:
    """How often the newest job was handed to a worker."""
    connection = sqlite3.connect(f"file:{demo.data_dir / 'endpoint' / 'queue.db'}?mode=ro", uri=True, timeout=10)
    try:
        (count,) = connection.execute("select deliveries from jobs order by seq desc limit 1").fetchone()
    finally:
        connection.close()
    return int(count)


def test_worker_killed_in_mid_job(demo: Demo, person_photo: Path) -> None:
    worker = demo.running("gpu_worker.main")[0]
    avatar_id = submit(demo, person_photo)

    def mid_job() -> bool | None:
        seen = avatar(demo, avatar_id)
        return True if seen and seen["stage"] in {"checking", "measuring", "building"} else None

    wait_for("the job to be under way", mid_job, every_s=0.01)
    worker.send_signal(signal.SIGKILL)
    assert_ready_once(demo, avatar_id)
    assert demo.running("gpu_worker.main")[0].pid != worker.pid
    assert deliveries(demo) >= 2, "the kill came too late to hit the job"


def test_endpoint_killed_between_jobs(demo: Demo, person_photo: Path) -> None:
    assert_ready_once(demo, submit(demo, person_photo))
    (endpoint,) = demo.running("endpoint")[:1]
    endpoint.send_signal(signal.SIGKILL)
    assert_ready_once(demo, submit(demo, person_photo))


def test_backend_killed_before_the_callback(demo: Demo, person_photo: Path) -> None:
    avatar_id = submit(demo, person_photo)
    (backend,) = demo.running("backend.cli")
    folder = demo.data_dir / "objects"

    def manifest_written() -> bool | None:
        return True if any(avatar_id in str(file) for file in folder.rglob("manifest.json*")) else None

    wait_for("the manifest", manifest_written, every_s=0.002)
    backend.send_signal(signal.SIGKILL)
    assert_ready_once(demo, avatar_id)


def test_the_block_is_back_after_the_stand_in_died_and_forgot_everything(demo: Demo, page: Page) -> None:
    (stand_in,) = demo.running("fake_shopify")
    stand_in.send_signal(signal.SIGKILL)

    def offered() -> bool | None:
        answer = page.goto(f"{demo.storefront}/products/organic-cotton-tee")
        return True if answer and answer.ok and page.locator("tryon-launcher").count() else None

    def successor() -> bool | None:
        return any(process.pid != stand_in.pid for process in demo.running("fake_shopify")) or None

    wait_for("another stand-in", successor, every_s=0.2)
    time.sleep(1)  # longer than the shop keeps what Shopify said
    wait_for("the block", offered, timeout_s=60, every_s=0.5)
    page.locator("tryon-launcher button").first.click()
    page.wait_for_selector("dialog[data-ready]")
