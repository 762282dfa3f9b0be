"""App Bridge's token: each rule broken alone, and hundreds of ways at once, is refused with one face."""

import base64
import itertools
import json
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest

from backend.shopify.errors import SessionTokenRefused
from backend.shopify.session_tokens import verify

CLIENT_ID = "client-id"
SECRET, OLD = "current-secret-0123456789-0123456789", "previous-secret-0123456789-0123456789"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
AT = int(NOW.timestamp())
SHOP = "shop-a.myshopify.com"
SOUND: dict[str, Any] = {
    "iss": f"https://{SHOP}/admin",
    "dest": f"https://{SHOP}",
    "aud": CLIENT_ID,
    "sub": "42",
    "exp": AT + 60,
    "nbf": AT,
    "iat": AT,
    "jti": "f8912129-1af6-4cad-9ca3-76b0f7621087",
    "sid": "aaea182f2732d44c23057c0fea584021a4485b2bd25d3eb7fd349313ad24c685",
}


def token(secret: str = SECRET, algorithm: str = "HS256", **changes: Any) -> str:
    claims = {name: value for name, value in (SOUND | changes).items() if value is not None}
    return jwt.encode(claims, secret, algorithm=algorithm)


def refused(text: str) -> bool:
    try:
        verify(text, CLIENT_ID, [SECRET, OLD], NOW)
    except SessionTokenRefused as refusal:
        return refusal.headers["X-Shopify-Retry-Invalid-Session-Request"] == "1"
    return False


class TestAccepted:
    def test_shop_and_person_are_read_from_it(self) -> None:
        claims = verify(token(), CLIENT_ID, [SECRET], NOW)
        assert (claims.shop, claims.user_id, claims.token_id) == (SHOP, "42", SOUND["jti"])

    def test_previous_secret_during_a_rotation(self) -> None:
        assert verify(token(OLD), CLIENT_ID, [SECRET, OLD], NOW).shop == SHOP

    def test_token_of_no_member_of_staff(self) -> None:
        assert verify(token(sub=None, sid=None), CLIENT_ID, [SECRET], NOW).user_id is None

    @pytest.mark.parametrize("changes", [{"exp": AT - 9}, {"nbf": AT + 10}, {"exp": AT + 60.5}])
    def test_clocks_ten_seconds_apart(self, changes: dict[str, Any]) -> None:
        assert verify(token(**changes), CLIENT_ID, [SECRET], NOW)


WRONG: dict[str, list[Any]] = {
    "iss": [None, "", "https://shop-b.myshopify.com/admin", "https://evil.example/admin", f"http://{SHOP}/admin", 7,
            f"https://{SHOP}@evil.example/admin", f"https://{SHOP}:8443/admin", "https://[::1"],
    "dest": [None, "", SHOP, f"http://{SHOP}", "https://shop-b.myshopify.com", "https://evil.example",
             f"https://{SHOP}.evil.example", f"https://evil.example/{SHOP}", f"https://user@{SHOP}", 7,
             ["https://" + SHOP],
             f"https://{SHOP.upper()}", f"https://{SHOP}/elsewhere"],
    "aud": [None, "", "another-client", [CLIENT_ID], [CLIENT_ID, "another"], CLIENT_ID.upper(), 7],
    "exp": [None, AT - 10, AT - 3600, 0, -1, "soon", 1e300, True],
    "nbf": [None, AT + 11, AT + 3600, "now", 1e300, False],
    "jti": [None, "", "x" * 300, 7],
}  # fmt: skip
"""Every rule of the table, broken by itself."""


class TestRefused:
    @pytest.mark.parametrize(("claim", "value"), [(claim, value) for claim, some in WRONG.items() for value in some])
    def test_one_rule_broken(self, claim: str, value: object) -> None:
        forged = {name: given for name, given in (SOUND | {claim: value}).items() if given is not None}
        assert refused(by_hand(forged))

    def test_two_rules_broken_together(self) -> None:
        tried = 0
        for (first, ones), (second, others) in itertools.combinations(WRONG.items(), 2):
            if {first, second} == {"iss", "dest"}:
                continue  # together they may name another shop that has the app
            for one, other in itertools.product(ones, others):
                forged = {
                    name: given for name, given in (SOUND | {first: one, second: other}).items() if given is not None
                }
                assert refused(by_hand(forged)), (first, one, second, other)
                tried += 1
        assert tried > 600

    @pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
    def test_another_algorithm_with_the_right_secret(self, algorithm: str) -> None:
        assert refused(jwt.encode(SOUND, SECRET * 2, algorithm=algorithm))

    def test_unsigned(self) -> None:
        assert refused(jwt.encode(SOUND, "", algorithm="none"))
        assert refused(by_hand(SOUND, algorithm="none"))
        assert refused(by_hand(SOUND, algorithm="None"))

    def test_every_truncation_and_every_altered_character(self) -> None:
        good = token()
        assert not refused(good)
        signature_at = good.rindex(".") + 1
        for at in range(len(good)):
            assert refused(good[:at])
            if at < len(good) - 1:  # the last character carries bits that base64 leaves unused
                assert refused(good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1 :]), at
        assert refused(good[:signature_at])
        assert refused(good + "." + good)

    @pytest.mark.parametrize("text", ["", ".", "..", "x", "a.b.c", "é.é.é", "\x00", "a" * 10_000, "Bearer x"])
    def test_no_token_at_all(self, text: str) -> None:
        assert refused(text)

    @pytest.mark.parametrize("secret", ["another secret of nearly the same length", CLIENT_ID * 4])
    def test_another_secret(self, secret: str) -> None:
        assert refused(token(secret))

    def test_claims_that_are_no_object(self) -> None:
        nonsense: list[Any] = [[], "text", 7, None]
        for claims in nonsense:
            assert refused(by_hand(claims))


def by_hand(claims: Any, algorithm: str = "HS256") -> str:
    """Signed rightly, whatever it says: PyJWT would refuse to write some of it."""
    parts = [json.dumps(part).encode() for part in ({"alg": algorithm, "typ": "JWT"}, claims)]
    text = ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
    if algorithm != "HS256":
        return text + "."
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(text.encode(), SECRET.encode())
    return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
