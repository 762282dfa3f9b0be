"""Where an app reports billable use: client credentials, then events that count once within a day."""

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from backend.core.clock import Clock

IDEMPOTENCY_WINDOW = timedelta(hours=24)
MAX_KEY_CHARS = 64
MAX_AHEAD = timedelta(minutes=5)
TOKEN_LIFETIME_S = 3600
REQUIRED = ("shop_id", "event_handle", "timestamp", "idempotency_key")


class AppEvents:
    def __init__(self, clock: Clock, client_id: str, secret: Callable[[], str]) -> None:
        self.clock = clock
        self.client_id = client_id
        self.secret = secret
        self.tokens: set[str] = set()
        self.charged: list[dict[str, Any]] = []
        """Each event that a merchant would pay for, once."""
        self.received = 0
        self._seen: dict[str, tuple[datetime, dict[str, Any]]] = {}

    def token(self, request: Mapping[str, Any], user_agent: str) -> tuple[int, dict[str, Any]]:
        if not user_agent:
            return 403, {"errors": "You do not have permission to access this website"}
        is_known = (request.get("client_id"), request.get("client_secret")) == (self.client_id, self.secret())
        if not is_known or request.get("grant_type") != "client_credentials":
            return 401, {"error": "invalid_client"}
        token = secrets.token_hex(16)
        self.tokens.add(token)
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_LIFETIME_S}

    def take(self, request: Mapping[str, Any], authorization: str) -> tuple[int, dict[str, Any]]:
        """A key seen within a day answers as it did the first time and charges nothing."""
        self.received += 1
        if authorization.removeprefix("Bearer ") not in self.tokens:
            return 401, {"error": "unauthorized"}
        if any(not isinstance(request.get(name), str) for name in REQUIRED):
            return 422, {"errors": "A required field is missing."}
        now, key = self.clock.now(), request["idempotency_key"]
        if len(key) > MAX_KEY_CHARS or datetime.fromisoformat(request["timestamp"]) > now + MAX_AHEAD:
            return 422, {"errors": "The event is not acceptable."}
        seen = self._seen.get(key)
        if seen is not None and now - seen[0] < IDEMPOTENCY_WINDOW:
            return 202, seen[1]
        answer = {"id": secrets.token_hex(8), "result_status": "RESULT_STATUS_SUCCESS"}
        self._seen[key] = (now, answer)
        self.charged.append(dict(request))
        return 202, answer
