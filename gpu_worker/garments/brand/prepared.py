"""What is kept of a brand's garment between the upload and the bodies it is put on."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Self

from gpu_worker.garments.brand.archive import pack, unpack
from gpu_worker.garments.brand.bind import Bound
from gpu_worker.garments.brand.grade import Levels, Step, graded
from gpu_worker.garments.brand.source import Source
from gpu_worker.garments.chart import Category
from gpu_worker.garments.collide import Sheet

Status = Literal["ok", "graded", "unavailable"]


@dataclass(frozen=True)
class PreparedSize:
    """What became of one size.

    source       : the size whose file it is dressed from; None when unavailable
    code, field  : of the refusal, for an unavailable size that had a file
    """

    status: Status
    source: str | None
    reason: str | None = None
    code: str | None = None
    field: str | None = None


@dataclass(frozen=True, eq=False)
class PreparedGarment:
    """A brand's garment, ready to be put on bodies.

    sizes       : in the chart's order, then sizes that only have a file
    report      : size -> what was found and put right in its file; JSON
    metres      : size -> the chart's row, completed, in metres
    preview_png : front, 35 degrees and back of the middle size on its reference body
    """

    category: Category
    sizes: Mapping[str, PreparedSize]
    report: Mapping[str, Any]
    metres: Mapping[str, Mapping[str, float]]
    levels: Mapping[str, Levels]
    sources: Mapping[str, Source]
    preview_png: bytes

    def to_npz(self) -> bytes:
        about = {
            "category": self.category,
            "sizes": list(self.sizes),
            "status": {size: vars(state) for size, state in self.sizes.items()},
            "report": dict(self.report),
            "metres": {size: dict(row) for size, row in self.metres.items()},
            "levels": {size: vars(level) for size, level in self.levels.items()},
        }
        return pack(self.sources, about, self.preview_png)

    @classmethod
    def load(cls, npz: bytes) -> Self:
        """Raises `ValueError` when these bytes are none, or of another version."""
        sources, about, preview = unpack(npz)
        return cls(
            about["category"],
            {size: PreparedSize(**about["status"][size]) for size in about["sizes"]},
            about["report"],
            about["metres"],
            {size: Levels(**level) for size, level in about["levels"].items()},
            sources,
            preview,
        )

    @cached_property
    def sheets(self) -> dict[str, Sheet]:
        return {size: Sheet.of(own.bound.faces, len(own.bound.points)) for size, own in self.sources.items()}

    def bound(self, size: str) -> Bound:
        """One size's cloth; a graded size's is its source's, made longer and wider."""
        state = self.sizes[size]
        own = self.sources[str(state.source)].bound
        if state.status != "graded":
            return own
        step = Step(self.metres[str(state.source)], self.metres[size])
        return own.with_tubes(graded(self.category, own.tubes, step, self.levels[str(state.source)]))
