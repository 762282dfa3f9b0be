"""Successful fittings → Shopify's usage meter, each once: an outbox, a sender, and what the plan says.

Only what succeeded is ever put into the outbox, so a failed fitting cannot be charged, and of all try-ons of a figure
in a garment one. Its id is the idempotency key, so a fitting sent twice is charged once; Shopify knows a key for a day,
so what may have arrived is not sent after that.
"""

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any
from uuid import UUID

import httpx
import msgspec
import structlog
from sqlalchemy import and_, exists, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from uuid_utils.compat import uuid7

from backend.core.clock import Clock
from backend.core.db import Database, insert_new
from backend.settings import Settings
from backend.shopify.addresses import Addresses
from backend.shopify.chores import Chore, ChoreBook
from backend.shopify.errors import ShopifyError, ShopifyUnavailable
from backend.shopify.models import ACTIVE, ShopifyInstall
from backend.shopify.order_facts import last_segment
from backend.shopify.work_models import REFUSED, SENT, WAITING, UsageEvent
from backend.tryons.models import TryonSession, WornGarment

log = structlog.get_logger()

METER = "fitting_completed"
EVENTS_VERSION = "unstable"
"""Of the App Events API: the only one that its reference named when this was written."""
TIMEOUT_S = 15
LOOK_BACK = timedelta(hours=24)
"""How long a fitting that a crash kept out of the outbox is still looked for."""
COLLECT_EVERY = timedelta(seconds=10)
BACKOFF = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 180, 360))
"""Then every six hours, until Shopify says that the cycle is over."""
TOKEN_SPARE = timedelta(minutes=5)
KEY_LIVES_FOR = timedelta(hours=23)
"""Shopify's day, with an hour to spare."""
BATCH = 100


class BillingRefused(ShopifyError):
    """Shopify does not know us, or has no such meter: an operator's matter."""

    code = "billing_refused"


class NoAnswer(ShopifyUnavailable):
    """What was sent may have arrived."""

    code = "no_answer"


class Token(msgspec.Struct, frozen=True):
    value: str
    good_until: datetime


