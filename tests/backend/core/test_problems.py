"""One row per kind of failure: what is asked, exact answer."""

from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar, get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, JSONBody
from sqlalchemy.exc import DataError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from backend.core import problems
from backend.core.problems import AppError, NotFound, Unauthorized, Unavailable
from backend.core.storage import StoreUnavailable

PROBLEM = "application/problem+json"


class Height(msgspec.Struct, forbid_unknown_fields=True):
    height_cm: float


class PhotoTooLarge(AppError):
    status = 413
    code = "photo_too_large"
    title = "Photo is too large"


FAILURES: dict[str, Exception] = {
    "app": PhotoTooLarge("The photo has 11 bytes.", max_bytes=10),
    "missing": NotFound("No such thing."),
    "unauthorized": Unauthorized(),
    "unavailable": Unavailable("Come again."),
    "http": NotFoundException("Thing 5 is missing."),
    "duplicate": IntegrityError("insert into secret", {"secret": 1}, Exception("secret")),
    "locked": OperationalError("update secret", {"secret": 1}, Exception("database is locked")),
    "pool": PoolTimeout("QueuePool limit reached"),
    "unstorable": DataError("insert into secret", {"secret": 1}, Exception("cannot contain NUL")),
    "store": StoreUnavailable("The store did not answer (ReadTimeout of secret)."),
    "fault": RuntimeError("secret"),
}


@get("/{name:str}")
async def fail(name: FromPath[str]) -> None:
    raise FAILURES[name]


@post("/typed", request_max_body_size=100)
async def typed(data: JSONBody[Height]) -> None: ...


@post("/untyped")
async def untyped(data: JSONBody[list[Any]]) -> None: ...


ROWS = [
    ("GET", "/app", None, 413, "photo_too_large", "Photo is too large", "The photo has 11 bytes."),
    ("GET", "/missing", None, 404, "not_found", "Not found", "No such thing."),
    ("GET", "/unauthorized", None, 401, "unauthorized", "Not authorized", None),
    ("GET", "/unavailable", None, 503, "unavailable", "Temporarily unavailable", "Come again."),
    ("GET", "/http", None, 404, "not_found", "Not Found", "Thing 5 is missing."),
    ("GET", "/no/where", None, 404, "not_found", "Not Found", "Not Found"),
    ("PUT", "/app", None, 405, "method_not_allowed", "Method Not Allowed", "Method Not Allowed"),
    ("GET", "/duplicate", None, 409, "conflict", "Conflict", None),
    ("GET", "/locked", None, 503, "service_unavailable", "Service Unavailable", "The database did not answer in time."),
    ("GET", "/pool", None, 503, "service_unavailable", "Service Unavailable", "The database did not answer in time."),
    ("GET", "/store", None, 503, "unavailable", "Temporarily unavailable", None),
    ("GET", "/fault", None, 500, "internal_server_error", "Internal Server Error", "The fault was logged."),
    ("GET", "/unstorable", None, 422, "invalid_request", "Request is not valid", None),
    ("POST", "/typed", b'{"height_cm": "x"}', 422, "invalid_request", "Request is not valid", None),
    ("POST", "/typed", b'{"height_cm": 1, "extra": 2}', 422, "invalid_request", "Request is not valid", None),
    ("POST", "/typed", b"{", 400, "bad_json", "Body is not valid JSON", None),
    ("POST", "/untyped", b"[" * 9999 + b"]" * 9999, 400, "bad_json", "Body is not valid JSON", None),
    ("POST", "/typed", b"[" * 200, 413, "body_too_large", "Request is too large", None),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body", "status", "code", "title", "detail"), ROWS)
async def test_failure_is_a_problem(
    method: str, path: str, body: Any, status: int, code: str, title: str, detail: str | None
) -> None:
    app = Litestar([fail, typed, untyped], plugins=[problems.plugin()], openapi_config=None)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://small.test") as http:
        answer = await http.request(method, path, content=body)
    problem = answer.json()
    assert answer.headers["content-type"] == PROBLEM
    assert (answer.status_code, problem["status"], problem["code"], problem["title"]) == (status, status, code, title)
    assert problem["type"] in {f"/problems/{code}", "about:blank"}
    assert detail is None or problem["detail"] == detail
    assert "secret" not in answer.text


async def test_facts_and_headers_travel_along() -> None:
    app = Litestar([fail], plugins=[problems.plugin()], openapi_config=None)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://small.test") as http:
        assert (await http.get("/app")).json()["max_bytes"] == 10
        assert (await http.get("/unavailable")).headers["retry-after"] == "2"
        assert (await http.get("/unauthorized")).headers["www-authenticate"] == "Bearer"
