"""The app's own metafields on a shop, which Liquid reads: never written over what someone else just wrote."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from backend.shopify.admin import Admin
from backend.shopify.documents import APP_METAFIELDS, SET_METAFIELDS
from backend.shopify.errors import ShopifyUnavailable, UserErrors

NAMESPACE = "tryon"
TRIES = 5
STALE = "STALE_OBJECT"

Change = Callable[[Any], Any]
"""From the present value (None when there is none) to the one to be; the same value: nothing is written."""


class AppData:
    def __init__(self, admin: Admin) -> None:
        self.admin = admin

    async def read(self, shop: str, key: str) -> Any:
        """The decoded value, or None."""
        _, present = await self._present(shop, [key])
        return present[key][0] if key in present else None

    async def set(self, shop: str, values: Mapping[str, bool | dict[str, Any]]) -> None:
        """Booleans and JSON objects by key. What stands there already is not written again."""
        await self.change(shop, {key: _always(value) for key, value in values.items()})

    async def change(self, shop: str, changes: Mapping[str, Change]) -> None:
        """Read, change, write with the digest of what was read; anew when somebody wrote in between."""
        for _ in range(TRIES):
            owner, present = await self._present(shop, list(changes))
            metafields = []
            for key, change in changes.items():
                old, digest = present.get(key, (None, None))
                new = change(old)
                if new != old:
                    metafields.append(_input(owner, key, new, digest))
            if not metafields:
                return
            try:
                await self.admin.run(shop, SET_METAFIELDS, {"metafields": metafields})
            except UserErrors as refused:
                if STALE not in refused.codes:
                    raise
            else:
                return
        raise ShopifyUnavailable(f"The app's metafields of {shop} change too quickly.")

    async def _present(self, shop: str, keys: list[str]) -> tuple[str, dict[str, tuple[Any, str]]]:
        data = await self.admin.run(shop, APP_METAFIELDS, {"keys": [f"{NAMESPACE}.{key}" for key in keys]})
        installation = data["currentAppInstallation"]
        found = {
            node["key"]: (json.loads(node["value"]), node["compareDigest"])
            for node in installation["metafields"]["nodes"]
            if node["namespace"] == NAMESPACE
        }
        return installation["id"], found


def _always(value: bool | dict[str, Any]) -> Change:
    return lambda _: value


def _input(owner: str, key: str, value: Any, digest: str | None) -> dict[str, Any]:
    """`compareDigest` null says: only if there is none yet."""
    return {
        "ownerId": owner,
        "namespace": NAMESPACE,
        "key": key,
        "type": "boolean" if isinstance(value, bool) else "json",
        "value": json.dumps(value, separators=(",", ":"), sort_keys=True),
        "compareDigest": digest,
    }
