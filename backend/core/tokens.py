"""Shopper tokens: short-lived HS256 JWTs, bound to one brand and one shopper."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import jwt
import msgspec
from uuid_utils.compat import uuid7

from backend.core.problems import Unauthorized

ALGORITHM = "HS256"
ISSUER = "tryon"
AUDIENCE = "embed"
KEY_ID = "1"
LIFETIME = timedelta(minutes=15)
LEEWAY = timedelta(seconds=5)
REQUIRED_CLAIMS = ["iss", "aud", "sub", "brand", "origin", "iat", "exp", "auth_time", "jti"]


class ShopperClaims(msgspec.Struct, frozen=True):
    brand_id: UUID
    user_id: UUID
    origin: str
    auth_time: datetime
    """When the one-use code was exchanged; a renewal keeps it."""
    install_id: UUID | None = None
    """Of the shop's installation, where the code came through an app proxy."""
    product_id: int | None = None
    """The shop's product on whose page the frame was opened."""


class IssuedToken(msgspec.Struct, frozen=True):
    token: str
    expires_at: datetime


def issue(signing_key: str, claims: ShopperClaims, now: datetime) -> IssuedToken:
    expires_at = now + LIFETIME
    exp = int(expires_at.timestamp())
    payload: dict[str, object] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": str(claims.user_id),
        "brand": str(claims.brand_id),
        "origin": claims.origin,
        "iat": int(now.timestamp()),
        "exp": exp,
        "auth_time": claims.auth_time.timestamp(),
        "jti": str(uuid7()),
    }
    if claims.install_id is not None:
        payload["install"] = str(claims.install_id)
    if claims.product_id is not None:
        payload["product"] = claims.product_id
    token = jwt.encode(payload, signing_key, algorithm=ALGORITHM, headers={"kid": KEY_ID})
    return IssuedToken(token, datetime.fromtimestamp(exp, UTC))


def verify(signing_key: str, token: str, now: datetime) -> ShopperClaims:
    """Signature, algorithm, audience, issuer and every claim; `Unauthorized` for all that is wrong.

    Expiry is judged by our clock, not PyJWT's.
    """
    try:
        payload = jwt.decode(
            token,
            signing_key,
            algorithms=[ALGORITHM],
            audience=AUDIENCE,
            issuer=ISSUER,
            options={"require": REQUIRED_CLAIMS, "verify_exp": False, "verify_iat": False, "verify_nbf": False},
        )
        claims = ShopperClaims(
            brand_id=UUID(payload["brand"]),
            user_id=UUID(payload["sub"]),
            origin=str(payload["origin"]),
            auth_time=datetime.fromtimestamp(float(payload["auth_time"]), UTC),
            install_id=UUID(payload["install"]) if "install" in payload else None,
            product_id=int(payload["product"]) if "product" in payload else None,
        )
        expires_at = datetime.fromtimestamp(int(payload["exp"]), UTC)
        issued_at = datetime.fromtimestamp(int(payload["iat"]), UTC)
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, AttributeError) as error:
        raise Unauthorized from error
    if expires_at <= now or issued_at > now + LEEWAY:
        raise Unauthorized
    return claims
