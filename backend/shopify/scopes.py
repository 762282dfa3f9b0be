"""What the app may do in a shop, and what it asks for. Pure; `ApiAccess` knows that write implies read."""

from collections.abc import Iterable

from shopify import ApiAccess

NEEDED = (
    "read_products",
    "read_orders",
    "read_returns",
    "write_app_proxy",
    "write_pixels",
    "read_customer_events",
)
"""As in shopify.app.toml; tests derive them from the documents and hold the three together."""


def missing(granted: str | Iterable[str], needed: Iterable[str] = NEEDED) -> list[str]:
    """Of the scopes needed, those that `granted` does not cover."""
    have = ApiAccess(granted if isinstance(granted, str) else list(granted))
    return [scope for scope in needed if not have.covers(ApiAccess(scope))]
