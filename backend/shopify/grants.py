"""Leave to speak to one shop's Admin API, and where it comes from. Pure."""

from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec


class Grant(msgspec.Struct, frozen=True):
    """Handed to each call, never kept in a global: the shop and its token cannot come apart."""

    shop: str
    brand_id: UUID
    access_token: str
    scopes: tuple[str, ...]
    version: int
    """Counts the tokens of the install; a refused grant is renewed only if nobody has done so since."""
    expires_at: datetime

    def __repr__(self) -> str:
        """Without the token: representations end up in logs."""
        return f"Grant({self.shop}, version {self.version})"


class TokenSource(Protocol):
    """Room for another kind of token (signed client assertions) beside stored offline ones."""

    async def grant(self, shop: str) -> Grant:
        """Good for some minutes. Raises `NotInstalled`, `NeedsVisit`, `ShopifyUnavailable`."""
        ...

    async def renew(self, refused: Grant) -> Grant:
        """After a 401: the grant in use by now, else one refresh. Raises as `grant` does."""
        ...

    async def give_up(self, refused: Grant) -> None:
        """A 401 for a renewed grant too: the install waits for the merchant's next visit."""
        ...
