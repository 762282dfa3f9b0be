"""Who may call what, for every route there is.

The routes come from the OpenAPI document, so a new one cannot be forgotten: it fails here until it names its caller
(or stands in `PUBLIC` with a reason) and until its path parameters and body are known below.
"""

import json
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx
import jwt
import msgspec
import pytest
from litestar import Litestar

from backend.core.auth import BRAND_KEY, SHOPPER_TOKEN
from backend.openapi import render_document
from tests.factories import CHART, ORIGIN, Given, GivenBrand, GivenShopper, photo
from tests.fakes import HandClock
from tests.scripted_endpoint import GLB

PUBLIC = {
    "get_health": "says only that the process answers",
    "get_readiness": "says only that database and store answer",
    "get_metrics": "open in development; in production its own token, tested with it",
    "get_embed_page": "a page without data; its key selects who may frame it",
    "get_embed_asset": "the front end's files",
    "exchange_embed_code": "the code or token in the body is the credential",
    "receive_shopify_webhook": "the signature over the body is the credential",
    "open_shopify_frame": "the query's signature is the credential",
    "answer_shopify_ping": "the query's signature is the credential; says only that the path leads here",
}
"""Operations without a guard, each with the reason why that is right."""

MERCHANT = "a session token of the shop's staff is the credential; tests of its own"
HIDDEN = {
    "/objects/{bucket:str}/{key:path}": "the token in the address is the credential; tests of its own",
    "/hooks/jobs/{attempt_id:uuid}/{token:str}": "the token in the address is the credential; a hint, never believed",
    "/admin": "the token in the address is the credential; without one an empty page",
    "/admin/api/status": MERCHANT,
    "/admin/api/storefront": "a session token of the shop's staff is the credential",
    "/admin/install": "leads to the shop's own permission page and stores nothing",
    "/admin/install/callback": "Shopify's signature and our own state are the credential",
    "/admin/api/products": MERCHANT,
    "/admin/api/products/summary": MERCHANT,
    "/admin/api/products/{product_id:int}": MERCHANT,
    "/admin/api/products/{product_id:int}/garment": MERCHANT,
    "/admin/api/products/{product_id:int}/size-option": MERCHANT,
    "/admin/api/charts": MERCHANT,
    "/admin/api/results": MERCHANT,
    "/admin/api/settings": MERCHANT,
    "/admin/api/plan": MERCHANT,
    "/admin/assets/{name:str}": "scripts and style sheets of the admin page",
    "/schema": "the public contract itself",
    "/schema/openapi.json": "the public contract itself",
    "/schema/{path:str}": "answers 404",
}
"""Routes outside the document."""


class Owner(msgspec.Struct, frozen=True):
    """A brand and one shopper of it: whose rows a request is after."""

    brand: GivenBrand
    shopper: GivenShopper


MakeId = Callable[[Given, Owner], Awaitable[str]]
MakeBody = Callable[[Given, Owner], Awaitable[dict[str, Any]]]


async def an_avatar(given: Given, owner: Owner) -> str:
    return str((await given.avatar(owner.shopper))["id"])


async def a_consent(given: Given, owner: Owner) -> str:
    return str((await given.avatar_with_photo(owner.shopper))["consent_id"])


async def a_garment(given: Given, owner: Owner) -> str:
    return str((await given.garment(owner.brand))["id"])


async def a_session(given: Given, owner: Owner) -> str:
    return str((await given.session(owner.brand, owner.shopper))["id"])


async def a_table(_: Given, __: Owner) -> dict[str, Any]:
    return {"content": "external_id,name,category,size,chest,unit\nT1,Tee,t-shirt,M,102,cm\n"}


async def an_import(given: Given, owner: Owner) -> str:
    table = (await a_table(given, owner))["content"]
    return str((await given.import_of(owner.brand, table))["id"])


IDS: dict[str, MakeId] = {
    "avatar_id": an_avatar,
    "consent_id": a_consent,
    "garment_id": a_garment,
    "import_id": an_import,
    "session_id": a_session,
}
"""For each path parameter that names a row: how to make one that belongs to an owner."""


async def a_modelled_garment(given: Given, owner: Owner) -> str:
    return str((await given.modelled_garment(owner.brand, GLB))["id"])


IDS_OF: dict[str, dict[str, MakeId]] = {"delete_garment_size": {"garment_id": a_modelled_garment}}
"""For an operation that asks more of a row."""

WORDS = {"size": "M", "picture": "photo", "name": "index.js"}
"""Path parameters that are no row."""


async def a_shopper_token_body(_: Given, __: Owner) -> dict[str, Any]:
    return {"json": {"origin": ORIGIN}}


async def an_event_body(_: Given, __: Owner) -> dict[str, Any]:
    return {"json": {"events": []}}


