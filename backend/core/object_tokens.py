"""Tokens in the addresses of stored objects: who holds one may do one thing with one object for a while."""

import base64
import hashlib
import hmac
from datetime import datetime

import msgspec

KEY_ID = "1"
VERSION = 1
MAX_TOKEN_LENGTH = 2_000
DOMAIN = b"tryon-object-v1\n"


class TokenRefused(Exception):
    """One refusal for all that can be wrong with a token."""


class ObjectGrant(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a token allows. Short names: it stands in an address."""

    v: int
    kid: str
    m: str
    """GET (also HEAD) or PUT"""
    b: str
    k: str
    exp: int
    """seconds since 1970"""
    o: bool = False
    """may overwrite"""
    n: int = 0
    """most bytes"""
    t: str = ""
    """exact content type"""
    d: str = ""
    """name offered for a download"""


class ObjectSigner:
    """Signs and checks with one key; a second may be live while keys are rotated."""

    def __init__(self, signing_key: str, previous_key: str | None = None) -> None:
        self._keys = [key.encode() for key in (signing_key, previous_key) if key]

    def sign(self, grant: ObjectGrant) -> str:
        payload = _encode(msgspec.json.encode(grant))
        return f"{payload}.{_encode(_mac(self._keys[0], payload))}"

    def check(self, token: str, *, method: str, bucket: str, key: str, now: datetime) -> ObjectGrant:
        """Length, form, MAC, version, expiry, method, path: in this order, all refused alike."""
        if len(token) > MAX_TOKEN_LENGTH:
            raise TokenRefused
        payload, dot, signature = token.partition(".")
        if not dot or "." in signature or not token.isascii():
            raise TokenRefused
        if not any(hmac.compare_digest(signature, _encode(_mac(key_bytes, payload))) for key_bytes in self._keys):
            raise TokenRefused
        try:
            grant = msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=ObjectGrant)
        except (ValueError, msgspec.DecodeError) as error:
            raise TokenRefused from error
        allowed = {"GET": ("GET", "HEAD"), "PUT": ("PUT",)}.get(grant.m, ())
        is_current = grant.v == VERSION and grant.exp > now.timestamp()
        if not is_current or method not in allowed or (grant.b, grant.k) != (bucket, key):
            raise TokenRefused
        return grant


def _mac(key: bytes, payload: str) -> bytes:
    return hmac.digest(key, DOMAIN + payload.encode(), hashlib.sha256)


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
