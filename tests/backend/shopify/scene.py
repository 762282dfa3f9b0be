"""A shop with the app, one garment, shoppers who try it on and buy: rows made the way the product makes them."""

from typing import Any
from uuid import UUID

import httpx
import msgspec
from litestar import Litestar
from sqlalchemy import select

from backend.brands.models import Brand
from backend.brands.service import BrandService
from backend.core.db import Base, Database
from backend.demo.fake_shopify.orders import Order
from backend.demo.fake_shopify.shop import FakeShop
from backend.demo.fake_shopify.world import FakeShopify
from backend.events.models import Event
from backend.shopify import pixel_tokens
from backend.shopify.models import ShopifyInstall
from backend.shopify.order_models import OrderLine, OrderReturn
from backend.shopify.work import ShopifyWork
from tests.factories import Given, GivenBrand, GivenShopper
from tests.fakes import HandClock

PRODUCT, OTHER_PRODUCT = 7001, 7002
CLEAR_CHART = {
    "unit": "cm",
    "measures": "garment",
    "sizes": {"S": {"chest": 76}, "M": {"chest": 102}, "L": {"chest": 132}},
}
"""So far apart that there is no doubt about a size."""


class Scene(msgspec.Struct):
    app: Litestar
    http: httpx.AsyncClient
    fake: FakeShopify
    clock: HandClock
    shop: FakeShop
    brand: GivenBrand
    garment: dict[str, Any]
    install: ShopifyInstall

    @property
    def database(self) -> Database:
        return self.app.state.database  # type: ignore[no-any-return]

    @property
    def work(self) -> ShopifyWork:
        return self.app.state.shopify_work  # type: ignore[no-any-return]

    @property
    def given(self) -> Given:
        return Given(self.app)

    async def try_on(self, shopper: GivenShopper | None = None, **changes: Any) -> dict[str, Any]:
        """A session in the garment, of a new shopper unless one is named."""
        by = shopper or await self.given.shopper(self.brand)
        avatar = await self.given.avatar(
            by, height_cm="178", weight_kg="78", sex="male", tape_chest_cm="92", tape_waist_cm="80", tape_hip_cm="96"
        )
        named = {"garment_id": self.garment["id"], "avatar_id": avatar["id"]}
        return await self.given.session(self.brand, by, **(named | changes))

    def place(self, *properties: str | None, test: bool = False, **changes: Any) -> Order:
        """An order with one line for each session named (None: without the property)."""
        lines = [
            {
                "product_id": PRODUCT,
                "variant_id": PRODUCT * 1000,
                "quantity": 1,
                "price": "29.00",
                "properties": {"_tryon_session": one} if one is not None else {},
            }
            | changes
            for one in properties
        ]
        return self.shop.desk.place(lines, self.clock.now(), self.shop.currency, test=test)

    async def tell(self, topic: str, payload: dict[str, Any]) -> None:
        """One webhook, and the work that it means."""
        answer = await self.fake.webhooks.send(self.http, self.fake.webhooks.make(topic, self.shop.domain, payload))
        assert answer.status_code == 200
        await self.work_off()

    async def hear_of(self, order: Order, topic: str = "orders/paid") -> None:
        await self.tell(topic, self.shop.desk.order_payload(order))

    async def work_off(self) -> None:
        while await self.work.inbox.run_due():
            pass

    async def pixel(self, *events: dict[str, Any], token: str | None = None) -> httpx.Response:
        """As the web pixel posts it."""
        own = pixel_tokens.issue(self.app.state.settings.token_signing_key, self.install.id)
        now = self.clock.now().isoformat()
        batch = {"token": token or own, "sent_at": now, "events": [{"occurred_at": now} | one for one in events]}
        return await self.http.post(
            "/v1/events",
            content=msgspec.json.encode(batch),
            headers={"content-type": "text/plain", "user-agent": "Mozilla/5.0 (a shopper)"},
        )

    async def rows(self, model: type[Base]) -> list[Any]:
        """Of every brand, oldest first."""
        async with self.database.transaction(read_only=True) as session:
            return list((await session.scalars(select(model).order_by(model.id))).all())  # type: ignore[attr-defined]

    async def lines(self) -> list[OrderLine]:
        return await self.rows(OrderLine)

    async def returns(self) -> list[OrderReturn]:
        return await self.rows(OrderReturn)

    async def events(self, event_type: str) -> list[Event]:
        return [one for one in await self.rows(Event) if one.event_type == event_type]


async def set_the_scene(
    app: Litestar, http: httpx.AsyncClient, fake: FakeShopify, clock: HandClock, domain: str
) -> Scene:
    """The merchant has opened the app, and made a garment of one product. Waiting for Shopify moves the clock."""

    async def wait(seconds: float) -> None:
        clock.advance(seconds=seconds)

    app.state.shopify.admin.client.sleep = wait
    app.state.shopify.bulk.sleep = wait
    shop = fake.shop(domain)
    shop.add_product("Organic Cotton Tee", product_id=PRODUCT)
    shop.add_product("Linen Skirt", product_id=OTHER_PRODUCT)
    answer = await http.get("/admin", params={"shop": domain, "id_token": fake.session_token(domain)})
    assert answer.status_code == 200
    database: Database = app.state.database
    async with database.transaction() as session:
        row = (await session.scalars(select(Brand).where(Brand.shopify_shop_domain == domain))).one()
        key = await BrandService(session, clock).create_key(row.id, "test")
        install = (await session.scalars(select(ShopifyInstall).where(ShopifyInstall.brand_id == row.id))).one()
    brand = GivenBrand(row.id, row.embed_key, key)
    garment = await Given(app).garment(
        brand, name="Organic Cotton Tee", shopify_product_id=PRODUCT, size_chart=CLEAR_CHART
    )
    return Scene(app, http, fake, clock, shop, brand, garment, install)


def session_id(session: dict[str, Any]) -> UUID:
    return UUID(session["id"])
