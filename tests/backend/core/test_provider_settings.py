"""Where work may be sent, as an operator writes it down; and the one endpoint of the embedded default."""

import json
from typing import Any

import pytest

from backend.provider_settings import KINDS, LOCAL_OPEN_ATTEMPTS, ProviderSettings
from backend.settings import Settings, SettingsError

ENV = {
    "TRYON_ENV": "production",
    "DATABASE_URL": "postgresql+psycopg://tryon@db/tryon",
    "PUBLIC_BASE_URL": "https://api.tryon.example",
    "TOKEN_SIGNING_KEY": "t" * 40,
    "STORAGE_SIGNING_KEY": "s" * 40,
    "GPU_KEY": "key-of-the-gpus",
    "CPU_KEY": "key-of-the-cpus",
}
GPU: dict[str, Any] = {
    "name": "gpu",
    "base_url": "https://api.runpod.ai/v2",
    "endpoint_id": "abc123",
    "key": "GPU_KEY",
    "kinds": ["avatar", "noop"],
    "price_pool": "AMPERE_24",
}
CPU = GPU | {"name": "cpu", "endpoint_id": "def456", "key": "CPU_KEY", "kinds": ["garment", "dress"]}
OWN: dict[str, Any] = {"name": "own", "base_url": "http://127.0.0.1:8100/v2/", "endpoint_id": "local"}


def read(*rows: dict[str, Any]) -> tuple[ProviderSettings, ...]:
    return Settings.from_env(ENV | {"COMPUTE_PROVIDERS": json.dumps(rows)}).compute_providers


def test_rows_in_their_order() -> None:
    gpu, cpu, own = read(GPU, CPU, OWN)
    assert gpu == ProviderSettings(
        name="gpu",
        base_url="https://api.runpod.ai/v2",
        endpoint_id="abc123",
        api_key="key-of-the-gpus",
        kinds=("avatar", "noop"),
        price_pool="AMPERE_24",
    )
    assert (cpu.api_key, cpu.kinds) == ("key-of-the-cpus", ("garment", "dress"))
    assert (own.base_url, own.api_key, own.kinds) == ("http://127.0.0.1:8100/v2", "", KINDS)
    assert (own.is_local, own.max_open) == (True, LOCAL_OPEN_ATTEMPTS)
    assert (gpu.is_local, gpu.max_open) == (False, 0)


def test_without_rows_the_one_endpoint() -> None:
    one = Settings.from_env(
        ENV
        | {
            "RUNPOD_ENDPOINT_BASE_URL": "https://api.runpod.ai/v2/",
            "RUNPOD_ENDPOINT_ID": "abc123",
            "RUNPOD_API_KEY": "k" * 8,
        }
    ).compute_providers
    assert one == (
        ProviderSettings(name="runpod", base_url="https://api.runpod.ai/v2", endpoint_id="abc123", api_key="k" * 8),
    )


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("{", "not a JSON list"),
        ([GPU | {"kids": []}], "kids"),
        ([GPU | {"key": "NO_SUCH"}, CPU], "NO_SUCH"),
        ([GPU | {"key": ""}, CPU], "key must name"),
        ([GPU | {"base_url": "http://api.runpod.ai/v2"}, CPU], "must be https"),
        ([GPU | {"base_url": "api.runpod.ai"}, CPU], "base_url"),
        ([GPU | {"kinds": ["avatars", "noop"]}, CPU], "kinds are some of"),
        ([GPU | {"endpoint_id": ""}, CPU], "must not be empty"),
        ([GPU | {"max_open": -1}, CPU], "max_open"),
        ([GPU], "nobody takes garment, dress"),
        ([GPU, CPU | {"is_draining": True}], "nobody takes garment, dress"),
        ([GPU, CPU | {"name": "gpu"}], "same name"),
        ([GPU, CPU | {"endpoint_id": "abc123"}], "same endpoint"),
    ],
)
def test_what_is_wrong_is_said_before_anything_starts(rows: Any, told: str) -> None:
    text = rows if isinstance(rows, str) else json.dumps(rows)
    with pytest.raises(SettingsError, match=told) as refusal:
        Settings.from_env(ENV | {"COMPUTE_PROVIDERS": text})
    assert "key-of-the" not in str(refusal.value)


@pytest.mark.parametrize("host", ["10.0.0.5", "192.168.1.7", "gpu-box"])
def test_an_own_endpoint_in_a_private_network_may_be_plain(host: str) -> None:
    own = read(GPU, CPU, OWN | {"base_url": f"http://{host}:8100/v2", "key": "CPU_KEY", "max_open": 12})[2]
    assert (own.is_local, own.max_open) == (False, 12)
