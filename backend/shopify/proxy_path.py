"""Whether the shop's proxy path leads to us. Merchants can rename it and the Admin API does not say so: we look."""

import asyncio
from typing import Literal
from urllib.parse import urljoin, urlsplit

import httpx
import msgspec

PATH_PATTERN = r"(apps|a|community|tools)/[a-z0-9_-]{1,100}"
"""Shopify's prefixes, and a subpath."""
TIMEOUT_S = 5.0
"""In all, however slowly it answers."""
MAX_BYTES = 4_096
MAX_REDIRECTS = 2

Found = Literal["ours", "not_ours", "unknown"]


async def look(http: httpx.AsyncClient, storefront: str, path: str, shop: str) -> Found:
    """`storefront` is an origin that Shopify names as the shop's; no other host is asked, whatever it redirects to.

    A password page and silence mean `unknown`.
    """
    address = f"{storefront}/{path}/ping"
    try:
        async with asyncio.timeout(TIMEOUT_S):
            for _ in range(1 + MAX_REDIRECTS):
                status, location, body = await _fetch(http, address)
                if not location:
                    return _judge(status, body, shop)
                address = urljoin(address, location)
                is_password_page = urlsplit(address).path.rstrip("/").endswith("/password")
                if is_password_page or _origin(address) != _origin(storefront):
                    return "unknown"
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError):  # the last: a redirect to no address
        return "unknown"
    return "unknown"


async def _fetch(http: httpx.AsyncClient, address: str) -> tuple[int, str, bytes]:
    """Status, where it redirects to, and the first 4 kB."""
    async with http.stream("GET", address, timeout=TIMEOUT_S, follow_redirects=False) as answer:
        body = b""
        async for chunk in answer.aiter_bytes():
            body += chunk
            if len(body) >= MAX_BYTES:
                break
        return answer.status_code, answer.headers.get("location", "") if answer.is_redirect else "", body[:MAX_BYTES]


def _judge(status: int, body: bytes, shop: str) -> Found:
    if status >= 500 or status in {401, 403, 429}:
        return "unknown"
    try:
        pong = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return "not_ours"
    return "ours" if pong == {"app": "tryon", "shop": shop} else "not_ours"


def _origin(address: str) -> tuple[str, str]:
    parts = urlsplit(address)
    return parts.scheme, parts.netloc
