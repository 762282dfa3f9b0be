"""The demo's brand and its three garments; made once, through the same doors that a brand uses."""

import json
import os
from pathlib import Path
from typing import Any

import httpx
import msgspec

from backend.brands.bootstrap import create_brand, set_origins, set_shop
from backend.settings import Settings

BRAND_NAME = "Nordlys Supply"
BRAND_FILE = "demo-brand.json"


class DemoBrand(msgspec.Struct, frozen=True):
    """What the sample storefront needs; kept in the data folder, readable by its owner alone."""

    brand_id: str
    api_key: str
    embed_key: str


# Colours: of each product's first variant, the middle of the two in the sample shop's product_picture.liquid.
GARMENTS: tuple[dict[str, Any], ...] = (
    {
        "name": "Organic Cotton Tee",
        "category": "t-shirt",
        "fabric": {"stretch": "knit"},
        "look": {"colour": "#e2dcce", "fabric": "jersey"},
        "shopify_product_id": 7001,
        "size_chart": {
            "unit": "cm",
            "measures": "garment",
            "sizes": {
                "XS": {"chest": 90, "hip": 92, "length": 66},
                "S": {"chest": 96, "hip": 98, "length": 68},
                "M": {"chest": 102, "hip": 104, "length": 70},
                "L": {"chest": 108, "hip": 110, "length": 72},
                "XL": {"chest": 116, "hip": 118, "length": 74},
            },
        },
    },
    {
        "name": "Linen Summer Dress",
        "category": "dress",
        "fabric": {"stretch": "woven"},
        "look": {"colour": "#d0bc98", "fabric": "poplin"},
        "shopify_product_id": 7002,
        "size_chart": {
            "unit": "cm",
            "measures": "garment",
            "sizes": {
                "34": {"chest": 86, "waist": 72, "hip": 96, "length": 96},
                "36": {"chest": 90, "waist": 76, "hip": 100, "length": 97},
                "38": {"chest": 94, "waist": 80, "hip": 104, "length": 98},
                "40": {"chest": 98, "waist": 84, "hip": 108, "length": 99},
                "42": {"chest": 103, "waist": 89, "hip": 113, "length": 100},
                "44": {"chest": 108, "waist": 94, "hip": 118, "length": 101},
                "46": {"chest": 114, "waist": 100, "hip": 124, "length": 102},
                "48": {"chest": 120, "waist": 107, "hip": 130, "length": 103},
            },
        },
    },
    {
        "name": "Everyday Chino",
        "category": "trousers",
        "fabric": {"stretch": "woven"},
        "look": {"colour": "#a98360", "fabric": "twill"},
        "shopify_product_id": 7003,
        "size_chart": {
            "unit": "cm",
            "measures": "garment",
            "sizes": {
                "28": {"waist": 76, "hip": 95, "thigh": 57, "inseam": 80},
                "30": {"waist": 81, "hip": 100, "thigh": 59.5, "inseam": 81},
                "32": {"waist": 86, "hip": 105, "thigh": 62, "inseam": 82},
                "34": {"waist": 91, "hip": 110, "thigh": 64.5, "inseam": 82},
                "36": {"waist": 96, "hip": 115, "thigh": 67, "inseam": 83},
                "38": {"waist": 101, "hip": 119, "thigh": 69.5, "inseam": 83},
                "40": {"waist": 107, "hip": 123, "thigh": 72, "inseam": 83},
            },
        },
    },
)


async def ensure_brand(settings: Settings, data_dir: Path, storefront_origin: str, shop: str) -> DemoBrand:
    """The brand of an earlier start, else a new one, which is the shop's; its frame may stand on this storefront."""
    file = data_dir / BRAND_FILE
    if file.exists():
        brand = msgspec.json.decode(file.read_bytes(), type=DemoBrand)
    else:
        created = await create_brand(settings, BRAND_NAME, origins=[storefront_origin])
        brand = DemoBrand(created.brand_id, created.api_key, created.embed_key)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(msgspec.json.encode(brand))
    await set_origins(settings, brand.brand_id, [storefront_origin])
    await set_shop(settings, brand.brand_id, shop)
    return brand


async def ensure_garments(http: httpx.AsyncClient, api_key: str) -> int:
    """Create what is missing, by the public API, and mend looks of earlier starts; how many garments there are."""
    headers = {"Authorization": f"Bearer {api_key}"}
    listed = (await http.get("/v1/garments", headers=headers)).raise_for_status().json()
    known = {garment["name"]: garment for garment in listed["items"]}
    for garment in GARMENTS:
        there = known.get(garment["name"])
        if there is None:
            answer = await http.post("/v1/garments", headers=headers, content=json.dumps(garment))
            answer.raise_for_status()
        elif there["look"] != there["look"] | garment["look"]:
            changes = json.dumps({"look": there["look"] | garment["look"]})
            answer = await http.patch(f"/v1/garments/{there['id']}", headers=headers, content=changes)
            answer.raise_for_status()
    return len(GARMENTS)
