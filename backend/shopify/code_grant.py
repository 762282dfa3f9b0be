"""The older way to an install, for a single store's own app outside the admin: a permission page, then a signed code.

The only place where ShopifyAPI's `Session` is used, on a class made for the call, so that nothing it keeps outlives it.
Its own token request is not used: it drops the expiry and the refresh token.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import jwt
from shopify import Session
from uuid_utils.compat import uuid7

from backend.core.tokens import ALGORITHM
from backend.shopify.documents import API_VERSION
from backend.shopify.scopes import NEEDED
from backend.shopify.shop_domain import is_shop_domain

AUDIENCE = "code-grant"
STATE_LIFETIME = timedelta(minutes=10)
TIMESTAMP_TOLERANCE = timedelta(minutes=10)


def permission_url(client_id: str, shop: str, redirect_to: str, state: str) -> str:
    """Where the merchant is asked; always on the shop's own admin."""
    if not is_shop_domain(shop):
        raise ValueError("This is no shop's permanent address.")
    session = _session_class(client_id, "")(shop, API_VERSION)
    address: str = session.create_permission_url(list(NEEDED), redirect_to, state)
    return address


def is_signed(client_id: str, secret: str, answer: Mapping[str, str], now: datetime) -> bool:
    """Whether Shopify itself sent the merchant back, just now."""
    timestamp = answer.get("timestamp", "")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        return False
    if abs(now.timestamp() - int(timestamp)) > TIMESTAMP_TOLERANCE.total_seconds():
        return False
    signed: bool = _session_class(client_id, secret).validate_hmac(dict(answer))
    return signed and is_shop_domain(answer.get("shop", ""))


def _session_class(client_id: str, secret: str) -> Any:
    """ShopifyAPI keeps id and secret on the class: this one is nobody else's. It is never activated."""
    return type("CodeGrantSession", (Session,), {"api_key": client_id, "secret": secret})


def new_state(signing_key: str, shop: str, now: datetime) -> str:
    """Ours, for this shop, for ten minutes."""
    claims = {"aud": AUDIENCE, "shop": shop, "exp": int((now + STATE_LIFETIME).timestamp()), "jti": str(uuid7())}
    return jwt.encode(claims, signing_key, algorithm=ALGORITHM)


def read_state(signing_key: str, state: str, now: datetime) -> tuple[str, str] | None:
    """Shop and id of a state that we made and that is not too old."""
    try:
        claims = jwt.decode(
            state, signing_key, algorithms=[ALGORITHM], audience=AUDIENCE, options={"verify_exp": False}
        )
        is_late = int(claims["exp"]) <= now.timestamp()
        return None if is_late else (str(claims["shop"]), str(claims["jti"]))
    except (jwt.PyJWTError, KeyError, ValueError, TypeError):
        return None