class Billing:
    def __init__(
        self, database: Database, clock: Clock, settings: Settings, http: httpx.AsyncClient, addresses: Addresses
    ) -> None:
        self.database = database
        self.clock = clock
        self.settings = settings
        self.http = http
        self.base_url = addresses.app_events
        self._token: Token | None = None
        self._collected_at: datetime | None = None

    # ---- the outbox -------------------------------------------------------------------------------------------------

    async def collect_if_due(self) -> int:
        now = self.clock.now()
        if self._collected_at is not None and now - self._collected_at < COLLECT_EVERY:
            return 0
        self._collected_at = now
        return await self.collect()

    async def collect(self) -> int:
        """Try-ons that show a dressed body since, of shops that have the app; how many are new."""
        now = self.clock.now()
        async with self.database.transaction() as session:
            rows = [
                {
                    "id": uuid7(),
                    "brand_id": brand_id,
                    "session_id": session_id,
                    "happened_at": now,
                    "state": WAITING,
                    "attempts": 0,
                    "next_at": now,
                    "created_at": now,
                    "updated_at": now,
                }
                for brand_id, session_id in await self._fittings(session, now)
            ]
            new = await insert_new(
                session, UsageEvent, rows, unique=("brand_id", "session_id"), returning=UsageEvent.session_id
            )
        return len(new)

    async def _fittings(self, session: AsyncSession, now: datetime) -> list[tuple[UUID, UUID]]:
        """Brand and try-on: the first of each figure and garment. Looking again at the picture costs nothing."""
        same = aliased(TryonSession)
        is_noted = exists().where(
            same.brand_id == TryonSession.brand_id,
            same.avatar_id == TryonSession.avatar_id,
            same.garment_id == TryonSession.garment_id,
            UsageEvent.brand_id == same.brand_id,
            UsageEvent.session_id == same.id,
        )
        found = await session.execute(
            select(TryonSession.brand_id, TryonSession.id, TryonSession.avatar_id, TryonSession.garment_id)
            .join(
                WornGarment,
                and_(
                    WornGarment.brand_id == TryonSession.brand_id,
                    WornGarment.avatar_id == TryonSession.avatar_id,
                    WornGarment.garment_id == TryonSession.garment_id,
                ),
            )
            .join(ShopifyInstall, ShopifyInstall.brand_id == TryonSession.brand_id)
            .where(
                WornGarment.worn_key.is_not(None),
                WornGarment.last_used_at >= now - LOOK_BACK,
                TryonSession.created_at >= now - LOOK_BACK,
                TryonSession.created_at >= ShopifyInstall.installed_at,
                ~is_noted,
            )
            .order_by(TryonSession.id)
            .limit(BATCH)
        )
        first: dict[tuple[UUID, UUID], tuple[UUID, UUID]] = {}
        for brand_id, session_id, avatar_id, garment_id in found:
            first.setdefault((avatar_id, garment_id), (brand_id, session_id))
        return list(first.values())

    # ---- sending ----------------------------------------------------------------------------------------------------

    async def send_due(self) -> int:
        async with self.database.transaction(read_only=True) as session:
            found = await session.execute(
                select(UsageEvent, ShopifyInstall.shop_gid)  # tenant: the operator's loop sends for every shop
                .join(ShopifyInstall, ShopifyInstall.brand_id == UsageEvent.brand_id)
                .where(
                    UsageEvent.state == WAITING,
                    UsageEvent.next_at <= self.clock.now(),
                    ShopifyInstall.shop_gid.is_not(None),
                )
                .order_by(UsageEvent.next_at)
                .limit(BATCH)
            )
            due = [(row[0], str(row[1])) for row in found]
        for usage, shop_gid in due:
            if usage.error_code == NoAnswer.code and self.clock.now() - usage.happened_at >= KEY_LIVES_FOR:
                await self._settle(usage, "in_doubt")
                continue
            try:
                fault = await self._send(usage, last_segment(shop_gid))
            except ShopifyError as error:
                await self._put_off(usage, error.code)
                break  # the next would most likely meet the same, and webhooks wait behind this
            await self._settle(usage, fault)
        return len(due)

    async def _send(self, usage: UsageEvent, shop_id: str) -> str | None:
        """None when it is counted; a code when it never will be."""
        bearer = await self._bearer()
        answer = await self._post(
            f"/app/{EVENTS_VERSION}/events",
            {
                "shop_id": shop_id,
                "event_handle": METER,
                "timestamp": usage.happened_at.isoformat(),
                "idempotency_key": str(usage.session_id),
                "attributes": {"value": 1},
            },
            {"Authorization": f"Bearer {bearer}"},
        )
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            self._token = None
            raise ShopifyUnavailable("The billing token has run out.")
        if answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY:
            return "not_acceptable"
        if answer.status_code >= HTTPStatus.BAD_REQUEST:
            raise BillingRefused(f"Billing answered {answer.status_code}.")
        return "refused_by_billing" if _said(answer).get("result_status") == "RESULT_STATUS_FAILURE" else None

    async def _bearer(self) -> str:
        now = self.clock.now()
        if self._token is not None and self._token.good_until > now:
            return self._token.value
        asked = {
            "client_id": self.settings.shopify_client_id,
            "client_secret": self.settings.shopify_client_secret,
            "grant_type": "client_credentials",
        }
        try:
            answer = await self._post("/auth/access_token", asked, {})
        except NoAnswer as error:
            raise ShopifyUnavailable("Billing gives no token now.") from error
        body = _said(answer)
        token = body.get("access_token")
        if answer.status_code != HTTPStatus.OK or not isinstance(token, str):
            raise BillingRefused(f"Billing gives no token: {answer.status_code}.")
        lifetime = timedelta(seconds=float(body.get("expires_in") or 3600))
        self._token = Token(token, now + max(lifetime - TOKEN_SPARE, timedelta(0)))
        return token

    async def _post(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> httpx.Response:
        try:
            answer = await self.http.post(
                self.base_url + path, json=body, headers=headers, timeout=TIMEOUT_S, follow_redirects=False
            )
        except httpx.TransportError as error:
            raise NoAnswer("Billing does not answer.") from error
        if answer.is_server_error:
            raise NoAnswer(f"Billing answered {answer.status_code}.")
        if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            raise ShopifyUnavailable("Billing is asked too often.")
        return answer

    async def _settle(self, usage: UsageEvent, fault: str | None) -> None:
        now = self.clock.now()
        if fault is not None:
            log.error("usage.refused", brand_id=str(usage.brand_id), session_id=str(usage.session_id), code=fault)
        await self._change(
            usage,
            {
                "state": SENT if fault is None else REFUSED,
                "sent_at": now if fault is None else None,
                "error_code": fault,
                "attempts": usage.attempts + 1,
            },
        )

    async def _put_off(self, usage: UsageEvent, code: str) -> None:
        wait = BACKOFF[min(usage.attempts, len(BACKOFF) - 1)]
        code = usage.error_code if usage.error_code == NoAnswer.code else code  # the doubt stays
        log.warning("usage.put_off", brand_id=str(usage.brand_id), code=code, attempts=usage.attempts)
        await self._change(
            usage, {"attempts": usage.attempts + 1, "next_at": self.clock.now() + wait, "error_code": code}
        )

    async def _change(self, usage: UsageEvent, values: dict[str, object]) -> None:
        """Two senders of one event do no harm: its key counts once at Shopify."""
        async with self.database.transaction() as session:
            await session.execute(
                update(UsageEvent)
                .where(UsageEvent.brand_id == usage.brand_id, UsageEvent.id == usage.id, UsageEvent.state == WAITING)
                .values(**values, updated_at=self.clock.now())
            )


def _said(answer: httpx.Response) -> dict[str, Any]:
    """Empty where it is no JSON object: the status alone decides then."""
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


PARTNER_QUERY = """
query Plan($appId: ID!, $shopId: ID!) {
  activeSubscription(appId: $appId, shopId: $shopId) {
    cancelAtEndOfCycle trialEndsAt
    currentBillingCycle { startTime endTime }
    items { handle }
  }
}
"""
PARTNER_VERSION = "2026-07"


class Plans:
    """Whether a shop's plan is open, as Shopify's Partner API says; everybody's is where none was set up."""

    def __init__(self, database: Database, clock: Clock, settings: Settings, http: httpx.AsyncClient) -> None:
        self.database = database
        self.clock = clock
        self.settings = settings
        self.http = http

    async def read_plan(self, chore: Chore) -> None:
        if not self.settings.shopify_partner_token:
            return
        async with self.database.transaction(read_only=True) as session:
            install = await session.scalar(select(ShopifyInstall).where(ShopifyInstall.brand_id == chore.brand_id))
        if install is None or install.status != ACTIVE or install.shop_gid is None:
            return
        is_open = await self._is_open(install.shop_gid)
        await self.open_plan(chore.brand_id, is_open=is_open)

    async def open_plan(self, brand_id: UUID, *, is_open: bool) -> None:
        """While it is not, the theme shows no button, and what asks all the same is answered 402."""
        async with self.database.transaction() as session:
            changed = await session.execute(
                update(ShopifyInstall)
                .where(ShopifyInstall.brand_id == brand_id, ShopifyInstall.is_plan_open != is_open)
                .values(is_plan_open=is_open, updated_at=self.clock.now())
                .returning(ShopifyInstall.shop)
            )
            shop = changed.scalar_one_or_none()
            if shop is not None:
                await ChoreBook(session, self.clock).ask(brand_id, "write_switches")
        if shop is not None:
            log.warning("plan.opened" if is_open else "plan.closed", shop=shop)

    async def _is_open(self, shop_gid: str) -> bool:
        url = (
            f"https://partners.shopify.com/{self.settings.shopify_partner_organization}"
            f"/api/{PARTNER_VERSION}/graphql.json"
        )
        variables = {"appId": self.settings.shopify_partner_app_gid, "shopId": shop_gid}
        try:
            answer = await self.http.post(
                url,
                json={"query": PARTNER_QUERY, "variables": variables},
                headers={"X-Shopify-Access-Token": self.settings.shopify_partner_token},
                timeout=TIMEOUT_S,
                follow_redirects=False,
            )
        except httpx.TransportError as error:
            raise ShopifyUnavailable("The Partner API does not answer.") from error
        if answer.status_code != HTTPStatus.OK or answer.json().get("errors"):
            raise ShopifyUnavailable(f"The Partner API answered {answer.status_code}.")
        return answer.json()["data"]["activeSubscription"] is not None
