"""A shop's own pages as far as the app's server ever asks for them: where the app proxy stands, and where not."""

import httpx

from backend.demo.fake_shopify.shop import FakeShop
from backend.demo.fake_shopify.world import FakeShopify


class Storefronts:
    """`app` reaches the app behind the proxies; without it nobody answers there."""

    def __init__(self, fake: FakeShopify) -> None:
        self.fake = fake
        self.app: httpx.AsyncClient | None = None

    def at(self, host: str) -> FakeShop | None:
        return next((shop for shop in self.fake.shops.values() if host in shop.hosts), None)

    async def answer(self, shop: FakeShop, request: httpx.Request) -> httpx.Response:
        """Old addresses lead to the primary one; a password stands before everything."""
        primary = next(iter(shop.hosts))
        if request.url.host != primary:
            return httpx.Response(301, headers={"Location": str(request.url.copy_with(host=primary))})
        if shop.has_password:
            return httpx.Response(302, headers={"Location": "/password"})
        below = request.url.path.removeprefix(f"/{shop.proxy_path}/")
        if below == request.url.path or self.app is None:
            return httpx.Response(404, html="<!doctype html><title>404 Not Found</title>")
        query = self.fake.proxy_query(shop.domain, dict(request.url.params), path_prefix=f"/{shop.proxy_path}")
        answer = await self.app.request(request.method, f"/proxy/{below}?{query}")
        return httpx.Response(answer.status_code, content=answer.content)
