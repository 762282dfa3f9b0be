"""How long things may take on the local endpoint, and how large they may be. Tests pass shorter times."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """All times in seconds."""

    ping_interval_s: float = 2.0
    """Told to the worker as RUNPOD_PING_INTERVAL; the SDK needs whole seconds, at least one."""

    take_hold_s: float = 20.0
    """A job-take or job-stop is held open this long; the SDK itself gives up at 90 s."""

    stopping_slot_s: float = 15.0
    """A worker told to stop a job keeps its slot taken at most this long."""

    execution_timeout_s: float = 600.0
    """Default of `policy.executionTimeout`, from hand-over."""

    time_to_live_s: float = 86_400.0
    """Default of `policy.ttl`, from submission, also while running."""

    retention_s: float = 1_800.0
    retention_sync_s: float = 60.0
    """How long a final state can still be asked for."""

    webhook_retry_s: float = 10.0
    webhook_timeout_s: float = 10.0
    webhook_tries: int = 3

    max_deliveries: int = 3
    """A job lost this often is failed: it probably kills its worker."""

    tick_s: float = 0.25
    """Period of the check for timeouts and lost workers."""

    forget_worker_s: float = 600.0
    """An idle worker unheard of for this long is dropped from the book."""

    max_run_bytes: int = 10 * 1024 * 1024
    max_runsync_bytes: int = 20 * 1024 * 1024
    max_result_bytes: int = 20 * 1024 * 1024

    @property
    def heartbeat_timeout_s(self) -> float:
        """Silence after which a worker counts as dead: three missed pings and a little slack."""
        return 3 * self.ping_interval_s + 2.0
