"""A shop's customer as one of our shoppers: by a keyed hash, which a redaction can make anew and nobody undo. Pure."""

import hashlib
import hmac

PREFIX = "shopify:"


def customer_ref(brand_secret: str, customer_id: str) -> str:
    """`users.external_ref`; another brand's hash of the same customer is another."""
    digest = hmac.new(bytes.fromhex(brand_secret), b"shopify-customer:" + customer_id.encode(), hashlib.sha256)
    return PREFIX + digest.hexdigest()
