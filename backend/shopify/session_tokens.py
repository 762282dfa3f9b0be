"""Who in which shop opened the admin page: App Bridge's session (ID) token. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import jwt
import msgspec

from backend.shopify.errors import SessionTokenRefused
from backend.shopify.shop_domain import is_shop_domain

ALGORITHM = "HS256"
LEEWAY = timedelta(seconds=10)
REQUIRED_CLAIMS = ["exp", "nbf", "aud", "iss", "dest", "jti"]
MAX_TOKEN_CHARS = 4_000
MAX_JTI_CHARS = 200


class SessionClaims(msgspec.Struct, frozen=True):
    shop: str
    """From `dest`, never from a parameter."""
    user_id: str | None
    """`sub`: the member of staff; absent in tokens of the storefront's extensions."""
    token_id: str
    expires_at: datetime


def verify(token: str, client_id: str, secrets: Sequence[str], now: datetime) -> SessionClaims:
    """Signature by a live secret, audience, issuer, times by our clock; `SessionTokenRefused` for all that is wrong."""
    payload = _signed_payload(token, client_id, secrets)
    try:
        expires_at = _moment(payload["exp"])
        not_before = _moment(payload["nbf"])
        destination, issuer = urlsplit(_text(payload["dest"])), urlsplit(_text(payload["iss"]))
        token_id = _text(payload["jti"])
    except (ValueError, TypeError, OverflowError, OSError) as error:
        raise SessionTokenRefused from error
    shop = destination.netloc
    is_sound = (
        payload["aud"] == client_id
        and destination.scheme == issuer.scheme == "https"
        and is_shop_domain(shop)
        and issuer.netloc == shop
        and destination.path in {"", "/"}
        and 0 < len(token_id) <= MAX_JTI_CHARS
        and not_before - LEEWAY <= now < expires_at + LEEWAY
    )
    if not is_sound:
        raise SessionTokenRefused
    user = payload.get("sub")
    return SessionClaims(shop, user if isinstance(user, str) and user else None, token_id, expires_at)


def _signed_payload(token: str, client_id: str, secrets: Sequence[str]) -> dict[str, object]:
    """Times are left to our own clock; PyJWT would ask the operating system."""
    if len(token) > MAX_TOKEN_CHARS:
        raise SessionTokenRefused
    for secret in secrets:
        try:
            payload: dict[str, object] = jwt.decode(
                token,
                secret,
                algorithms=[ALGORITHM],
                audience=client_id,
                options={
                    "require": REQUIRED_CLAIMS,
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except jwt.InvalidSignatureError:
            continue
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError) as error:
            raise SessionTokenRefused from error
        return payload
    raise SessionTokenRefused


def _moment(claim: object) -> datetime:
    if isinstance(claim, bool) or not isinstance(claim, int | float):
        raise TypeError("A time is a number of seconds.")
    return datetime.fromtimestamp(claim, UTC)


def _text(claim: object) -> str:
    if not isinstance(claim, str):
        raise TypeError("This claim is a text.")
    return claim
