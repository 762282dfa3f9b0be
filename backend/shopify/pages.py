"""HTML that merchants see inside Shopify's admin, and who may frame it. Pure."""

from html import escape

from backend.shopify.addresses import Addresses
from backend.shopify.shop_domain import is_shop_domain

ADMIN = "https://admin.shopify.com"
STYLES = '<link rel="stylesheet" href="/admin/assets/admin.css">'


def headers(addresses: Addresses, shop: str) -> dict[str, str]:
    """Framed by this shop's admin and no other; a shop that is none gets a page that nobody can frame."""
    ancestors = f"https://{shop} {ADMIN}" if is_shop_domain(shop) else "'none'"
    if addresses.demo_url and is_shop_domain(shop):
        ancestors += f" {addresses.demo_url}"
    rules = {
        "default-src": "'none'",
        "script-src": f"'self' {addresses.cdn}",
        "style-src": f"'self' 'unsafe-inline' {addresses.cdn}",
        "img-src": f"'self' data: {addresses.cdn}",
        "font-src": addresses.cdn,
        "connect-src": f"'self' {addresses.demo_url}".strip(),
        "frame-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": ancestors,
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in rules.items()),
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
    }


def bounce(addresses: Addresses, client_id: str) -> str:
    """Holds nothing: App Bridge fetches a token, and the page loads itself anew with it."""
    return _document(
        addresses,
        client_id,
        "",
        scripts=("bounce.js",),
        body="<noscript>TryOn needs JavaScript inside Shopify's admin.</noscript><p id=status role=status></p>",
    )


def shell(addresses: Addresses, client_id: str, shop: str) -> str:
    """What is on it comes from `/admin/api`, with a fresh token for each request."""
    head = f'<script src="{escape(addresses.polaris)}"></script>{STYLES}'
    return _document(
        addresses,
        client_id,
        head,
        scripts=("admin.js",),
        body=f'<main id="app" data-shop="{escape(shop)}"><p role=status>Loading …</p></main>',
    )


def _document(addresses: Addresses, client_id: str, head: str, *, scripts: tuple[str, ...], body: str) -> str:
    """App Bridge must be the first script, neither deferred nor asynchronous."""
    ours = "".join(f'<script type="module" src="/admin/assets/{name}"></script>' for name in scripts)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="shopify-api-key" content="{escape(client_id)}">'
        f'<script src="{escape(addresses.app_bridge)}"></script>{head}'
        '<meta name="viewport" content="width=device-width"><title>TryOn</title>'
        f"{ours}</head><body>{body}</body></html>"
    )