async def a_garment_body(_: Given, __: Owner) -> dict[str, Any]:
    return {"json": {"name": "Tee", "category": "t-shirt", "size_chart": CHART}}


async def a_garment_change(_: Given, __: Owner) -> dict[str, Any]:
    return {"json": {"name": "Shirt"}}


async def some_bands(_: Given, __: Owner) -> dict[str, Any]:
    limits = {"chest": [-2, 0, 6, 14]}
    return {"json": {"category": "t-shirt", "stretch": "knit", "measures": "garment", "limits_cm": limits}}


async def a_picture(_: Given, __: Owner) -> dict[str, Any]:
    return {"content": photo()}


async def a_model(_: Given, __: Owner) -> dict[str, Any]:
    return {"content": GLB}


async def an_avatar_form(_: Given, __: Owner) -> dict[str, Any]:
    return {"data": {"height_cm": "178"}}


async def a_photo_form(_: Given, __: Owner) -> dict[str, Any]:
    return {"data": {"consent_version": "1"}, "files": {"photo": ("me.jpg", photo(), "image/jpeg")}}


async def a_session_body(given: Given, owner: Owner) -> dict[str, Any]:
    return {"json": {"avatar_id": await an_avatar(given, owner), "garment_id": await a_garment(given, owner)}}


async def a_size(_: Given, __: Owner) -> dict[str, Any]:
    return {"json": {"selected_size": "M"}}


BODIES: dict[str, MakeBody] = {
    "create_shopper_token": a_shopper_token_body,
    "add_events": an_event_body,
    "create_garment": a_garment_body,
    "change_garment": a_garment_change,
    "put_garment_size": a_model,
    "put_garment_picture": a_picture,
    "put_fit_bands": some_bands,
    "import_garments": a_table,
    "create_avatar": an_avatar_form,
    "add_avatar_photo": a_photo_form,
    "create_tryon_session": a_session_body,
    "change_tryon_session": a_size,
}
"""For each operation with a body: arguments of the request that its rightful caller gets through with."""

BODY_ROWS = {"create_tryon_session"}
"""Operations whose body names rows of its owner: another caller must not find them there either.

An event's session is judged by itself, in the answer; `tests/backend/events` has that.
"""


class Operation(msgspec.Struct, frozen=True):
    id: str
    method: str
    path: str
    callers: frozenset[str]
    parameters: tuple[str, ...]
    has_body: bool

    @property
    def row_parameters(self) -> tuple[str, ...]:
        return tuple(name for name in self.parameters if name not in WORDS)


def operations() -> list[Operation]:
    document = json.loads(render_document())
    return [
        Operation(
            operation["operationId"],
            method.upper(),
            path,
            frozenset(name for option in operation.get("security") or [] for name in option),
            tuple(one["name"] for one in operation.get("parameters") or [] if one["in"] == "path"),
            "requestBody" in operation,
        )
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]


OPERATIONS = operations()
GUARDED = [operation for operation in OPERATIONS if operation.callers]
WITH_ROWS = [one for one in GUARDED if one.row_parameters or one.id in BODY_ROWS]


