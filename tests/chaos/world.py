"""What every process of a chaos run is told: where things are, and what time it is."""

import json
import os
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from backend.core import logging
from backend.settings import Settings
from gpu_worker.local_endpoint.keys import Keys
from tests.chaos.faults import Faults

ENDPOINT_HOST = "127.0.0.2"
"""Another loopback address than the one that says "this host": dispatched to as to a platform."""


@dataclass(frozen=True)
class World:
    """One run. The service's time passes `speed` times as fast as real time, so that a grace of 20 s costs four."""

    folder: Path
    database_url: str
    service_port: int
    endpoint_ports: dict[str, int]
    """Of each endpoint, the preferred one first."""
    started_s: float
    speed: float
    storm: int
    """Hooks in a storm of them."""
    api_keys: dict[str, str] = field(default_factory=dict)

    @property
    def service_url(self) -> str:
        return f"http://127.0.0.1:{self.service_port}"

    def endpoint_url(self, name: str) -> str:
        return f"http://{ENDPOINT_HOST}:{self.endpoint_ports[name]}"

    def endpoint_keys(self, name: str) -> Keys:
        return Keys.load_or_create(self.folder / name / "endpoint")

    @property
    def faults(self) -> Faults:
        return Faults(self.folder / "faults")

    @property
    def secrets_file(self) -> Path:
        """Every token that a process saw; no log and no row may hold one."""
        return self.folder / "secrets.txt"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    def settings(self) -> Settings:
        return Settings.from_env(
            {
                "DATA_DIR": str(self.folder / "data"),
                "DATABASE_URL": self.database_url,
                "PUBLIC_BASE_URL": self.service_url,
                "TOKEN_SIGNING_KEY": "token-signing-key-of-the-chaos-0123456789",
                "STORAGE_SIGNING_KEY": "storage-signing-key-of-the-chaos-0123456789",
                "COMPUTE_PROVIDERS": json.dumps([self._provider(name) for name in self.endpoint_ports]),
                **{key_name(name): self.endpoint_keys(name).client_key for name in self.endpoint_ports},
            }
        )

    def _provider(self, name: str) -> dict[str, str]:
        address = f"{self.endpoint_url(name)}/v2"
        return {"name": name, "base_url": address, "endpoint_id": name, "key": key_name(name), "price_pool": POOL}

    def note_secrets(self, *secrets: str) -> None:
        descriptor = os.open(self.secrets_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(descriptor, "".join(f"{secret}\n" for secret in secrets).encode())
        os.close(descriptor)


POOL = "chaos"
"""What both endpoints are billed by."""


def key_name(name: str) -> str:
    return f"KEY_OF_{name}"


@dataclass(frozen=True)
class FastClock:
    """The product's clock in such a world; `skew_s` is in product time."""

    started_s: float
    speed: float
    skew_s: float = 0.0

    @classmethod
    def of(cls, world: World, skew_s: float = 0.0) -> "FastClock":
        return cls(world.started_s, world.speed, skew_s)

    def timestamp(self) -> float:
        return self.started_s + (time.time() - self.started_s) * self.speed + self.skew_s

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.timestamp(), UTC)


def write_log(world: World, name: str) -> None:
    """From here on, all that this process says goes to a file."""
    descriptor = os.open(world.logs / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    logging.configure(sys.stderr)
