# No `from __future__ import annotations` here: Litestar reads annotations at run time.
from litestar import Controller, post
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from backend.brands.errors import InvalidOrigin
from backend.brands.models import Brand
from backend.core.auth import BRAND_SECURITY, BrandContext, brand_only
from backend.core.problems import InvalidRequest, Unauthorized, refusals
from backend.shoppers.errors import OriginNotAllowed
from backend.shoppers.schemas import NewShopperToken, ShopperCodeView, ShopperTokenView, TokenRequest
from backend.shoppers.service import ShopperService

NO_STORE = {"Cache-Control": "no-store"}


async def provide_shoppers(db_session: NamedDependency[AsyncSession], state: State) -> ShopperService:
    return ShopperService(db_session, state.clock, state.settings.token_signing_key)


class ShopperTokenController(Controller):
    """How a shopper's frame comes to its own credential without the store page ever seeing one."""

    dependencies = {"shoppers": Provide(provide_shoppers)}  # noqa: RUF012  Litestar's own form
    tags = ["shoppers"]  # noqa: RUF012

    @post(
        "/v1/shopper-tokens",
        operation_id="create_shopper_token",
        guards=[brand_only],
        security=BRAND_SECURITY,
        response_headers=NO_STORE,
        responses=refusals(Unauthorized, OriginNotAllowed, InvalidOrigin),
    )
    async def create_shopper_token(
        self,
        shoppers: NamedDependency[ShopperService],
        brand: NamedDependency[BrandContext],
        db_session: NamedDependency[AsyncSession],
        state: State,
        data: JSONBody[NewShopperToken],
    ) -> ShopperCodeView:
        issued = await shoppers.issue_code(brand.brand_id, data.origin, data.user_ref)
        row = await db_session.get_one(Brand, brand.brand_id)
        src = f"{state.settings.public_base_url}/embed?k={row.embed_key}#c={issued.code}"
        return ShopperCodeView(issued.code, issued.expires_at, src)

    @post(
        "/embed/token",
        operation_id="exchange_embed_code",
        status_code=200,
        response_headers=NO_STORE,
        responses=refusals(Unauthorized, InvalidRequest),
    )
    async def exchange_embed_code(
        self, shoppers: NamedDependency[ShopperService], data: JSONBody[TokenRequest]
    ) -> ShopperTokenView:
        if (data.code is None) == (data.token is None):
            raise InvalidRequest("Send either code or token.")
        if data.code is not None:
            claims, issued = await shoppers.exchange(data.code)
        else:
            claims, issued = await shoppers.renew(data.token or "")
        return ShopperTokenView(issued.token, issued.expires_at, claims.user_id, claims.origin)
