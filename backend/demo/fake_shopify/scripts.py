"""What the admin page loads from Shopify's CDN, as far as the demo needs it: tokens, the picker, Polaris' elements."""

from pathlib import Path

FOLDER = Path(__file__).parent
SCRIPTS = {
    "shopifycloud/app-bridge.js": (FOLDER / "app_bridge.js").read_text(),
    "shopifycloud/polaris.js": (FOLDER / "polaris.js").read_text(),
}