def by_id(some: list[Operation]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("operation", some, ids=lambda operation: operation.id)


class TestEveryRouteIsKnown:
    def test_each_names_its_caller_or_the_reason_why_not(self) -> None:
        open_to_all = {operation.id for operation in OPERATIONS if not operation.callers}
        assert open_to_all == set(PUBLIC)
        assert {name for one in GUARDED for name in one.callers} <= {BRAND_KEY, SHOPPER_TOKEN}

    def test_each_is_in_the_document_or_has_a_reason_not_to_be(self, app: Litestar) -> None:
        documented = {operation.path for operation in OPERATIONS}
        hidden = {route.path for route in app.routes if route.path_format not in documented}
        assert hidden == set(HIDDEN)

    @by_id(GUARDED)
    def test_its_parameters_and_body_can_be_made(self, operation: Operation) -> None:
        assert set(operation.row_parameters) <= set(IDS), "add a factory to IDS (or to WORDS if it names no row)"
        assert not operation.has_body or operation.id in BODIES, "add a body to BODIES"


class TestCredentials:
    @by_id(GUARDED)
    async def test_bad_credential_is_refused(
        self, operation: Operation, http: httpx.AsyncClient, given: Given, clock: HandClock
    ) -> None:
        owner = await make_owner(given)
        request = await make_request(operation, given, owner)
        credentials = await bad_credentials(given, owner, clock)
        if SHOPPER_TOKEN not in operation.callers:
            credentials["a shopper's token"] = given.token(owner.brand.id, owner.shopper.id)
        if BRAND_KEY not in operation.callers:
            credentials["a brand's key"] = owner.brand.key.api_key
        answers = {
            name: (await http.request(**request, headers=bearer(credential))).status_code
            for name, credential in credentials.items()
        }
        answers["none"] = (await http.request(**request)).status_code
        answers["another scheme"] = (
            await http.request(**request, headers={"Authorization": f"Basic {owner.brand.key.api_key}"})
        ).status_code
        assert answers == dict.fromkeys(answers, 401)

    @by_id(GUARDED)
    async def test_rightful_caller_is_let_in(self, operation: Operation, http: httpx.AsyncClient, given: Given) -> None:
        """Else the refusals here would prove nothing."""
        for caller in sorted(operation.callers):
            owner = await make_owner(given)
            request = await make_request(operation, given, owner, caller)
            headers = owner.brand.headers if caller == BRAND_KEY else owner.shopper.headers
            answer = await http.request(**request, headers=headers)
            assert answer.status_code < 300, (caller, answer.text)


class TestForeignRows:
    @by_id(WITH_ROWS)
    async def test_anothers_row_is_not_found_and_not_touched(
        self, operation: Operation, http: httpx.AsyncClient, given: Given
    ) -> None:
        owner, stranger = await make_owner(given), await make_owner(given)
        neighbour = await given.shopper(owner.brand)
        request = await make_request(operation, given, owner)
        callers: dict[str, dict[str, str]] = {}
        if BRAND_KEY in operation.callers:
            callers["another brand"] = stranger.brand.headers
        if SHOPPER_TOKEN in operation.callers:
            callers["a shopper of another brand"] = stranger.shopper.headers
            callers["another shopper of the brand"] = neighbour.headers
        answers = {
            name: (await http.request(**request, headers=headers)).status_code for name, headers in callers.items()
        }
        assert answers == dict.fromkeys(answers, 404)
        mine = owner.brand.headers if BRAND_KEY in operation.callers else owner.shopper.headers
        assert (await http.request(**request, headers=mine)).status_code < 300

    @by_id([one for one in WITH_ROWS if one.row_parameters])
    async def test_unknown_row_is_not_found(self, operation: Operation, http: httpx.AsyncClient, given: Given) -> None:
        owner = await make_owner(given)
        request = await make_request(operation, given, owner)
        for name in operation.row_parameters:
            wrong = request | {"url": operation.path.format(**WORDS, **{name: UUID(int=1)})}
            headers = owner.brand.headers if BRAND_KEY in operation.callers else owner.shopper.headers
            assert (await http.request(**wrong, headers=headers)).status_code == 404


async def make_owner(given: Given) -> Owner:
    brand = await given.brand()
    return Owner(brand, await given.shopper(brand))


async def make_request(operation: Operation, given: Given, owner: Owner, caller: str | None = None) -> dict[str, Any]:
    """A sound request after rows of `owner`."""
    make = IDS | IDS_OF.get(operation.id, {})
    ids = {name: await make[name](given, owner) for name in operation.row_parameters}
    body = await BODIES[operation.id](given, owner) if operation.has_body else {}
    return {"method": operation.method, "url": operation.path.format(**WORDS, **ids), **body}


async def bad_credentials(given: Given, owner: Owner, clock: HandClock) -> dict[str, str]:
    """Each was, or looks like, a credential of this very owner."""
    secret = owner.brand.key.api_key
    claims = jwt.decode(owner.shopper.token, options={"verify_signature": False})
    revoked, expired = await given.key(owner.brand), await given.key(owner.brand, days=1)
    await given.revoke(revoked)
    stale_token = given.token(owner.brand.id, owner.shopper.id)
    voided = await given.shopper(owner.brand)
    clock.advance(days=1, seconds=1)
    await given.void_tokens(voided)
    return {
        "garbage": "garbage",
        "an unknown key": "tryon_live_000000000000_" + "A" * 43,
        "a wrong secret": secret[:-1] + ("A" if secret[-1] != "A" else "B"),
        "a key cut short": secret[:-1],
        "a revoked key": revoked.api_key,
        "an expired key": expired.api_key,
        "the embed key": owner.brand.embed_key,
        "an expired token": stale_token,
        "a token void since": given.token(owner.brand.id, voided.id, age_s=60),
        "a token of nobody": given.token(owner.brand.id, UUID(int=7)),
        "a token of another brand's shopper": given.token(UUID(int=7), owner.shopper.id),
        "a token signed by another": jwt.encode(claims | {"exp": 2**33}, "x" * 40, algorithm="HS256"),
        "an unsigned token": unsigned(claims | {"exp": 2**33}),
    }


def unsigned(claims: dict[str, Any]) -> str:
    parts = (json.dumps(part).encode() for part in ({"alg": "none", "typ": "JWT"}, claims))
    return ".".join(urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + "."


def bearer(credential: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential}"}
