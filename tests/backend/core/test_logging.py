import io
import json

import httpx
import pytest
import structlog
from litestar import Litestar
from sqlalchemy.exc import IntegrityError

from backend.brands.models import Brand
from backend.core import logging
from tests.factories import ORIGIN, Given


@pytest.fixture
def lines() -> io.StringIO:
    stream = io.StringIO()
    logging.configure(stream)
    return stream


@pytest.fixture
def database_url(sqlite_database: str) -> str:
    return sqlite_database


SECRETS = {
    "key": "tryon_live_a0ec4a422247_O8GBlbEGge_DQXfbS7lPt6B_C5q8INQFxJ_AZM88kGk",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "signed": "http://x/objects/photos/b/u/a.jpg?token=abc.def",
    "database": "postgresql+psycopg://tryon:hunter2@db/tryon",
    "hook": "/hooks/jobs/0190/5e4d3c2b",
    "person": "ada@example.org",
    "shop": "shpat_0123456789abcdef0123456789abcdef",
    "merchant": "/admin?shop=a.myshopify.com&id_token=abc.def.ghi",
}


class TestRedaction:
    @pytest.mark.parametrize("name", SECRETS)
    def test_secret_inside_any_text_is_taken_out(self, lines: io.StringIO, name: str) -> None:
        secret = SECRETS[name]
        structlog.get_logger().info("job.failed", detail=f"saw {secret} there", more=[{"inner": secret}])
        hidden = {"signed": "abc.def", "merchant": "abc.def.ghi", "database": "hunter2", "hook": "5e4d3c2b"}.get(
            name, secret
        )
        assert hidden not in lines.getvalue()
        assert json.loads(lines.getvalue())["event"] == "job.failed"

    @pytest.mark.parametrize(
        "name", ["measurements", "glb_url", "photo_url", "hook_token", "email", "api_key", "facts"]
    )
    def test_fact_that_must_not_be_logged_is_not(self, lines: io.StringIO, name: str) -> None:
        structlog.get_logger().info("avatar.made", **{name: {"chest_cm": 97.25}})
        assert "97.25" not in lines.getvalue()

    def test_code_of_a_refusal_stays_and_a_one_use_code_does_not(self, lines: io.StringIO) -> None:
        structlog.get_logger().info("avatar.refused", code="photo_no_person")
        structlog.get_logger().info("code.used", code="q7J2-AAaa_19")
        assert "photo_no_person" in lines.getvalue()
        assert "q7J2" not in lines.getvalue()

    def test_traceback_carries_no_locals(self, lines: io.StringIO) -> None:
        chest = "97.25"
        try:
            raise RuntimeError(f"of {SECRETS['key']}")  # noqa: TRY301  the traceback is the point
        except RuntimeError as error:
            structlog.get_logger().error("request.faulted", exc_info=error)
        assert "RuntimeError" in lines.getvalue()
        assert chest not in lines.getvalue()
        assert SECRETS["key"] not in lines.getvalue()


class TestDatabaseFault:
    @pytest.fixture(params=["sqlite", "postgres"])
    def database_url(self, request: pytest.FixtureRequest) -> str:
        url: str = request.getfixturevalue(f"{request.param}_database")
        return url

    async def test_line_holds_no_value_of_the_row(self, lines: io.StringIO, app: Litestar) -> None:
        """Postgres quotes the whole failing row in its message."""
        try:
            async with app.state.database.transaction() as session:
                session.add(Brand(name="private" * 40))
        except IntegrityError as error:
            structlog.get_logger().warning("request.conflicted", exc_info=error)
        assert "ck_brands_name_length" in lines.getvalue()
        assert "privateprivate" not in lines.getvalue()


class TestRequestLine:
    async def test_one_line_without_query_or_credential(
        self, lines: io.StringIO, app: Litestar, http: httpx.AsyncClient, given: Given
    ) -> None:
        brand = await given.brand()
        created = await http.post("/v1/shopper-tokens?secret=1", headers=brand.headers, json={"origin": ORIGIN})
        code = created.json()["code"]
        token = (await http.post("/embed/token", json={"code": code})).json()["token"]
        await http.get("/objects/photos/b/u/a.jpg?token=abc")
        written = lines.getvalue()
        for secret in (brand.key.api_key, code, token, "secret=1", "token=abc", "a.jpg"):
            assert secret not in written
        line = json.loads(written.splitlines()[0])
        assert (line["event"], line["path"], line["status"]) == ("request.answered", "/v1/shopper-tokens", 201)
        assert created.headers["x-request-id"] == line["request_id"]
