"""Shopify's token endpoint: a session token becomes an expiring offline token, and that the next one."""

import asyncio
from datetime import datetime, timedelta
from http import HTTPStatus

import httpx
import msgspec

from backend.core.clock import Clock
from backend.shopify.addresses import Addresses
from backend.shopify.errors import ShopifyUnavailable, TokenRefused

TIMEOUT_S = 10
TOTAL_TIMEOUT_S = 25.0
"""However slowly it answers: a refresh must be over before its lease is."""
GRANT_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105  the name of a kind
OFFLINE_TOKEN = "urn:shopify:params:oauth:token-type:offline-access-token"  # noqa: S105
REFUSED = {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


class _Answer(msgspec.Struct, frozen=True):
    access_token: str
    scope: str
    expires_in: int
    refresh_token: str
    refresh_token_expires_in: int


class NewTokens(msgspec.Struct, frozen=True):
    access_token: str
    refresh_token: str
    scopes: str
    access_expires_at: datetime
    refresh_expires_at: datetime

    def __repr__(self) -> str:
        """Without the tokens."""
        return f"NewTokens(until {self.access_expires_at})"


class TokenEndpoint:
    def __init__(
        self, http: httpx.AsyncClient, addresses: Addresses, clock: Clock, client_id: str, client_secret: str
    ) -> None:
        self.http = http
        self.addresses = addresses
        self.clock = clock
        self._client = {"client_id": client_id, "client_secret": client_secret}

    async def exchange(self, shop: str, session_token: str) -> NewTokens:
        """For a verified session token of this very shop. Raises `TokenRefused`, `ShopifyUnavailable`."""
        return await self._ask(
            shop,
            {
                "grant_type": GRANT_EXCHANGE,
                "subject_token": session_token,
                "subject_token_type": ID_TOKEN,
                "requested_token_type": OFFLINE_TOKEN,
                "expiring": "1",
            },
        )

    async def redeem(self, shop: str, code: str) -> NewTokens:
        """For the code of a permission page. Raises `TokenRefused`, `ShopifyUnavailable`."""
        return await self._ask(shop, {"code": code, "expiring": "1"})

    async def refresh(self, shop: str, refresh_token: str) -> NewTokens:
        """Spends the refresh token. Raises `TokenRefused`, `ShopifyUnavailable`."""
        return await self._ask(shop, {"grant_type": "refresh_token", "refresh_token": refresh_token})

    async def _ask(self, shop: str, request: dict[str, str]) -> NewTokens:
        asked_at = self.clock.now()
        try:
            async with asyncio.timeout(TOTAL_TIMEOUT_S):
                answer = await self.http.post(
                    self.addresses.token(shop), json=self._client | request, timeout=TIMEOUT_S, follow_redirects=False
                )
        except (httpx.TransportError, TimeoutError) as error:
            raise ShopifyUnavailable(f"{shop} did not answer when asked for a token.") from error
        if answer.status_code in REFUSED:
            raise TokenRefused(f"{shop} gives no token for this.")
        if answer.status_code != HTTPStatus.OK:
            raise ShopifyUnavailable(f"{shop} answered {answer.status_code} when asked for a token.")
        try:
            given = msgspec.json.decode(answer.content, type=_Answer)
        except msgspec.MsgspecError as error:
            raise ShopifyUnavailable(f"{shop} gave no expiring token.") from error
        return NewTokens(
            given.access_token,
            given.refresh_token,
            given.scope,
            asked_at + timedelta(seconds=given.expires_in),
            asked_at + timedelta(seconds=given.refresh_token_expires_in),
        )
