"""A product as Shopify gives it → what the catalogue keeps of it. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from backend.shopify.chart_metafields import suggest_chart
from backend.shopify.order_facts import last_segment, moment
from backend.shopify.size_options import Option, find_size_option

MAX_TITLE = 300
NO_OPTION = "Default Title"
"""What Shopify calls the one variant of a product without options."""


class Variant(msgspec.Struct, frozen=True):
    id: int
    choices: dict[str, str]
    """Option name → value."""


class ProductFacts(msgspec.Struct, frozen=True):
    product_id: int
    title: str
    handle: str
    status: str
    product_type: str
    image_url: str | None
    options: tuple[Option, ...]
    variants: tuple[Variant, ...]
    chart: dict[str, object] | None
    changed_at: datetime

    def size_option(self, chosen: str | None = None) -> Option | None:
        """The merchant's choice while the product has it, else what can be recognised."""
        name = chosen if chosen in {option.name for option in self.options} else find_size_option(self.options)
        return next((option for option in self.options if option.name == name), None)

    def sizes_by_variant(self, option: Option | None) -> dict[str, str]:
        if option is None:
            return {}
        return {str(one.id): one.choices[option.name] for one in self.variants if option.name in one.choices}


def read_product(node: dict[str, Any]) -> ProductFacts:
    """From the `PRODUCT` document (variants of all pages put together), or a row of the bulk result."""
    media = node.get("featuredMedia") or {}
    image = (media.get("preview") or {}).get("image") or {}
    return ProductFacts(
        product_id=int(last_segment(node["id"])),
        title=node["title"][:MAX_TITLE],
        handle=node["handle"][:MAX_TITLE],
        status=node["status"],
        product_type=node["productType"] or "",
        image_url=image.get("url"),
        options=tuple(_options(node["options"])),
        variants=tuple(_variant(one) for one in _nodes(node.get("variants"))),
        chart=suggest_chart(_nodes(node.get("charts", node.get("metafields")))),
        changed_at=moment(node["updatedAt"]),
    )


def _options(given: Iterable[dict[str, Any]]) -> Iterable[Option]:
    for option in given:
        values = tuple(value["name"] for value in option["optionValues"])
        if values != (NO_OPTION,):
            yield Option(option["name"], values)


def _variant(node: dict[str, Any]) -> Variant:
    return Variant(int(last_segment(node["id"])), {one["name"]: one["value"] for one in node["selectedOptions"]})


def _nodes(connection: Any) -> list[dict[str, Any]]:
    if isinstance(connection, dict):
        nodes: list[dict[str, Any]] = connection.get("nodes", [])
        return nodes
    return connection or []
