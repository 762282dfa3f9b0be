"""A shop's permanent address. All else is refused, never made to fit: a coerced host would be another tenant. Pure."""

import re

SHOP = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}\.myshopify\.com", re.ASCII)


def is_shop_domain(text: str) -> bool:
    """`name.myshopify.com` in lower case and nothing around it."""
    return SHOP.fullmatch(text) is not None
