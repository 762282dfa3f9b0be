"""How often each route was answered and how fast, in this process: for `/metrics`."""

from prometheus_client import CollectorRegistry, Counter, Histogram

DURATION_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class RequestCounts:
    """By path template, so that no id and no secret becomes a label; each process is a target of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("method", "path", "status")
        self._answered = Counter("tryon_http_requests", "Answers by route.", labels, registry=self.registry)
        self._seconds = Histogram(
            "tryon_http_request_seconds",
            "Time to answer.",
            ("path",),
            buckets=DURATION_BUCKETS_S,
            registry=self.registry,
        )

    def answered(self, method: str, path: str, status: int, seconds: float) -> None:
        self._answered.labels(method, path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)
