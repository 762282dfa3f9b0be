"""What Shopify says of a shop, asked at the first visit, nightly, and when a page of it is unknown to us."""

from backend.shopify.admin import Admin
from backend.shopify.documents import INSTALLATION
from backend.shopify.installs import ShopFacts


async def read_shop(admin: Admin, shop: str) -> ShopFacts:
    data = await admin.run(shop, INSTALLATION)
    about, installation = data["shop"], data["currentAppInstallation"]
    secure = [domain["host"].lower() for domain in about["domains"] if domain["sslEnabled"]]
    primary = about["primaryDomain"]["host"].lower()
    hosts = sorted([shop, *secure], key=lambda host: host != primary)
    return ShopFacts(
        gid=about["id"],
        name=about["name"],
        currency=about["currencyCode"],
        iana_timezone=about["ianaTimezone"],
        hosts=tuple(dict.fromkeys(hosts)),
        app_installation_gid=installation["id"],
        scopes=tuple(sorted(scope["handle"] for scope in installation["accessScopes"])),
    )
