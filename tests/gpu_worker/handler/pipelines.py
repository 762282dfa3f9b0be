"""Small pipelines that keep the promise of the real one."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from gpu_worker.contract import MEASUREMENTS, AvatarParams, AvatarResult, Quantity, Stage

ROW = [0.0] * len(MEASUREMENTS)
RESULT = AvatarResult(
    measurements={name: Quantity(mean=100.0, sd=2.5) for name in MEASUREMENTS},
    covariance=[ROW for _ in MEASUREMENTS],
    evidence=["height", "photo"],
    estimator="tiny",
)


@dataclass
class Outcome:
    result: AvatarResult = RESULT
    glb: bytes = b"glTF" + b"x" * 100
    body_npz: bytes = b"PK\x03\x04" + b"y" * 50
    timings_ms: dict[str, float] = field(default_factory=lambda: {"solve": 12.345})


class TinyPipeline:
    """Notes what it was given, passes through all stages, may take its time in one, may fail in the last."""

    def __init__(self, failure: Exception | None = None, measuring_s: float = 0.0) -> None:
        self.failure = failure
        self.measuring_s = measuring_s
        self.given: list[tuple[AvatarParams, bytes | None, bytes | None]] = []
        self.stages: list[Stage] = []
        self.threads: set[str] = set()
        self.is_measuring = threading.Event()
        self.running = self.most_at_once = 0

    def run_avatar(
        self, params: AvatarParams, photo: bytes | None, photo_side: bytes | None, on_stage: Callable[[Stage], None], /
    ) -> Outcome:
        self.given.append((params, photo, photo_side))
        self.threads.add(threading.current_thread().name)
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        try:
            for stage in Stage:
                on_stage(stage)
                self.stages.append(stage)
                if stage is Stage.MEASURING:
                    self.is_measuring.set()
                    time.sleep(self.measuring_s)
            if self.failure is not None:
                raise self.failure
            return Outcome()
        finally:
            self.running -= 1
