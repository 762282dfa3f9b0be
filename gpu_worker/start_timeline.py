"""When each part of a start began and ended, since the process began; parts overlap."""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Span:
    """Milliseconds since the process began."""

    name: str
    start_ms: float
    end_ms: float


class StartTimeline:
    """Filled from several threads."""

    def __init__(self) -> None:
        self._process_start_s = psutil.Process().create_time()
        self._lock = threading.Lock()
        self._spans: list[Span] = []

    @contextlib.contextmanager
    def span(self, name: str) -> Iterator[None]:
        """Time what runs inside, also when it fails."""
        start_ms = self._now_ms()
        try:
            yield
        finally:
            with self._lock:
                self._spans.append(Span(name, start_ms, self._now_ms()))

    @property
    def spans(self) -> tuple[Span, ...]:
        """In the order in which they began."""
        with self._lock:
            return tuple(sorted(self._spans, key=lambda span: span.start_ms))

    def __str__(self) -> str:
        """One line for the log: `import torch 120-1410 ms, read weights 130-820 ms, ...`."""
        return ", ".join(f"{span.name} {span.start_ms:.0f}-{span.end_ms:.0f} ms" for span in self.spans)

    def _now_ms(self) -> float:
        return (time.time() - self._process_start_s) * 1000
