"""What a worker is told by its environment. It holds no credential of the service."""

import socket
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit


class SettingsError(ValueError):
    """The environment is not complete; the text says in full what is missing."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Read once at start."""

    storage_origin: str
    """The only origin files are read from and written to, e.g. `http://127.0.0.1:8000`."""

    worker_id: str = "local"
    gpu_name: str = "cpu"

    parked_polls: int = 1
    """Open job-takes kept ready. 1 on RunPod's cloud; 3 at the local endpoint, which gives a worker one job at a time
    all the same: then the next job arrives without the SDK's pause of up to a second."""

    lifeline_fd: int | None = None
    """Read end of a pipe held by the supervisor: when it closes, the supervisor has died."""

    drain_url: str | None = None
    """Asks the local endpoint to answer this worker's open polls, so that it can leave at once."""

    endpoint_key: str = field(default="", repr=False)
    """Only for `drain_url`; jobs are fetched by the SDK, which reads the key itself."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the environment; `SettingsError` names what is wrong."""
        origin = environ.get("WORKER_STORAGE_ORIGIN", "").rstrip("/")
        if not origin:
            raise SettingsError(
                "WORKER_STORAGE_ORIGIN is not set: the one origin the worker may read from and write to."
            )
        if not is_origin(origin):
            raise SettingsError("WORKER_STORAGE_ORIGIN must be scheme://host[:port] and nothing more.")
        lifeline = environ.get("WORKER_LIFELINE_FD")
        return cls(
            storage_origin=origin,
            worker_id=environ.get("RUNPOD_POD_ID") or socket.gethostname(),
            gpu_name=_gpu_name(environ.get("RUNPOD_WEBHOOK_GET_JOB", "")),
            parked_polls=int(environ.get("WORKER_PARKED_POLLS", "1")),
            lifeline_fd=int(lifeline) if lifeline else None,
            drain_url=environ.get("WORKER_DRAIN_URL"),
            endpoint_key=environ.get("RUNPOD_AI_API_KEY", ""),
        )


def one_thread_per_matrix(environ: MutableMapping[str, str]) -> None:
    """Before numpy is imported: the solver's matrices are tiny, and threads waiting for each other cost more.

    Measured on two busy cores: 0.5 s for an avatar instead of 1.4 s.
    """
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        environ.setdefault(name, "1")


def is_origin(text: str) -> bool:
    """Whether a text is an http origin: no path, query, fragment or credentials."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    has_more = parts.path or parts.query or parts.fragment or parts.username is not None
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and not has_more


def _gpu_name(take_url: str) -> str:
    """RunPod writes the GPU's name into the address jobs are taken from."""
    return parse_qs(urlsplit(take_url).query).get("gpu", ["cpu"])[0]
