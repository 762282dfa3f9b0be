"""The operator's hands on the inbox: look, do again, hand out what a person asked for."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import inspect, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend.avatars.models import Avatar
from backend.core.clock import Clock, SystemClock
from backend.core.db import Database
from backend.core.problems import InvalidRequest
from backend.events.models import Event
from backend.settings import Settings
from backend.shopify.inbox_models import DEAD, NEW, WebhookDelivery
from backend.shopify.inbox_work import replayable
from backend.shopify.installs import InstallService
from backend.shopify.models import NEEDS_VISIT
from backend.shopify.order_models import Order, OrderLine
from backend.shoppers.models import Consent, Shopper
from backend.tryons.models import TryonSession

MAX_LISTED = 200
OURS_ALONE = {"id", "brand_id", "order_id", "created_at", "updated_at"}
"""Of a line: keys of rows."""


class Delivery(msgspec.Struct, frozen=True):
    """One line of `tryon shopify inbox`; never the body."""

    webhook_id: str
    topic: str
    shop: str
    resource: str | None
    state: str
    attempts: int
    error_code: str | None
    received_at: datetime
    next_at: datetime
    receipt: dict[str, object] | None


async def list_inbox(settings: Settings, state: str | None, shop: str | None) -> list[Delivery]:
    """Newest first."""
    query = select(WebhookDelivery).order_by(WebhookDelivery.id.desc()).limit(MAX_LISTED)
    if state is not None:
        query = query.where(WebhookDelivery.state == state)
    if shop is not None:
        query = query.where(WebhookDelivery.shop == shop)
    database = Database(settings.database_url, SystemClock())
    try:
        async with database.transaction(read_only=True) as session:
            return [_shown(row) for row in await session.scalars(query)]
    finally:
        await database.close()


async def replay(settings: Settings, webhook_id: str | None, shop: str | None, clock: Clock | None = None) -> int:
    """Dead deliveries again from the first try (of one shop, or all); or the one that is named, whatever became of it.

    The running service works on them. A hint needs no body; what needs its own and has lost it is left alone.
    """
    now = (clock or SystemClock()).now()
    wanted = WebhookDelivery.state == DEAD if webhook_id is None else WebhookDelivery.webhook_id == webhook_id
    statement = update(WebhookDelivery).where(replayable(), wanted)
    if shop is not None:
        statement = statement.where(WebhookDelivery.shop == shop)
    database = Database(settings.database_url, SystemClock())
    try:
        async with database.transaction() as session:
            again = await session.scalars(
                statement.values(
                    state=NEW,
                    attempts=0,
                    next_at=now,
                    leased_until=None,
                    error_code=None,
                    finished_at=None,
                    updated_at=now,
                ).returning(WebhookDelivery.id)
            )
            count = len(again.all())
    finally:
        await database.close()
    if webhook_id is not None and not count:
        raise InvalidRequest("No such delivery, or it waits already, or its body is gone.")
    return count


async def say_uninstalled(settings: Settings, shop: str, clock: Clock | None = None) -> None:
    """For a shop whose own news of it was lost: what waits for it, such as its erasure, can be done then."""
    database = Database(settings.database_url, SystemClock())
    try:
        async with database.transaction() as session:
            installs = InstallService(session, clock or SystemClock())
            install = await installs.find(shop)
            if install is None or install.status != NEEDS_VISIT:
                raise InvalidRequest("Only a shop whose token is refused (needs_visit) can be said to have left.")
            await installs.uninstall(install)
    finally:
        await database.close()


async def compile_data(settings: Settings, webhook_id: str) -> dict[str, Any]:
    """Everything that is held of the person of a customers/data_request, compiled now."""
    database = Database(settings.database_url, SystemClock())
    try:
        async with database.transaction(read_only=True) as session:
            row = await session.scalar(select(WebhookDelivery).where(WebhookDelivery.webhook_id == webhook_id))
            if row is None or row.receipt is None or row.topic != "customers/data_request":
                raise InvalidRequest("No data request has been worked on under this id.")
            if "brand_id" not in row.receipt:
                return {"shop": row.shop, "shoppers": [], "orders": []}
            request = msgspec.convert(row.receipt, Requested)
            return {
                "shop": row.shop,
                "shoppers": [await _shopper(session, request.brand_id, one) for one in request.user_ids],
                "orders": [await _order(session, request.brand_id, ref) for ref in request.order_refs],
            }
    finally:
        await database.close()


class Requested(msgspec.Struct, frozen=True):
    brand_id: UUID
    user_ids: list[UUID]
    order_refs: list[str]


async def _shopper(session: AsyncSession, brand_id: UUID, user_id: UUID) -> dict[str, Any]:
    shopper = await session.scalar(select(Shopper).where(Shopper.brand_id == brand_id, Shopper.id == user_id))
    avatar = await session.scalar(select(Avatar).where(Avatar.brand_id == brand_id, Avatar.user_id == user_id))
    consents = await session.scalars(select(Consent).where(Consent.brand_id == brand_id, Consent.user_id == user_id))
    sessions = await session.scalars(
        select(TryonSession).where(TryonSession.brand_id == brand_id, TryonSession.user_id == user_id)
    )
    events = await session.scalars(
        select(Event).where(Event.brand_id == brand_id, Event.user_id == user_id).order_by(Event.occurred_at)
    )
    return {
        "id": user_id,
        "first_seen_at": shopper.created_at if shopper else None,
        "last_seen_at": shopper.last_seen_at if shopper else None,
        "stated": avatar.facts if avatar else None,
        "measurements": avatar.measurements if avatar else None,
        "evidence": avatar.evidence if avatar else None,
        "has_figure": avatar is not None and avatar.glb_key is not None,
        "consents": [
            {"version": one.version, "purpose": one.purpose, "given_at": one.given_at, "withdrawn_at": one.withdrawn_at}
            for one in consents
        ],
        "try_ons": [
            {
                "id": one.id,
                "garment_id": one.garment_id,
                "created_at": one.created_at,
                "selected_size": one.selected_size,
                "fit_result": one.fit_result,
            }
            for one in sessions
        ],
        "events": [{"what": one.event_type, "when": one.occurred_at, "facts": one.payload} for one in events],
    }


async def _order(session: AsyncSession, brand_id: UUID, ref: str) -> dict[str, Any]:
    order = await session.scalar(select(Order).where(Order.brand_id == brand_id, Order.order_ref == ref))
    if order is None:
        return {"order": ref, "lines": []}
    lines = await session.scalars(
        select(OrderLine).where(OrderLine.brand_id == brand_id, OrderLine.order_id == order.id)
    )
    columns = [column.key for column in inspect(OrderLine).column_attrs if column.key not in OURS_ALONE]
    return {
        "order": ref,
        "ordered_at": order.ordered_at,
        "paid_at": order.paid_at,
        "cancelled_at": order.cancelled_at,
        "currency": order.currency,
        "lines": [{name: getattr(one, name) for name in columns} for one in lines],
    }


def _shown(row: WebhookDelivery) -> Delivery:
    return Delivery(
        webhook_id=row.webhook_id,
        topic=row.topic,
        shop=row.shop,
        resource=row.resource,
        state=row.state,
        attempts=row.attempts,
        error_code=row.error_code,
        received_at=row.received_at,
        next_at=row.next_at,
        receipt=row.receipt,
    )
