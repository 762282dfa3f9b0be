"""What Shopify says of a shop, asked at the first visit, nightly, and when a page of it is unknown to us."""

from urllib.parse import urlsplit

import structlog

from backend.brands.errors import InvalidOrigin
from backend.brands.service import normal_origin
from backend.shopify.admin import Admin
from backend.shopify.documents import INSTALLATION
from backend.shopify.installs import ShopFacts

log = structlog.get_logger()


async def read_shop(admin: Admin, shop: str) -> ShopFacts:
    data = await admin.run(shop, INSTALLATION)
    about, installation = data["shop"], data["currentAppInstallation"]
    secure = [_as_browsers_say(domain["host"]) for domain in about["domains"] if domain["sslEnabled"]]
    primary = _as_browsers_say(about["primaryDomain"]["host"])
    hosts = sorted([shop, *(host for host in secure if host)], key=lambda host: host != primary)
    return ShopFacts(
        gid=about["id"],
        name=about["name"],
        currency=about["currencyCode"],
        iana_timezone=about["ianaTimezone"],
        hosts=tuple(dict.fromkeys(hosts)),
        app_installation_gid=installation["id"],
        scopes=tuple(sorted(scope["handle"] for scope in installation["accessScopes"])),
    )


def _as_browsers_say(host: str) -> str:
    """`münchen.example` → `xn--mnchen-3ya.example`; empty for what no browser could say."""
    try:
        return urlsplit(normal_origin(f"https://{host.encode('idna').decode()}")).netloc
    except (UnicodeError, InvalidOrigin):
        log.warning("install.domain_not_understood", host=host)
        return ""
