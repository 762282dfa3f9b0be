"""Shopify's GraphQL Admin API: one document to one shop, with the grant handed in. Nothing here is global."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import httpx
import structlog

from backend.shopify.addresses import Addresses
from backend.shopify.documents import Document
from backend.shopify.errors import (
    DocumentRefused,
    NotInstalled,
    ScopeMissing,
    ShopifyUnavailable,
    TokenRefused,
    UserErrors,
)
from backend.shopify.grants import Grant, TokenSource

log = structlog.get_logger()

TIMEOUT_S = 15
MAX_TRIES = 4
MAX_WAIT_S = 30
"""Longer is not slept through: the work comes back later instead."""
MIN_THROTTLE_WAIT_S = 0.1
MAX_ANSWER_BYTES = 20_000_000
REPEATABLE = {
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
SHOP_FROZEN = {HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.LOCKED}
"""Its merchant has not paid, or Shopify has locked it: it may come back, with the app in it."""
PASSING = {"INTERNAL_SERVER_ERROR", "TIMEOUT"}
"""Codes of errors in an answer with status 200 that another try may not meet."""

Json = dict[str, Any]
Sleep = Callable[[float], Awaitable[None]]


class AdminClient:
    """Speaks to any shop; knows none."""

    def __init__(self, http: httpx.AsyncClient, addresses: Addresses, sleep: Sleep = asyncio.sleep) -> None:
        self.http = http
        self.addresses = addresses
        self.sleep = sleep

    async def run(self, grant: Grant, document: Document, variables: Mapping[str, object] | None = None) -> Json:
        """The answer's `data`. Raises `TokenRefused`, `ScopeMissing`, `UserErrors`, `DocumentRefused`, `NotInstalled`,
        `ShopifyUnavailable`; waits out throttling and passing faults, at most four tries in all.
        """
        wait_s = 0.0
        for attempt in range(MAX_TRIES):
            if wait_s:
                await self.sleep(wait_s)
            answer = await self._send(grant, document, variables)
            if answer is None:
                wait_s = 2.0**attempt
                continue
            if answer.status_code in REPEATABLE:
                wait_s = _retry_after_s(answer) or 2.0**attempt
            else:
                body = _body(answer, grant, document)
                is_fault = any(_code(error) in PASSING for error in _errors(body)) and document.is_repeatable
                wait_s = 2.0**attempt if is_fault else _throttled_s(body)
                if not wait_s:
                    return _data(body, document)
            if wait_s > MAX_WAIT_S:
                break
            if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR and not document.is_repeatable:
                break
        log.warning("shopify.gave_up", shop=grant.shop, document=document.name)
        raise ShopifyUnavailable(f"{document.name} was not answered by {grant.shop} in {MAX_TRIES} tries.")

    async def _send(
        self, grant: Grant, document: Document, variables: Mapping[str, object] | None
    ) -> httpx.Response | None:
        """None when no answer came and the document may be sent again."""
        try:
            return await self.http.post(
                self.addresses.graphql(grant.shop),
                json={"query": document.text, "variables": dict(variables or {})},
                headers={"X-Shopify-Access-Token": grant.access_token},
                timeout=TIMEOUT_S,
                follow_redirects=False,
            )
        except httpx.TransportError as error:
            if not document.is_repeatable:
                raise ShopifyUnavailable(f"{document.name}: no answer, and it may not be sent twice.") from error
            log.warning("shopify.unreachable", shop=grant.shop, document=document.name, error=type(error).__name__)
            return None


class Admin:
    """`AdminClient` with the tokens behind it: a stale one is renewed once, a dead one leads to the next visit."""

    def __init__(self, tokens: TokenSource, client: AdminClient) -> None:
        self.tokens = tokens
        self.client = client

    async def run(self, shop: str, document: Document, variables: Mapping[str, object] | None = None) -> Json:
        """As `AdminClient.run`; also raises `NotInstalled` and `NeedsVisit`."""
        grant = await self.tokens.grant(shop)
        try:
            return await self.client.run(grant, document, variables)
        except TokenRefused:
            grant = await self.tokens.renew(grant)
        try:
            return await self.client.run(grant, document, variables)
        except TokenRefused:
            await self.tokens.give_up(grant)
            raise


def _body(answer: httpx.Response, grant: Grant, document: Document) -> Json:
    if answer.status_code == HTTPStatus.UNAUTHORIZED:
        raise TokenRefused(f"{grant.shop} does not accept the token.")
    if answer.status_code == HTTPStatus.FORBIDDEN:
        raise ScopeMissing(f"{grant.shop} forbids {document.name}.")
    if answer.status_code == HTTPStatus.NOT_FOUND:
        raise NotInstalled(f"{grant.shop} is not there any more.")
    if answer.status_code in SHOP_FROZEN:
        raise ShopifyUnavailable(f"{grant.shop} is frozen or locked.")
    if answer.status_code != HTTPStatus.OK or len(answer.content) > MAX_ANSWER_BYTES:
        raise DocumentRefused(f"{document.name} was answered with {answer.status_code}.")
    try:
        body = answer.json()
    except ValueError as error:
        raise DocumentRefused(f"{document.name} was not answered in JSON.") from error
    if not isinstance(body, dict):
        raise DocumentRefused(f"{document.name} was not answered with an object.")
    return body


def _errors(body: Json) -> list[Json]:
    """Shopify says `errors` as a list; as a bare string only with statuses that were dealt with before."""
    errors = body.get("errors") or []
    return errors if isinstance(errors, list) else [{"message": str(errors)}]


def _code(error: Json) -> str:
    return str((error.get("extensions") or {}).get("code") or "")


def _throttled_s(body: Json) -> float:
    """How long until the bucket holds what was asked for; 0 when it was not throttled."""
    if not any(_code(error) == "THROTTLED" for error in _errors(body)):
        return 0.0
    cost = (body.get("extensions") or {}).get("cost") or {}
    status = cost.get("throttleStatus") or {}
    missing = float(cost.get("requestedQueryCost") or 0) - float(status.get("currentlyAvailable") or 0)
    return max(MIN_THROTTLE_WAIT_S, missing / float(status.get("restoreRate") or 50.0))


def _data(body: Json, document: Document) -> Json:
    errors = _errors(body)
    if any(_code(error) == "ACCESS_DENIED" for error in errors):
        raise ScopeMissing(next(str(error.get("message")) for error in errors if _code(error) == "ACCESS_DENIED"))
    if errors:
        raise DocumentRefused(f"{document.name}: {'; '.join(str(error.get('message')) for error in errors)[:500]}")
    data = body.get("data")
    if not isinstance(data, dict):
        raise DocumentRefused(f"{document.name} was answered without data.")
    for name, payload in data.items():
        if isinstance(payload, dict) and payload.get("userErrors"):
            raise UserErrors(name, payload["userErrors"])
    return data


def _retry_after_s(answer: httpx.Response) -> float:
    try:
        return max(0.0, float(answer.headers.get("retry-after", "")))
    except ValueError:
        return 0.0
