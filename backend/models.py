"""Every feature's models, imported for one metadata: migrations and tests read it."""

from backend.brands import models as brands
from backend.core.db import Base
from backend.shoppers import models as shoppers

__all__ = ["brands", "metadata", "shoppers"]

metadata = Base.metadata
