"""Where work may be sent: one row of settings for each queue, in the order in which they are preferred."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import get_args
from urllib.parse import urlsplit

import msgspec

from gpu_worker.contract import Kind

KINDS: tuple[str, ...] = get_args(Kind)
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
LOCAL_OPEN_ATTEMPTS = 4
"""Handed to an endpoint on this host at a time; the rest wait in their rows, photos first. Its workers do not grow with
the queue, and every open attempt is looked at several times a second, at the cost of requests."""


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One queue of RunPod, or one endpoint of our own (`tryon-worker endpoint`)."""

    name: str
    """How logs and metrics call it."""
    base_url: str
    endpoint_id: str
    api_key: str = ""
    """Empty: the key that the endpoint on this host has written to the data folder."""
    kinds: tuple[str, ...] = KINDS
    """The kinds of work it takes."""
    price_pool: str = ""
    """The row of prices it is billed by."""
    idle_timeout_s: int = 5
    """How long a worker of it is paid for waiting after a job."""
    max_open: int = 0
    """Attempts it is given at a time; 0: no limit."""
    is_draining: bool = False
    """Still asked about what it was given, but given nothing more: for a queue that is about to be left."""

    @property
    def is_local(self) -> bool:
        """On this host, and so sharing its processors with requests."""
        return urlsplit(self.base_url).hostname in LOOPBACK


class _Row(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """As written in COMPUTE_PROVIDERS. `key` names the variable that holds the key, so that the row is no secret."""

    name: str
    base_url: str
    endpoint_id: str
    key: str = ""
    kinds: tuple[str, ...] = KINDS
    price_pool: str = ""
    idle_timeout_s: int = 5
    max_open: int | None = None
    is_draining: bool = False


def read_providers(text: str, env: Mapping[str, str]) -> tuple[tuple[ProviderSettings, ...], list[str]]:
    """The rows, and in sentences for the operator what is wrong with them."""
    try:
        rows = msgspec.json.decode(text, type=list[_Row])
    except msgspec.DecodeError as error:
        return (), [f"COMPUTE_PROVIDERS is not a JSON list of providers: {error}."]
    providers = tuple(_provider(row, env) for row in rows)
    faults = [fault for row, provider in zip(rows, providers, strict=True) for fault in _faults(row, provider)]
    return providers, faults + _faults_between(providers)


def single_provider(base_url: str, endpoint_id: str, api_key: str) -> ProviderSettings:
    """The configuration of one endpoint by RUNPOD_ENDPOINT_BASE_URL, RUNPOD_ENDPOINT_ID and RUNPOD_API_KEY."""
    host = urlsplit(base_url).hostname
    return ProviderSettings(
        name="local" if host in LOOPBACK else "runpod",
        base_url=base_url,
        endpoint_id=endpoint_id,
        api_key=api_key,
        max_open=LOCAL_OPEN_ATTEMPTS if host in LOOPBACK else 0,
    )


def _provider(row: _Row, env: Mapping[str, str]) -> ProviderSettings:
    base_url = row.base_url.rstrip("/")
    default_max = LOCAL_OPEN_ATTEMPTS if urlsplit(base_url).hostname in LOOPBACK else 0
    return ProviderSettings(
        name=row.name,
        base_url=base_url,
        endpoint_id=row.endpoint_id,
        api_key=env.get(row.key) or "",
        kinds=row.kinds,
        price_pool=row.price_pool,
        idle_timeout_s=row.idle_timeout_s,
        max_open=default_max if row.max_open is None else row.max_open,
        is_draining=row.is_draining,
    )


def _faults(row: _Row, provider: ProviderSettings) -> list[str]:
    where = f"COMPUTE_PROVIDERS, {row.name or 'a row without name'}:"
    url = urlsplit(provider.base_url)
    faults = []
    if not row.name or not row.endpoint_id:
        faults.append(f"{where} name and endpoint_id must not be empty.")
    if url.scheme not in {"http", "https"} or not url.hostname or url.query or url.username:
        faults.append(f"{where} base_url is no address such as https://api.runpod.ai/v2.")
    elif url.scheme == "http" and not _is_private(url.hostname):
        faults.append(f"{where} base_url must be https outside a private network: the key goes there.")
    if set(provider.kinds) - set(KINDS) or not provider.kinds:
        faults.append(f"{where} kinds are some of {', '.join(KINDS)}.")
    if row.key and not provider.api_key:
        faults.append(f"{where} its key is to be in {row.key}, which is not set.")
    if not row.key and not provider.is_local:
        faults.append(f"{where} key must name the variable that holds its key.")
    if provider.max_open < 0 or provider.idle_timeout_s < 0:
        faults.append(f"{where} max_open and idle_timeout_s must not be negative.")
    return faults


def _faults_between(providers: Sequence[ProviderSettings]) -> list[str]:
    faults = []
    if len({provider.name for provider in providers}) < len(providers):
        faults.append("COMPUTE_PROVIDERS: two rows have the same name.")
    if len({(provider.base_url, provider.endpoint_id) for provider in providers}) < len(providers):
        faults.append("COMPUTE_PROVIDERS: two rows are the same endpoint.")
    taken = {kind for provider in providers if not provider.is_draining for kind in provider.kinds}
    missing = [kind for kind in KINDS if kind not in taken]
    if missing:
        faults.append(f"COMPUTE_PROVIDERS: nobody takes {', '.join(missing)}.")
    return faults


def _is_private(host: str) -> bool:
    try:
        return host in LOOPBACK or ipaddress.ip_address(host).is_private
    except ValueError:
        return "." not in host
