"""Where a shop's own part of Shopify is reached. Pure."""

from backend.shopify.documents import API_VERSION
from backend.shopify.shop_domain import is_shop_domain


class Addresses:
    """`demo_url` is the stand-in on this machine, which serves every shop under its own path."""

    def __init__(self, demo_url: str = "") -> None:
        self.demo_url = demo_url

    def shop(self, shop: str) -> str:
        """A last check before anything is sent: no other host is ever addressed."""
        if not is_shop_domain(shop):
            raise ValueError("This is no shop's permanent address.")
        return f"{self.demo_url}/{shop}" if self.demo_url else f"https://{shop}"

    def token(self, shop: str) -> str:
        return f"{self.shop(shop)}/admin/oauth/access_token"

    def graphql(self, shop: str) -> str:
        return f"{self.shop(shop)}/admin/api/{API_VERSION}/graphql.json"

    @property
    def app_bridge(self) -> str:
        """Shopify's script of the admin page."""
        return f"{self.cdn}/shopifycloud/app-bridge.js"

    @property
    def polaris(self) -> str:
        return f"{self.cdn}/shopifycloud/polaris.js"

    @property
    def cdn(self) -> str:
        return self.demo_url or "https://cdn.shopify.com"

    @property
    def app_events(self) -> str:
        """Of billing, which is no shop's own."""
        return self.demo_url or "https://api.shopify.com"
