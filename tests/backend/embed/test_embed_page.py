"""The frame's page: only the brand's own pages may show it, and it loads nothing from elsewhere."""

import gzip
from pathlib import Path

import httpx
import msgspec
import pytest

from backend.settings import Settings
from tests.conftest import BASE_URL
from tests.factories import Given

PAGE = '<!doctype html><script type="module" src="/embed/assets/main-1a2b.js"></script>'
SCRIPT = "export const answer = 42;\n" * 100


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    """With a built front end."""
    assets = tmp_path / "dist" / "assets"
    assets.mkdir(parents=True)
    (tmp_path / "dist" / "index.html").write_text(PAGE)
    (assets / "main-1a2b.js").write_text(SCRIPT)
    (assets / "decoder-3c4d.wasm").write_bytes(b"\0asm")
    (tmp_path / "dist" / "secret.txt").write_text("not an asset")
    return msgspec.structs.replace(settings, embed_dist_dir=tmp_path / "dist")


def policy(answer: httpx.Response) -> dict[str, str]:
    rules = (rule.partition(" ") for rule in answer.headers["content-security-policy"].split("; "))
    return {name: value for name, _, value in rules}


class TestPage:
    async def test_only_the_brands_pages_may_frame_it(self, http: httpx.AsyncClient, given: Given) -> None:
        brand = await given.brand(origins=("https://shop.example", "https://www.shop.example"))
        await given.brand("Another", origins=("https://other.example",))
        answer = await http.get("/embed", params={"k": brand.embed_key})
        assert (answer.status_code, answer.text) == (200, PAGE)
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert policy(answer)["frame-ancestors"] == "https://shop.example https://www.shop.example"
        assert "x-frame-options" not in answer.headers

    async def test_it_loads_from_its_own_origin_and_the_store_alone(
        self, http: httpx.AsyncClient, given: Given
    ) -> None:
        brand = await given.brand()
        answer = await http.get("/embed", params={"k": brand.embed_key})
        rules = policy(answer)
        assert rules["default-src"] == "'none'"
        assert rules["script-src"] == "'self' 'wasm-unsafe-eval'"
        assert rules["style-src"] == "'self'"
        assert rules["connect-src"].split()[-1] == BASE_URL
        assert "unsafe-inline" not in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "camera=(self)" in answer.headers["permissions-policy"]

    @pytest.mark.parametrize("key", ["", "pk_unknown", "pk_' OR 1=1", "x" * 5000])
    async def test_unknown_key_gets_a_page_that_nobody_can_frame(self, http: httpx.AsyncClient, key: str) -> None:
        answer = await http.get("/embed", params={"k": key})
        assert answer.status_code == 404
        assert answer.headers["content-type"].startswith("text/html")
        assert policy(answer)["frame-ancestors"] == "'none'"

    async def test_brand_without_a_page_cannot_be_framed(self, http: httpx.AsyncClient, given: Given) -> None:
        brand = await given.brand(origins=())
        assert policy(await http.get("/embed", params={"k": brand.embed_key}))["frame-ancestors"] == "'none'"

    async def test_front_end_not_built_is_said(self, http: httpx.AsyncClient, given: Given, settings: Settings) -> None:
        brand = await given.brand()
        (settings.embed_dist_dir / "index.html").unlink()
        answer = await http.get("/embed", params={"k": brand.embed_key})
        assert answer.status_code == 503
        assert "make install" in answer.text


class TestAssets:
    async def test_file_is_kept_for_a_year(self, http: httpx.AsyncClient) -> None:
        answer = await http.get("/embed/assets/main-1a2b.js", headers={"Accept-Encoding": "identity"})
        assert (answer.status_code, answer.text) == (200, SCRIPT)
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-type"].startswith("text/javascript")

    async def test_text_is_compressed_for_who_takes_it(self, http: httpx.AsyncClient) -> None:
        request = http.build_request("GET", "/embed/assets/main-1a2b.js", headers={"Accept-Encoding": "gzip"})
        answer = await http.send(request, stream=True)
        raw = b"".join([chunk async for chunk in answer.aiter_raw()])
        assert answer.headers["content-encoding"] == "gzip"
        assert gzip.decompress(raw).decode() == SCRIPT

    async def test_webassembly_has_its_type(self, http: httpx.AsyncClient) -> None:
        answer = await http.get("/embed/assets/decoder-3c4d.wasm")
        assert (answer.content, answer.headers["content-type"]) == (b"\0asm", "application/wasm")

    @pytest.mark.parametrize("name", ["missing.js", "..%2Fsecret.txt", "..", ".env", "%2e%2e%2fsecret.txt", "a%00b"])
    async def test_nothing_else_is_served(self, http: httpx.AsyncClient, name: str) -> None:
        answer = await http.get(f"/embed/assets/{name}")
        assert answer.status_code == 404
        assert "not an asset" not in answer.text
