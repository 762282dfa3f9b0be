"""What compute costs by the second, what the scaler thought and did, and what it is told of photos to come."""

from datetime import date, datetime
from typing import Literal, get_args

from sqlalchemy import CheckConstraint, Date, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from backend.core.columns import Json
from backend.core.db import Row, one_of

ScalingDeed = Literal["recommended", "sent", "failed"]


PHOTO_SCREEN = "photo"
"""The one row there is of it."""


class GpuPrice(Row):
    """One price from one day on. Prices are never constants of the program: they change, and the ledger remembers."""

    __tablename__ = "gpu_prices"
    __table_args__ = (
        CheckConstraint("microusd_per_s > 0", name="microusd_per_s"),
        Index("ix_gpu_prices_pool", "pool", "valid_from"),
    )

    pool: Mapped[str]
    """`price_pool` of a provider's settings: RunPod's name of a group of cards, or a name of our own."""
    gpu_name: Mapped[str | None]
    """The card that the worker has named; NULL: every other card of the pool."""
    microusd_per_s: Mapped[int]
    valid_from: Mapped[datetime]
    source: Mapped[str]
    verified_on: Mapped[date] = mapped_column(Date)


class ScalingEntry(Row):
    """A recommendation or a change that was sent, with its reasons."""

    __tablename__ = "scaling_log"
    __table_args__ = (one_of("deed", get_args(ScalingDeed)), Index("ix_scaling_log_provider", "provider", "created_at"))

    provider: Mapped[str]
    deed: Mapped[str]
    reasons: Mapped[list[str]] = mapped_column(Json())
    before: Mapped[dict[str, int]] = mapped_column(Json())
    after: Mapped[dict[str, int]] = mapped_column(Json())


class PhotoScreen(Row):
    """When a shopper last opened the screen on which a photo is taken; of which brand or whom is not kept."""

    __tablename__ = "photo_screens"
    __table_args__ = (UniqueConstraint("screen"),)

    screen: Mapped[str]
    opened_at: Mapped[datetime]
