"""What Shopify signs with the app's secret: webhook bodies and app proxy queries. Pure; every live secret is tried."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta
from urllib.parse import parse_qsl

import msgspec

from backend.shopify.errors import ProxyUnverified
from backend.shopify.shop_domain import is_shop_domain

TIMESTAMP_TOLERANCE = timedelta(seconds=90)
ONCE = {"shop", "timestamp", "signature", "path_prefix", "logged_in_customer_id"}
"""Parameters that Shopify adds: a second one would be the attacker's."""
MAX_QUERY_BYTES = 8_000
MAX_PARAMETERS = 50


class ProxyCall(msgspec.Struct, frozen=True):
    """The parameters of a request that came through the shop's app proxy, as signed."""

    shop: str
    signature: str
    customer_id: str | None
    """`logged_in_customer_id`; None for a guest."""
    parameters: dict[str, str]
    """All but the signature; repeated ones joined with commas."""


def webhook_is_signed(raw: bytes, header: str | None, secrets: Sequence[str]) -> bool:
    """Base64 HMAC-SHA256 over the raw bytes, before any parsing. The headers around them are not covered."""
    try:
        given = base64.b64decode((header or "").encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return False
    return _is_any(given, [_digest(secret, raw) for secret in secrets])


def read_proxy_call(query: bytes, secrets: Sequence[str], now: datetime) -> ProxyCall:
    """Hex HMAC-SHA256 over the decoded parameters, `key=a,b`, sorted and joined with nothing; raises `ProxyUnverified`.

    The signature covers the query only, never the body.
    """
    values = _values(query)
    if any(len(values.get(name, [])) > 1 for name in ONCE):
        raise ProxyUnverified
    signature = values.pop("signature", [""])[0]
    parameters = {name: ",".join(several) for name, several in values.items()}
    signed = "".join(sorted(f"{name}={value}" for name, value in parameters.items())).encode()
    if not _is_any(signature.encode(), [_digest(secret, signed).hex().encode() for secret in secrets]):
        raise ProxyUnverified
    timestamp, shop = parameters.get("timestamp", ""), parameters.get("shop", "")
    if not _is_recent(timestamp, now) or not is_shop_domain(shop):
        raise ProxyUnverified
    return ProxyCall(shop, signature, parameters.get("logged_in_customer_id") or None, parameters)


def _values(query: bytes) -> dict[str, list[str]]:
    if len(query) > MAX_QUERY_BYTES:
        raise ProxyUnverified
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
    except ValueError as error:
        raise ProxyUnverified from error
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values


def _is_recent(timestamp: str, now: datetime) -> bool:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        return False
    return abs(now.timestamp() - int(timestamp)) <= TIMESTAMP_TOLERANCE.total_seconds()


def _digest(secret: str, content: bytes) -> bytes:
    return hmac.new(secret.encode(), content, hashlib.sha256).digest()


def _is_any(given: bytes, expected: Sequence[bytes]) -> bool:
    """Constant time, and as long whichever of the secrets it was."""
    return any([hmac.compare_digest(given, one) for one in expected])  # noqa: C419  a generator would stop early
