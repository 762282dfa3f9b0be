"""Every feature's models, imported for one metadata: migrations and tests read it."""

from backend.avatars import models as avatars
from backend.brands import models as brands
from backend.core.db import Base
from backend.events import models as events
from backend.garments import models as garments
from backend.jobs import models as jobs
from backend.shopify import inbox_models as shopify_inbox
from backend.shopify import models as shopify
from backend.shopify import order_models as shopify_orders
from backend.shoppers import models as shoppers
from backend.tryons import models as tryons

__all__ = [
    "avatars",
    "brands",
    "events",
    "garments",
    "jobs",
    "metadata",
    "shopify",
    "shopify_inbox",
    "shopify_orders",
    "shoppers",
    "tryons",
]

metadata = Base.metadata
