"""What Shopify signs: known vectors, and every way in which something else is not taken for it."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.shopify.errors import ProxyUnverified
from backend.shopify.shop_domain import is_shop_domain
from backend.shopify.signatures import read_proxy_call, webhook_is_signed

SECRET, OLD = "current-secret-0123456789", "previous-secret-0123456789"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SHOP = "shop-a.myshopify.com"


def signed(parameters: list[tuple[str, str]], secret: str = SECRET) -> bytes:
    """Shopify's own rule, written a second time: decoded, grouped, sorted, joined with nothing."""
    grouped: dict[str, list[str]] = {}
    for name, value in parameters:
        grouped.setdefault(name, []).append(value)
    text = "".join(sorted(f"{name}={','.join(values)}" for name, values in grouped.items()))
    digest = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    return urlencode([*parameters, ("signature", digest)]).encode()


def usual(**changes: str) -> list[tuple[str, str]]:
    base = {
        "shop": SHOP,
        "logged_in_customer_id": "",
        "path_prefix": "/apps/tryon",
        "timestamp": str(int(NOW.timestamp())),
        "product_id": "7001",
        "n": "a" * 32,
    }
    return list((base | changes).items())


class TestProxyCall:
    def test_documented_example(self) -> None:
        query = (
            "extra=1&extra=2&shop=shop-name.myshopify.com&logged_in_customer_id=1&path_prefix=%2Fapps%2Fawesome_reviews"
            "&timestamp=1317327555&signature=4c68c8624d737112c91818c11017d24d334b524cb5c2b8ba08daa056f7395ddb"
        )
        then = datetime.fromtimestamp(1317327560, UTC)
        call = read_proxy_call(query.encode(), ["hush"], then)
        assert (call.shop, call.customer_id, call.parameters["extra"]) == ("shop-name.myshopify.com", "1", "1,2")

    def test_both_live_secrets_are_good(self) -> None:
        for secret in (SECRET, OLD):
            assert read_proxy_call(signed(usual(), secret), [SECRET, OLD], NOW).shop == SHOP

    def test_guest_has_no_customer(self) -> None:
        assert read_proxy_call(signed(usual()), [SECRET], NOW).customer_id is None

    @pytest.mark.parametrize("age_s", [-90, 0, 90])
    def test_timestamp_within_ninety_seconds(self, age_s: int) -> None:
        assert read_proxy_call(signed(usual()), [SECRET], NOW + timedelta(seconds=age_s))

    @pytest.mark.parametrize("age_s", [-91, 91, 3600, -86400])
    def test_timestamp_beyond_is_refused(self, age_s: int) -> None:
        with pytest.raises(ProxyUnverified):
            read_proxy_call(signed(usual()), [SECRET], NOW + timedelta(seconds=age_s))

    @pytest.mark.parametrize(
        "query",
        [
            b"",
            b"signature=",
            b"&&&",
            b"\xff\xfe",
            b"shop=%ff&signature=aa",
            b"a=" + b"x" * 9000,
            b"&".join(b"a=%d" % number for number in range(60)),
            signed([(name, value) for name, value in usual() if name != "shop"]),
            signed([(name, value) for name, value in usual() if name != "timestamp"]),
            signed(usual(timestamp="")),
            signed(usual(timestamp="1e9")),
            signed(usual(timestamp="٣")),
            signed(usual(timestamp="9" * 300)),
            signed(usual(timestamp="-1")),
            signed(usual(shop="shop-a.myshopify.com.evil.example")),
            signed(usual(shop="evil.example/shop-a.myshopify.com")),
            signed(usual(shop="SHOP-A.myshopify.com")),
            signed(usual(shop="")),
            signed(usual(), "another secret"),
            signed(usual(), ""),
        ],
    )
    def test_malformed_is_refused(self, query: bytes) -> None:
        with pytest.raises(ProxyUnverified):
            read_proxy_call(query, [SECRET], NOW)

    @pytest.mark.parametrize("name", ["shop", "timestamp", "signature", "path_prefix", "logged_in_customer_id"])
    def test_second_of_shopifys_own_parameters_is_refused_even_if_signed(self, name: str) -> None:
        twice = signed([*usual(), (name, dict(usual()).get(name, "x"))])
        with pytest.raises(ProxyUnverified):
            read_proxy_call(twice, [SECRET], NOW)

    def test_a_thousand_altered_bytes_are_refused(self) -> None:
        """Each byte of the query, six ways: what is read from it differs, so the signature must not hold."""
        query = signed(usual())
        whole = read_proxy_call(query, [SECRET], NOW)
        tried = 0
        for position in range(len(query)):
            for replacement in (b"0", b"a", b"%", b"&", b"=", b"~"):
                altered = query[:position] + replacement + query[position + 1 :]
                if altered == query or parse_qsl(altered.decode()) == parse_qsl(query.decode()):
                    continue
                tried += 1
                with pytest.raises(ProxyUnverified):
                    assert read_proxy_call(altered, [SECRET], NOW) == whole
        assert tried > 1000

    @settings(max_examples=100, deadline=None)
    @given(st.binary(max_size=300))
    def test_nothing_unsigned_passes_or_breaks_it(self, query: bytes) -> None:
        with pytest.raises(ProxyUnverified):
            read_proxy_call(query, [SECRET], NOW)


class TestWebhook:
    BODY = '{"id": 1, "title": "Tröja"}'.encode()

    def header(self, body: bytes = BODY, secret: str = SECRET) -> str:
        return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()

    def test_signature_of_the_raw_bytes(self) -> None:
        assert webhook_is_signed(self.BODY, self.header(), [SECRET])
        assert webhook_is_signed(self.BODY, self.header(secret=OLD), [SECRET, OLD])

    @pytest.mark.parametrize("header", [None, "", "é", "====", "not base64!", "YQ=="])
    def test_header_that_is_no_signature(self, header: str | None) -> None:
        assert not webhook_is_signed(self.BODY, header, [SECRET])

    def test_altered_body_secret_or_header(self) -> None:
        good = self.header()
        cases = [
            *((self.BODY[:at] + b"~" + self.BODY[at + 1 :], good) for at in range(len(self.BODY))),
            *((self.BODY[:at], good) for at in range(len(self.BODY))),
            *((self.BODY, good[:at]) for at in range(len(good))),
            (self.BODY, self.header(secret="other")),
            (self.BODY, good.lower()),
            (b"", good),
        ]
        assert not any(webhook_is_signed(body, header, [SECRET, OLD]) for body, header in cases)


class TestShopDomain:
    @pytest.mark.parametrize(
        "text", ["a.myshopify.com", "shop-1.myshopify.com", "0.myshopify.com", "a_b.myshopify.com"]
    )
    def test_is_one(self, text: str) -> None:
        assert is_shop_domain(text)

    @pytest.mark.parametrize(
        "text",
        [
            "", "myshopify.com", ".myshopify.com", "-a.myshopify.com", "a.b.myshopify.com", "A.myshopify.com",
            "a.myshopify.com\n", " a.myshopify.com", "a.myshopify.com/", "a.myshopify.com.evil.example",
            "evil.example?a.myshopify.com", "a.myshopify.io", "https://a.myshopify.com", "ä.myshopify.com",
            "a" * 200 + ".myshopify.com",
        ],
    )  # fmt: skip
    def test_is_none(self, text: str) -> None:
        assert not is_shop_domain(text)
