"""A person's and a shop's rights: what is known of them, and erasing it. Idempotent; each leaves a receipt.

The topic and the shop stand in unsigned headers, so whatever destroys takes the shop from the signed body.
"""

from typing import Any
from uuid import UUID

import msgspec
import structlog
from sqlalchemy import Text, cast, delete, func, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend.avatars.erase import AvatarErasure
from backend.avatars.models import Avatar
from backend.brands.models import Brand
from backend.core.auth import ShopperContext
from backend.core.clock import Clock
from backend.core.db import Base, Database
from backend.core.storage import BUCKETS, ObjectStore
from backend.events.models import Event
from backend.events.service import EventService
from backend.shopify.customers import customer_ref
from backend.shopify.inbox_models import NEW, WebhookDelivery
from backend.shopify.inbox_work import Outcome
from backend.shopify.installs import InstallService
from backend.shopify.models import NEEDS_VISIT
from backend.shopify.order_models import Order, OrderLine
from backend.shopify.probe import Probe
from backend.shoppers import service as shoppers
from backend.shoppers.erasures import LAST_UPLOAD, Eraser
from backend.shoppers.models import Consent, EmbedCode, Shopper
from backend.tryons.models import TryonSession

log = structlog.get_logger()


class Subject(msgspec.Struct, frozen=True):
    """Who a request is about, as far as we hold anything."""

    shop: str
    brand_id: UUID
    user_ids: tuple[UUID, ...]
    order_refs: tuple[str, ...]


class StillInDoubt(Exception):
    """The shop may have come back; an operator looks."""


