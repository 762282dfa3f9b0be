# No `from __future__ import annotations` here: Litestar reads annotations at run time.
"""The way in for a single store's own app outside the admin; all others are installed by Shopify itself."""

from typing import Annotated, Any

from litestar import Controller, Request, get
from litestar.datastructures import State
from litestar.params import QueryParameter
from litestar.response import Redirect

from backend.core.problems import InvalidRequest
from backend.shopify.errors import (
    NotInstalled,
    SessionTokenRefused,
    ShopifyBusy,
    ShopifyOff,
    ShopifyUnavailable,
    TokenRefused,
)
from backend.shopify.shop import Shopify
from backend.shopify.shop_domain import is_shop_domain


class InstallController(Controller):
    path = "/admin/install"
    include_in_schema = False

    @get(status_code=302)
    async def ask_permission(
        self, state: State, shop: Annotated[str, QueryParameter(description="Its permanent address.")] = ""
    ) -> Redirect:
        """To the shop's own admin and nowhere else."""
        shopify = _shopify(state)
        if not is_shop_domain(shop):
            raise InvalidRequest("`shop` must be a shop's permanent address, such as name.myshopify.com.")
        return Redirect(shopify.visits.ask_permission(shop), status_code=302)

    @get("/callback", status_code=302)
    async def take_permission(self, request: Request[Any, Any, State], state: State) -> Redirect:
        """Signed by Shopify, asked for by us, once; then to the app in the shop's admin."""
        shopify = _shopify(state)
        answer = dict(request.query_params.items())
        if len(answer) != len(list(request.query_params.multi_items())):
            raise SessionTokenRefused
        try:
            install = await shopify.visits.take_code(answer)
            await shopify.setup.run(install.shop)
        except (TokenRefused, NotInstalled) as error:
            raise SessionTokenRefused from error
        except ShopifyUnavailable as error:
            raise ShopifyBusy("Shopify does not answer now; try again in a minute.") from error
        return Redirect(f"https://{install.shop}/admin/apps/{shopify.settings.shopify_client_id}", status_code=302)


def _shopify(state: State) -> Shopify:
    if state.shopify is None:
        raise ShopifyOff
    shopify: Shopify = state.shopify
    return shopify
