"""`python -m backend.demo.fake_shopify --port 8403 --target http://127.0.0.1:8401`: the stand-in on loopback.

The app's id and secret come from SHOPIFY_CLIENT_ID and SHOPIFY_CLIENT_SECRET, as the backend's do.
"""

import argparse
import os
import sys
import time

import uvicorn

from backend.core.clock import SystemClock
from backend.demo.fake_shopify.schema import AdminSchema, SchemaMissing
from backend.demo.fake_shopify.server import make_server
from backend.demo.fake_shopify.world import FakeShopify
from backend.shopify.documents import API_VERSION


def main() -> None:
    parser = argparse.ArgumentParser(description="A stand-in for Shopify on this machine.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--target", default="", help="the app's address, where webhooks go")
    parser.add_argument("--shop", action="append", default=[], help="a shop that is there from the start")
    arguments = parser.parse_args()
    base_url = f"http://127.0.0.1:{arguments.port}"
    client_id, secret = os.environ.get("SHOPIFY_CLIENT_ID", ""), os.environ.get("SHOPIFY_CLIENT_SECRET", "")
    if not (client_id and secret):
        sys.exit("SHOPIFY_CLIENT_ID and SHOPIFY_CLIENT_SECRET are not set.")
    try:
        schema = AdminSchema(API_VERSION)
        fake = FakeShopify(schema, SystemClock(), client_id, secret, base_url)
        schema.check("{ shop { id } }")
    except SchemaMissing as reason:
        sys.exit(str(reason))
    fake.first_id = int(time.time()) * 1000
    for domain in arguments.shop:
        fake.shop(domain)
    uvicorn.run(make_server(fake, arguments.target), host="127.0.0.1", port=arguments.port, log_level="warning")


if __name__ == "__main__":
    main()