class Compliance:
    def __init__(self, database: Database, clock: Clock, store: ObjectStore, eraser: Eraser, probe: Probe) -> None:
        self.database = database
        self.clock = clock
        self.store = store
        self.eraser = eraser
        self.probe = probe

    async def handle(self, delivery: WebhookDelivery, body: dict[str, Any] | None) -> Outcome:
        if body is None or body.get("shop_domain") != delivery.shop:
            log.error("webhook.shop_mismatch", topic=delivery.topic, shop=delivery.shop)
            return Outcome("ignored", "shop_mismatch")
        match delivery.topic:
            case "customers/data_request":
                return await self._request_data(delivery.shop, body)
            case "customers/redact":
                return await self._redact_customer(delivery, body)
            case _:
                return await self._redact_shop(delivery)

    # ---- a person ---------------------------------------------------------------------------------------------------

    async def _request_data(self, shop: str, body: dict[str, Any]) -> Outcome:
        """What is held is named here and compiled when the operator hands it out: no further copy of it lies about."""
        async with self.database.transaction(read_only=True) as session:
            subject = await self._subject(session, shop, body, "orders_requested")
        if subject is None:
            return Outcome(receipt=self._receipt("nothing_held"))
        log.warning("data_request.waiting", shop=shop, shoppers=len(subject.user_ids))
        named: dict[str, object] = {
            "brand_id": str(subject.brand_id),
            "user_ids": [str(one) for one in subject.user_ids],
            "order_refs": list(subject.order_refs),
        }
        return Outcome(receipt=self._receipt("compiled") | named)

    async def _redact_customer(self, delivery: WebhookDelivery, body: dict[str, Any]) -> Outcome:
        """Rows and receipt in one transaction, then the objects."""
        if delivery.receipt is not None:  # rows are gone since an earlier try
            return await self._erase_objects_of(delivery.receipt)
        async with self.database.transaction() as session:
            subject = await self._subject(session, delivery.shop, body, "orders_to_redact")
            if subject is None:
                return Outcome(receipt=self._receipt("nothing_held"))
            erasure_ids: list[UUID] = []
            for user_id in subject.user_ids:
                erasure_ids += await self._erase_shopper(session, subject.brand_id, user_id)
            orders = await self._erase_orders(session, subject)
            await self._forget_requests(session, subject.shop, {*map(str, subject.user_ids), *subject.order_refs})
            receipt = self._receipt("erased") | {
                "shoppers": len(subject.user_ids),
                "orders": orders,
                "erasures": [str(one) for one in erasure_ids],
            }
            await self._keep_receipt(session, delivery.id, receipt)
        return await self._erase_objects_of(receipt)

    async def _erase_objects_of(self, receipt: dict[str, object]) -> Outcome:
        await self.eraser.run([UUID(str(one)) for one in _listed(receipt.get("erasures"))])
        return Outcome(receipt=receipt)

    async def _forget_requests(self, session: AsyncSession, shop: str, about: set[str] | None = None) -> None:
        """Whom earlier data requests were about: those of the erased, or all."""
        rows = await session.scalars(
            select(WebhookDelivery).where(
                WebhookDelivery.shop == shop,
                WebhookDelivery.topic == "customers/data_request",
                WebhookDelivery.receipt.is_not(None),
            )
        )
        for row in rows:
            said = row.receipt or {}
            named = {str(one) for key in ("user_ids", "order_refs") for one in _listed(said.get(key))}
            if about is None or named & about:
                row.receipt = {key: said[key] for key in ("outcome", "at") if key in said}

    async def _keep_receipt(self, session: AsyncSession, delivery_id: UUID, receipt: dict[str, object]) -> None:
        await session.execute(
            update(WebhookDelivery)
            .where(WebhookDelivery.id == delivery_id)
            .values(receipt=receipt, updated_at=self.clock.now())
        )

    async def _subject(self, session: AsyncSession, shop: str, body: dict[str, Any], orders_key: str) -> Subject | None:
        """By the keyed hash of the customer's id, and by who stands behind the named orders."""
        brand = await session.scalar(select(Brand).where(Brand.shopify_shop_domain == shop))
        if brand is None:
            return None
        customer = body.get("customer")
        customer_id = customer.get("id") if isinstance(customer, dict) else None
        named = body.get(orders_key)
        refs = tuple(str(one) for one in named) if isinstance(named, list) else ()
        users = set(
            await session.scalars(
                select(OrderLine.user_id)
                .join(Order, (Order.brand_id == OrderLine.brand_id) & (Order.id == OrderLine.order_id))
                .where(OrderLine.brand_id == brand.id, Order.order_ref.in_(refs), OrderLine.user_id.is_not(None))
            )
        )
        if customer_id is not None:
            ref = customer_ref(brand.cache_secret, str(customer_id))
            users |= set(
                await session.scalars(
                    select(Shopper.id).where(Shopper.brand_id == brand.id, Shopper.external_ref == ref)
                )
            )
        held = await session.scalars(
            select(Order.order_ref).where(Order.brand_id == brand.id, Order.order_ref.in_(refs))
        )
        orders = tuple(sorted(held))
        if not users and not orders:
            return None
        return Subject(shop, brand.id, tuple(sorted(user for user in users if user is not None)), orders)

    async def _erase_shopper(self, session: AsyncSession, brand_id: UUID, user_id: UUID) -> list[UUID]:
        """Row by row, nothing stays but the orders to delete objects; their ids."""
        erasing = AvatarErasure(session, self.clock)
        avatar_id = await session.scalar(
            select(Avatar.id).where(Avatar.brand_id == brand_id, Avatar.user_id == user_id)
        )
        erasures = []
        if avatar_id is not None:
            whose = ShopperContext(brand_id=brand_id, user_id=user_id, origin="")
            erasures = await erasing.erase(whose, avatar_id, reason="customer_redacted")
        await EventService(session, self.clock).forget(brand_id, user_id)
        await shoppers.forget(session, brand_id, user_id, self.clock.now())
        for statement in (
            delete(TryonSession).where(TryonSession.brand_id == brand_id, TryonSession.user_id == user_id),
            delete(Consent).where(Consent.brand_id == brand_id, Consent.user_id == user_id),
            delete(EmbedCode).where(EmbedCode.brand_id == brand_id, EmbedCode.user_id == user_id),
            delete(Shopper).where(Shopper.brand_id == brand_id, Shopper.id == user_id),
        ):
            await session.execute(statement)
        return [one.id for one in erasures]

    async def _erase_orders(self, session: AsyncSession, subject: Subject) -> int:
        """Out of the book and the inbox; their events stay counted, without a word of which order it was."""
        for ref in subject.order_refs:
            keys = (f"purchase:{ref}:", f"cancel:{ref}:", f"return:{ref}:", f"checkout:{ref}:")
            await session.execute(
                update(Event)
                .where(
                    Event.brand_id == subject.brand_id,
                    or_(*(Event.dedup_key.startswith(key, autoescape=True) for key in keys)),
                )
                .values(
                    user_id=None,
                    session_id=None,
                    visitor_id=None,
                    payload={},
                    dedup_key=literal("erased:") + cast(Event.id, Text),
                    updated_at=self.clock.now(),
                )
                .execution_options(synchronize_session=False)
            )
        resources = [f"order:{ref}" for ref in subject.order_refs]
        await session.execute(
            delete(WebhookDelivery).where(
                WebhookDelivery.shop == subject.shop,
                WebhookDelivery.resource.in_(resources),
                WebhookDelivery.state != NEW,
            )
        )
        gone = await session.scalars(
            delete(Order)
            .where(Order.brand_id == subject.brand_id, Order.order_ref.in_(subject.order_refs))
            .returning(Order.id)
        )
        return len(gone.all())

    # ---- a shop -----------------------------------------------------------------------------------------------------

    async def _redact_shop(self, delivery: WebhookDelivery) -> Outcome:
        """Rows in one transaction, then every object; objects once more when no upload can be under way."""
        if delivery.receipt is not None:  # rows are gone since an earlier try
            return await self._redact_objects(delivery.receipt)
        if await self.probe.is_alive(delivery.shop):
            log.error("webhook.refused", topic=delivery.topic, shop=delivery.shop, reason="the app is installed")
            return Outcome("ignored", "app_is_installed", receipt=self._receipt("refused_app_is_installed"))
        async with self.database.transaction() as session:
            brand = await session.scalar(select(Brand).where(Brand.shopify_shop_domain == delivery.shop))
            if brand is None:
                return Outcome(receipt=self._receipt("nothing_held"))
            install = await InstallService(session, self.clock).of_brand(brand.id)
            if install is not None and install.status == NEEDS_VISIT:
                raise StillInDoubt
            rows = await self._erase_rows(session, brand.id)
            receipt = self._receipt("erased") | {"brand_id": str(brand.id), "rows": rows, "objects": 0}
            await self._forget_requests(session, delivery.shop)
            await session.execute(  # bodies, and the dead: what they ask for is done
                delete(WebhookDelivery).where(
                    WebhookDelivery.shop == delivery.shop,
                    WebhookDelivery.state != NEW,
                    WebhookDelivery.receipt.is_(None),
                )
            )
            await self._keep_receipt(session, delivery.id, receipt)
        log.warning("shop.erased", shop=delivery.shop, rows=rows)
        return await self._redact_objects(receipt)

    async def _redact_objects(self, receipt: dict[str, object]) -> Outcome:
        """Reached a second time by `again_at`, once the last upload address has run out."""
        if receipt.get("brand_id") is None:
            return Outcome(receipt=receipt)
        count = await self._erase_objects(str(receipt["brand_id"]))
        receipt = receipt | {"objects": int(str(receipt["objects"])) + count, "at": self.clock.now().isoformat()}
        if "swept_at" in receipt:
            return Outcome(receipt=receipt)
        now = self.clock.now()
        return Outcome(receipt=receipt | {"swept_at": now.isoformat()}, again_at=now + LAST_UPLOAD)

    async def _erase_rows(self, session: AsyncSession, brand_id: UUID) -> int:
        """Whatever table there is: children before parents, the brand last."""
        count = 0
        for table in reversed(Base.metadata.sorted_tables):
            if "brand_id" in table.c:
                owned = table.c.brand_id == brand_id
                count += await session.scalar(select(func.count()).select_from(table).where(owned)) or 0
                await session.execute(delete(table).where(owned))
        await session.execute(delete(Brand).where(Brand.id == brand_id))
        return count + 1

    async def _erase_objects(self, brand_id: str) -> int:
        count = 0
        for bucket in BUCKETS:
            keys = [stored.key async for stored in self.store.list(bucket, f"{brand_id}/")]
            for key in keys:
                await self.store.delete(bucket, key)
            count += len(keys)
        return count

    def _receipt(self, outcome: str) -> dict[str, object]:
        return {"outcome": outcome, "at": self.clock.now().isoformat()}


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []
