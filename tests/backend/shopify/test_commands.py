"""The operator's view of the inbox, as it is typed."""

import asyncio
import json
from pathlib import Path

import pytest
from sqlalchemy import update

from backend.core.clock import SystemClock
from backend.core.db import Database
from backend.shopify.inbox import Envelope, Inbox
from backend.shopify.inbox_models import WebhookDelivery
from tests.backend.conftest import Tryon

pytestmark = pytest.mark.filterwarnings("ignore::backend.settings.DevelopmentModeWarning")


async def fill(path: Path) -> None:
    """A dead hint, a dead right whose body is there, a done right whose body is gone."""
    database = Database(f"sqlite+aiosqlite:///{path}", SystemClock())
    rows: list[tuple[str, str, dict[str, object]]] = [
        ("a", "orders/create", {"state": "dead", "resource": "order:7", "body": None}),
        ("b", "customers/redact", {"state": "dead", "resource": "shop"}),
        ("c", "shop/redact", {"state": "done", "resource": "shop", "body": None, "receipt": {"outcome": "erased"}}),
    ]
    async with database.transaction() as session:
        for webhook_id, topic, values in rows:
            envelope = Envelope(webhook_id, topic, "shop-a.myshopify.com", None, None, None)
            await Inbox(session, SystemClock()).take(envelope, b"{}")
            await session.execute(
                update(WebhookDelivery)
                .where(WebhookDelivery.webhook_id == webhook_id)
                .values(**values, attempts=6, error_code="shopify_unavailable")
            )
    await database.close()


def test_inbox_is_shown_and_played_again(tryon: Tryon, tmp_path: Path) -> None:
    assert tryon("migrate")[0] == 0
    asyncio.run(fill(tmp_path / "data" / "tryon.db"))
    status, out, _ = tryon("shopify", "inbox", "--state", "dead")
    shown = [json.loads(line) for line in out.splitlines()]
    assert (status, [one["webhook_id"] for one in shown]) == (0, ["b", "a"])
    assert "body" not in shown[0]
    status, out, _ = tryon("shopify", "replay", "--shop", "shop-b.myshopify.com")
    assert (status, json.loads(out)) == (0, {"again": 0})
    status, out, _ = tryon("shopify", "replay")
    assert (status, json.loads(out)) == (0, {"again": 2})
    status, out, _ = tryon("shopify", "inbox", "--state", "new")
    assert {json.loads(line)["attempts"] for line in out.splitlines()} == {0}


def test_what_cannot_be_played_again_is_said(tryon: Tryon, tmp_path: Path) -> None:
    assert tryon("migrate")[0] == 0
    asyncio.run(fill(tmp_path / "data" / "tryon.db"))
    for webhook_id in ("c", "unknown"):
        status, _, said = tryon("shopify", "replay", "--id", webhook_id)
        assert (status, said.startswith("tryon: No such delivery")) == (2, True)
    status, _, said = tryon("shopify", "data-request", "c")
    assert (status, "No data request" in said) == (2, True)
