"""Every feature's models, imported for one metadata: migrations and tests read it."""

from backend.avatars import models as avatars
from backend.brands import models as brands
from backend.core.db import Base
from backend.events import models as events
from backend.garments import models as garments
from backend.jobs import models as jobs
from backend.operations import models as operations
from backend.shopify import inbox_models as shopify_inbox
from backend.shopify import models as shopify
from backend.shopify import order_models as shopify_orders
from backend.shopify import work_models as shopify_work
from backend.shoppers import models as shoppers
from backend.tryons import models as tryons

__all__ = [
    "avatars",
    "brands",
    "events",
    "garments",
    "jobs",
    "metadata",
    "operations",
    "shopify",
    "shopify_inbox",
    "shopify_orders",
    "shopify_work",
    "shoppers",
    "tryons",
]

metadata = Base.metadata
