"""What the service needs from its environment, read once into one frozen record."""

import json
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from warnings import warn

import msgspec

from backend.provider_settings import ProviderSettings, read_providers, single_provider

MIN_KEY_BYTES = 32
PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
SUPABASE_ORIGIN = re.compile(r"https://[\w.-]+(:\d+)?|http://(127\.0\.0\.1|localhost)(:\d+)?", re.ASCII)
LOOPBACK_ORIGIN = re.compile(r"http://(127\.0\.0\.1|localhost)(:\d+)?", re.ASCII)

Environment = Literal["development", "production"]


class DevelopmentModeWarning(UserWarning):
    """A stand-in is in use that production would refuse."""


class SettingsError(Exception):
    """What is missing or wrong, all of it at once, in sentences for the operator."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """One field for each variable of `.env.example`, in its order."""

    environment: Environment
    """`development` makes its own secrets; `production` refuses to start without them."""
    data_dir: Path
    """Folder of the embedded default: database, objects, secrets."""
    database_url: str
    """`sqlite+aiosqlite:///…` or `postgresql+psycopg://…`."""
    database_pooler: Literal["", "transaction"]
    """`transaction` when a pooler shares connections between transactions (no prepared statements)."""
    public_base_url: str
    """The origin under which browsers and workers reach this service."""
    token_signing_key: str
    """Signs shopper tokens."""
    storage_signing_key: str
    """Signs addresses of stored objects."""
    supabase_url: str
    """The project that keeps the objects; empty: a folder in the data folder does."""
    supabase_secret_key: str
    """The project's secret (or service role) key; it leaves this service only towards the project."""
    runpod_endpoint_base_url: str
    """Where jobs are sent: the local endpoint, or RunPod."""
    runpod_endpoint_id: str
    runpod_api_key: str
    """Empty: the local endpoint's own client key in the data folder is used."""
    compute_providers: tuple[ProviderSettings, ...]
    """Where jobs are sent, the preferred first; the three above are one row, and unused where more are given."""
    runpod_management_key: str
    """Changes the limits of workers; empty: nobody does."""
    shopify_client_id: str
    """Of the Shopify app; empty: the Shopify routes are off and say so."""
    shopify_client_secret: str
    shopify_client_secret_previous: str
    """Still accepted while Shopify moves over to a new secret; empty otherwise."""
    shopify_token_key: str
    """Seals the shops' access tokens in the database."""
    shopify_partner_organization: str
    """Number of the Partner account, to ask for a shop's plan; empty: plans are not asked for and count as open."""
    shopify_partner_app_gid: str
    shopify_partner_token: str
    shopify_demo_url: str
    """A stand-in for Shopify on this machine, for the demo and its tests; refused in production and off loopback."""
    shopify_demo_storefront: str
    """The sample storefront's origin, which then counts as one of the shop's own."""
    embed_dist_dir: Path
    """The built front end of the frame."""
    scaling: str
    """How many workers each paid provider may have, as `operations.scaler` reads it; empty: nothing is watched."""
    is_scaling_switched_on: bool
    """What is recommended is also set."""
    daily_budget: str
    """What compute may cost in one UTC day, as `operations.budget` reads it; empty: whatever it costs."""
    metrics_token: str
    """What `/metrics` asks for; empty: open in development, closed in production."""

    @property
    def objects_dir(self) -> Path:
        return self.data_dir / "objects"

    @property
    def storage_origin(self) -> str:
        """Where browsers and workers reach objects."""
        return self.supabase_url or self.public_base_url

    @property
    def shopify_secrets(self) -> tuple[str, ...]:
        """Every secret Shopify may sign with today, the present one first; none: Shopify is off."""
        return tuple(filter(None, (self.shopify_client_secret, self.shopify_client_secret_previous)))

    @property
    def local_endpoint_keys_file(self) -> Path:
        """Written by the local endpoint: {"client_key", "worker_key"}."""
        return self.data_dir / "endpoint" / "keys.json"

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read everything, or raise one `SettingsError` that lists all that is missing."""
        env = os.environ if environ is None else environ
        environment = env.get("TRYON_ENV", "development")
        if environment not in {"development", "production"}:
            raise SettingsError("TRYON_ENV is neither development nor production.")
        is_production = environment == "production"
        data_dir = Path(env.get("DATA_DIR") or ".data").absolute()
        generated = {} if is_production else _embedded_secrets(data_dir, env)
        providers, provider_faults = _providers(env)
        settings = cls(
            environment="production" if is_production else "development",
            data_dir=data_dir,
            database_url=env.get("DATABASE_URL") or f"sqlite+aiosqlite:///{data_dir / 'tryon.db'}",
            database_pooler="transaction" if env.get("DATABASE_POOLER") == "transaction" else "",
            public_base_url=(env.get("PUBLIC_BASE_URL") or "http://127.0.0.1:8000").rstrip("/"),
            token_signing_key=env.get("TOKEN_SIGNING_KEY") or generated.get("TOKEN_SIGNING_KEY", ""),
            storage_signing_key=env.get("STORAGE_SIGNING_KEY") or generated.get("STORAGE_SIGNING_KEY", ""),
            supabase_url=(env.get("SUPABASE_URL") or "").rstrip("/"),
            supabase_secret_key=env.get("SUPABASE_SECRET_KEY") or "",
            runpod_endpoint_base_url=_endpoint_base_url(env),
            runpod_endpoint_id=_endpoint_id(env),
            runpod_api_key=env.get("RUNPOD_API_KEY") or "",
            compute_providers=providers,
            runpod_management_key=env.get("RUNPOD_MANAGEMENT_KEY") or "",
            shopify_client_id=env.get("SHOPIFY_CLIENT_ID") or "",
            shopify_client_secret=env.get("SHOPIFY_CLIENT_SECRET") or "",
            shopify_client_secret_previous=env.get("SHOPIFY_CLIENT_SECRET_PREVIOUS") or "",
            shopify_token_key=env.get("SHOPIFY_TOKEN_KEY") or "",
            shopify_partner_organization=env.get("SHOPIFY_PARTNER_ORGANIZATION") or "",
            shopify_partner_app_gid=env.get("SHOPIFY_PARTNER_APP_GID") or "",
            shopify_partner_token=env.get("SHOPIFY_PARTNER_TOKEN") or "",
            shopify_demo_url=(env.get("SHOPIFY_DEMO_URL") or "").rstrip("/"),
            shopify_demo_storefront=(env.get("SHOPIFY_DEMO_STOREFRONT") or "").rstrip("/"),
            embed_dist_dir=Path(env.get("EMBED_DIST_DIR") or "embed/dist").absolute(),
            scaling=env.get("SCALING") or "",
            is_scaling_switched_on=env.get("SCALING_SWITCHED_ON") == "true",
            daily_budget=env.get("DAILY_BUDGET") or "",
            metrics_token=env.get("METRICS_TOKEN") or "",
        )
        faults = provider_faults + _faults(settings, env)
        if faults:
            raise SettingsError(" ".join(faults))
        return settings


def _faults(settings: Settings, env: Mapping[str, str]) -> list[str]:
    faults = [
        f"{name} must have at least {MIN_KEY_BYTES} bytes."
        for name, value in (
            ("TOKEN_SIGNING_KEY", settings.token_signing_key),
            ("STORAGE_SIGNING_KEY", settings.storage_signing_key),
        )
        if len(value.encode()) < MIN_KEY_BYTES
    ]
    if not settings.database_url.startswith(("sqlite+aiosqlite:", "postgresql+psycopg:")):
        faults.append("DATABASE_URL must begin with sqlite+aiosqlite: or postgresql+psycopg:.")
    if bool(settings.supabase_url) != bool(settings.supabase_secret_key):
        faults.append("SUPABASE_URL and SUPABASE_SECRET_KEY are set together or not at all.")
    if settings.supabase_url and SUPABASE_ORIGIN.fullmatch(settings.supabase_url) is None:
        faults.append("SUPABASE_URL must be https://host and nothing more (http:// on this machine only).")
    faults += _shopify_faults(settings)
    if settings.environment == "production":
        keys = () if env.get("COMPUTE_PROVIDERS") else ("RUNPOD_API_KEY",)
        needed = ("DATABASE_URL", "PUBLIC_BASE_URL", *keys)
        faults += [f"{name} is not set." for name in needed if not env.get(name)]
    return faults


def _shopify_faults(settings: Settings) -> list[str]:
    together = (settings.shopify_client_id, settings.shopify_client_secret, settings.shopify_token_key)
    faults = []
    if any(together) and not all(together):
        faults.append("SHOPIFY_CLIENT_ID, SHOPIFY_CLIENT_SECRET and SHOPIFY_TOKEN_KEY are set together or not at all.")
    partner = (settings.shopify_partner_organization, settings.shopify_partner_app_gid, settings.shopify_partner_token)
    if any(partner) and not (all(partner) and all(together)):
        faults.append("The three SHOPIFY_PARTNER_… settings are set together, beside those of the app, or not at all.")
    if settings.shopify_token_key and len(settings.shopify_token_key.encode()) < MIN_KEY_BYTES:
        faults.append(f"SHOPIFY_TOKEN_KEY must have at least {MIN_KEY_BYTES} bytes.")
    stand_ins = (
        ("SHOPIFY_DEMO_URL", settings.shopify_demo_url),
        ("SHOPIFY_DEMO_STOREFRONT", settings.shopify_demo_storefront),
    )
    for name, value in stand_ins:
        if value and settings.environment == "production":
            faults.append(f"{name} is for the demo; production refuses it.")
        elif value and LOOPBACK_ORIGIN.fullmatch(value) is None:
            faults.append(f"{name} must be http://127.0.0.1:port, on this machine.")
    return faults


def _endpoint_base_url(env: Mapping[str, str]) -> str:
    return (env.get("RUNPOD_ENDPOINT_BASE_URL") or "http://127.0.0.1:8100/v2").rstrip("/")


def _endpoint_id(env: Mapping[str, str]) -> str:
    return env.get("RUNPOD_ENDPOINT_ID") or "local"


def _providers(env: Mapping[str, str]) -> tuple[tuple[ProviderSettings, ...], list[str]]:
    rows = env.get("COMPUTE_PROVIDERS")
    if rows:
        return read_providers(rows, env)
    return (single_provider(_endpoint_base_url(env), _endpoint_id(env), env.get("RUNPOD_API_KEY") or ""),), []


def _embedded_secrets(data_dir: Path, env: Mapping[str, str]) -> dict[str, str]:
    """The signing keys of the embedded default: made on first start, kept for the owner's eyes alone."""
    names = ("TOKEN_SIGNING_KEY", "STORAGE_SIGNING_KEY")
    if all(env.get(name) for name in names):
        return {}
    path = data_dir / "secrets.json"
    if not path.exists():
        data_dir.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        _create_secrets(path, names)
        warn(f"Made signing keys in {path}: good for one machine, not for production.", DevelopmentModeWarning, 3)
    stored: dict[str, str] = json.loads(path.read_text())
    return stored


def _create_secrets(path: Path, names: tuple[str, ...]) -> None:
    """Two processes starting together agree: the first file linked into place wins, whole."""
    content = json.dumps({name: secrets.token_urlsafe(MIN_KEY_BYTES) for name in names})
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    with os.fdopen(descriptor, "w") as file:
        file.write(content)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
