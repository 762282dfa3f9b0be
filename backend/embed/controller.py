# No `from __future__ import annotations` here: Litestar reads annotations at run time.
"""The page inside the shop's frame, which only that brand's own pages may show."""

import re
from typing import Annotated, Any

from litestar import Controller, Request, Response, get
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from backend.brands.errors import BrandNotFound
from backend.brands.service import BrandService
from backend.core.problems import NotFound, refusals
from backend.embed.files import FrontEnd, FrontEndMissing
from backend.embed.policy import EMBED_HEADERS, content_security_policy

HTML = "text/html"
ASSET_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")
IMMUTABLE = "public, max-age=31536000, immutable"

UNKNOWN_KEY = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>TryOn</title><p>No shop has this address. Open TryOn from"
    " the shop's own page; if this is your shop, check the embed key."
)
NOT_BUILT = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>TryOn</title><p>The front end is not built yet: run"
    " <code>make install</code>."
)


class AssetNotFound(NotFound):
    code = "asset_not_found"
    title = "Asset not found"


class EmbedController(Controller):
    path = "/embed"
    tags = ["embed"]  # noqa: RUF012  Litestar's own form

    @get(operation_id="get_embed_page", media_type=HTML)
    async def get_embed_page(
        self,
        state: State,
        db_session: NamedDependency[AsyncSession],
        k: Annotated[str, QueryParameter(description="The brand's publishable embed key.")] = "",
    ) -> Response[str]:
        """`k` only selects who may frame the page; it opens nothing."""
        try:
            brand = await BrandService(db_session, state.clock).by_embed_key(k)
        except BrandNotFound:
            return _page(UNKNOWN_KEY, 404, [], state)
        try:
            page = await state.front_end.page()
        except FrontEndMissing:
            return _page(NOT_BUILT, 503, brand.allowed_origins, state)
        return _page(page, 200, brand.allowed_origins, state)

    @get("/assets/{name:str}", operation_id="get_embed_asset", responses=refusals(NotFound))
    async def get_embed_asset(
        self, request: Request[Any, Any, State], state: State, name: FromPath[str]
    ) -> Response[bytes]:
        """Files with a hash in their name: never changed, kept for a year."""
        front_end: FrontEnd = state.front_end
        asset = await front_end.asset(name) if ASSET_NAME.fullmatch(name) else None
        if asset is None:
            raise AssetNotFound("There is no such file.")
        headers = {"Cache-Control": IMMUTABLE, "Vary": "Accept-Encoding"}
        if asset.gzipped is not None and "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
            return Response(asset.gzipped, media_type=asset.media_type, headers=headers)
        return Response(asset.body, media_type=asset.media_type, headers=headers)


def _page(html: str, status: int, origins: list[str], state: State) -> Response[str]:
    policy = content_security_policy(origins, state.settings.storage_origin)
    headers = EMBED_HEADERS | {"Content-Security-Policy": policy}
    return Response(html, status_code=status, media_type=HTML, headers=headers)
