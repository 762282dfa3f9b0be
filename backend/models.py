"""Every feature's models, imported for one metadata: migrations and tests read it."""

from backend.brands import models as brands
from backend.core.db import Base
from backend.events import models as events
from backend.shoppers import models as shoppers

__all__ = ["brands", "events", "metadata", "shoppers"]

metadata = Base.metadata
