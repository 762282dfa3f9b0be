"""The stand-in for Shopify: its shops, what it signs, and the hosts that it answers for. No network of its own."""

import hashlib
import hmac
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import jwt

from backend.core.clock import Clock
from backend.demo.fake_shopify.app_events import AppEvents
from backend.demo.fake_shopify.graphql_api import AdminApi
from backend.demo.fake_shopify.schema import AdminSchema
from backend.demo.fake_shopify.shop import FakeShop
from backend.demo.fake_shopify.webhooks import Webhooks

SESSION_LIFETIME = timedelta(minutes=1)
DEFAULT_BASE_URL = "https://bulk.shopify.test"


class FakeShopify:
    """`base_url`: where files of bulk operations are fetched from."""

    def __init__(
        self, schema: AdminSchema, clock: Clock, client_id: str, client_secret: str, base_url: str = DEFAULT_BASE_URL
    ) -> None:
        self.clock = clock
        self.client_id = client_id
        self.client_secret = client_secret
        """Signs everything; the token endpoint accepts it alone."""
        self.first_id = 0
        """Below every id there is: a stand-in that was started anew gives no number out again."""
        self.api = AdminApi(schema, base_url)
        self.shops: dict[str, FakeShop] = {}
        self.webhooks = Webhooks(clock, lambda: self.client_secret)
        self.app_events = AppEvents(clock, client_id, lambda: self.client_secret)

    def shop(self, domain: str = "shop-a.myshopify.com") -> FakeShop:
        """The shop of that name, new or known."""
        if domain not in self.shops:
            self.shops[domain] = FakeShop(domain, self.clock, len(self.shops) + 1, self.first_id)
        return self.shops[domain]

    def session_token(self, shop: str, *, secret: str | None = None, **changes: Any) -> str:
        """As App Bridge would give it now; `changes` of its claims, where None takes one away."""
        now = int(self.clock.now().timestamp())
        claims = {
            "iss": f"https://{shop}/admin",
            "dest": f"https://{shop}",
            "aud": self.client_id,
            "sub": "42",
            "exp": now + int(SESSION_LIFETIME.total_seconds()),
            "nbf": now,
            "iat": now,
            "jti": str(uuid.uuid4()),
            "sid": uuid.uuid4().hex,
        } | changes
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(kept, secret or self.client_secret, algorithm="HS256")

    def proxy_query(
        self,
        shop: str,
        parameters: Mapping[str, str],
        *,
        customer_id: str = "",
        secret: str = "",
        path_prefix: str = "/apps/tryon",
    ) -> str:
        """The query under which Shopify forwards a request of the storefront to the app."""
        signed = {
            **parameters,
            "shop": shop,
            "logged_in_customer_id": customer_id,
            "path_prefix": path_prefix,
            "timestamp": str(int(self.clock.now().timestamp())),
        }
        text = "".join(sorted(f"{name}={value}" for name, value in signed.items()))
        key = (secret or self.client_secret).encode()
        return urlencode(signed | {"signature": hmac.new(key, text.encode(), hashlib.sha256).hexdigest()})

    def token(self, shop: FakeShop, request: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """The token endpoint: status and body."""
        if (request.get("client_id"), request.get("client_secret")) != (self.client_id, self.client_secret):
            return 401, {"error": "invalid_client"}
        if not shop.is_installed:
            return 400, {"error": "application_cannot_be_found"}
        match request.get("grant_type"):
            case "urn:ietf:params:oauth:grant-type:token-exchange":
                refusal = self._exchange_fault(shop, request)
                if refusal:
                    return 400, refusal
                made = shop.issue()
            case "refresh_token":
                turned = shop.turn_over(str(request.get("refresh_token")))
                if turned is None:
                    return 400, {"error": "invalid_grant", "error_description": "This refresh token was used."}
                made = turned
            case None if request.get("code") in shop.codes and request.get("expiring") == "1":
                shop.codes.remove(str(request["code"]))
                made = shop.issue()
            case _:
                return 400, {"error": "unsupported_grant_type"}
        now = self.clock.now()
        return 200, {
            "access_token": made.access,
            "scope": shop.granted,
            "expires_in": int((made.access_until - now).total_seconds()),
            "refresh_token": made.refresh,
            "refresh_token_expires_in": int((made.refresh_until - now).total_seconds()),
        }

    def _exchange_fault(self, shop: FakeShop, request: Mapping[str, Any]) -> dict[str, Any] | None:
        try:
            claims = jwt.decode(
                str(request.get("subject_token")),
                self.client_secret,
                algorithms=["HS256"],
                audience=self.client_id,
                options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
        except jwt.PyJWTError:
            return {"error": "invalid_subject_token"}
        if claims["dest"] != f"https://{shop.domain}" or claims["exp"] <= self.clock.now().timestamp():
            return {"error": "invalid_subject_token"}
        if request.get("subject_token_type") != "urn:ietf:params:oauth:token-type:id_token":
            return {"error": "invalid_request"}
        if not str(request.get("requested_token_type")).endswith(":offline-access-token"):
            return {"error": "invalid_request"}
        if request.get("expiring") != "1":
            return {"error": "invalid_request", "error_description": "Public apps must ask for expiring tokens."}
        return None
