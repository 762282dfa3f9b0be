from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta


class NewShopperToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page will show the frame, and (if the brand wants to) which of its own customers looks at it."""

    origin: Annotated[str, Meta(max_length=300, examples=["https://shop.example"])]
    user_ref: Annotated[str, Meta(min_length=1, max_length=200)] | None = None


class ShopperCodeView(msgspec.Struct, frozen=True):
    """`src` is the frame's address with the one-use code in its fragment, which no server sees."""

    code: str
    expires_at: datetime
    src: str


class TokenRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Either a one-use code, or the token in hand to renew it."""

    code: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    token: Annotated[str, Meta(min_length=1, max_length=4000)] | None = None


class ShopperTokenView(msgspec.Struct, frozen=True):
    token: str
    expires_at: datetime
    user_id: UUID
    origin: str
    """The one page origin that the frame may talk to."""
