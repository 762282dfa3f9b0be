"""The `tryon` command: results as JSON on stdout, progress on stderr, exit 2 with one clear line on bad input."""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import msgspec
import uvicorn

from backend.app import create_app, sweep
from backend.brands import bootstrap
from backend.core import logging
from backend.core.clock import SystemClock
from backend.core.problems import AppError
from backend.core.store_choice import make_buckets
from backend.demo.run import DEFAULT_PORT, run_demo
from backend.import_command import import_garments
from backend.jobs.management import ManagementFault
from backend.jobs.sweeper import Sweeper
from backend.migrate import is_current, migrate
from backend.openapi import OPENAPI_FILE, render_document
from backend.operations import commands as operating
from backend.operations.controller import Status, take_status
from backend.operations.cost_report import to_csv, to_text
from backend.operations.scaler import Recommendation, Scaler
from backend.settings import Settings, SettingsError
from backend.shopify import commands as shopify
from backend.shopify.inbox_models import STATES

Arguments = argparse.Namespace
Command = Callable[[Arguments], int]

FAILED = 1
USAGE_ERROR = 2
INTERRUPTED = 130
PRIVATE = 0o077
"""What the embedded default writes speaks of bodies: for its owner's eyes alone."""
SQLITE = "sqlite+aiosqlite:///"
IDLE_CONNECTION_S = 30
SHUTDOWN_S = 10


def main(typed: list[str] | None = None) -> None:
    arguments = _parser().parse_args(typed)
    command: Command = arguments.command
    try:
        sys.exit(command(arguments))
    except (SettingsError, AppError, ValueError) as error:
        print(f"tryon: {getattr(error, 'detail', error)}", file=sys.stderr)
        sys.exit(USAGE_ERROR)
    except ExceptionGroup as group:
        print(f"tryon: {_told(group)}", file=sys.stderr)
        sys.exit(FAILED)


def _told(error: Exception) -> str:
    """In one line: of a group, what its first member says."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def _parser() -> argparse.ArgumentParser:
    """Every command there is, with its function."""
    parser = argparse.ArgumentParser(prog="tryon", description="Virtual try-on: the service and its operator's tools.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = _add(commands, "serve", run_serve, "Answer requests and see jobs through.")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=int, default=8000)

    demo = _add(commands, "demo", run_demo_command, "Run the whole product on this machine.")
    demo.add_argument("--port", type=int, default=DEFAULT_PORT)

    sweeping = _add(commands, "sweep", run_sweep, "See jobs through, beside replicas that only answer requests.")
    sweeping.add_argument("--once", action="store_true", help="one pass over what is due, for a timer")
    _add(commands, "buckets", run_buckets, "Make the buckets of the Supabase project, or set them right.")
    _add(commands, "migrate", run_migrate, "Bring the database to the newest revision.")

    garments = commands.add_parser("garments", help="What brands sell.").add_subparsers(required=True, metavar="ACTION")
    importing = _add(garments, "import", run_import, "Garments from a CSV file; the same command goes on after a stop.")
    importing.add_argument("file", type=Path, metavar="FILE.csv")
    importing.add_argument("--brand", metavar="BRAND_ID", help="whose they are, where there are several brands")

    _add_shopify(commands)
    brands = commands.add_parser("brands", help="The tenants.").add_subparsers(required=True, metavar="ACTION")
    create = _add(brands, "create", create_brand, "Make a brand; its API key is printed this once.")
    create.add_argument("name", metavar="NAME")
    create.add_argument("--origin", action="append", default=[], help="a page origin that may show the frame")
    _add(brands, "list", list_brands, "One line for each brand.")

    keys = commands.add_parser("keys", help="API keys of brands.").add_subparsers(required=True, metavar="ACTION")
    key = _add(keys, "create", create_key, "A further key, printed this once.")
    key.add_argument("brand_id", metavar="BRAND_ID")
    key.add_argument("--label", default="")
    key.add_argument("--test", action="store_true", help="a key whose name says test")
    key.add_argument("--days", type=int, default=365, help="how long it lives")
    _add(keys, "revoke", revoke_key, "Refuse a key from now on.").add_argument("prefix", metavar="PREFIX")

    report = _add(commands, "cost-report", run_cost_report, "What compute cost in a month, as tables or CSV.")
    report.add_argument("--month", metavar="YYYY-MM", help="instead of the present one")
    report.add_argument("--brand", type=UUID, metavar="BRAND_ID", help="of this brand alone")
    report.add_argument("--pod-usd-per-hour", type=float, metavar="USD", help="a machine of one's own, to compare with")
    report.add_argument("--csv", action="store_true", help="CSV instead of tables")

    _add(commands, "status", run_status, "What is open, how each provider stands, which alarms are raised.")
    _add(commands, "scaling", run_scaling, "How many workers each paid provider should have; sets nothing.")
    prices = commands.add_parser("prices", help="What compute costs by the hour.").add_subparsers(
        required=True, metavar="ACTION"
    )
    _add(prices, "list", run_list_prices, "One line for each price that is or was valid.")
    _add(prices, "refresh", run_refresh_prices, "What RunPod's catalogue asks today, where it has changed.")
    price = _add(prices, "set", run_set_price, "A price from now on; what was reckoned before stays.")
    price.add_argument("pool", metavar="POOL", help="price_pool of a provider's settings")
    price.add_argument("usd_per_hour", type=float, metavar="USD_PER_HOUR")
    price.add_argument("--gpu", metavar="NAME", help="for this card of the pool alone")
    price.add_argument("--source", default="operator", help="who says so")

    schema = _add(commands, "schema", export_schema, f"Write {OPENAPI_FILE.name}, the public contract.")
    schema.add_argument("--check", action="store_true", help="only say whether it is stale")
    return parser


def _add_shopify(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    actions = commands.add_parser("shopify", help="Webhooks, and what people ask for.").add_subparsers(
        required=True, metavar="ACTION"
    )
    inbox = _add(actions, "inbox", run_inbox, "Webhooks that were taken, newest first, without their bodies.")
    inbox.add_argument("--state", choices=STATES)
    inbox.add_argument("--shop", metavar="NAME.myshopify.com")
    again = _add(actions, "replay", run_replay, "Have dead webhooks worked on again, or the one that is named.")
    again.add_argument("--id", metavar="WEBHOOK_ID")
    again.add_argument("--shop", metavar="NAME.myshopify.com")
    gone = _add(actions, "uninstalled", run_uninstalled, "Say that a shop has left, when its own news of it was lost.")
    gone.add_argument("shop", metavar="NAME.myshopify.com")
    asked = _add(actions, "data-request", run_data_request, "What is held of the person of a customers/data_request.")
    asked.add_argument("webhook_id", metavar="WEBHOOK_ID")


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, command: Command, about: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=about, description=about)
    parser.add_argument("--data-dir", type=Path, default=None, help="instead of DATA_DIR")
    parser.set_defaults(command=command)
    return parser


def _environment(arguments: Arguments) -> dict[str, str]:
    return {**os.environ, **({"DATA_DIR": str(arguments.data_dir)} if arguments.data_dir else {})}


def _settings(arguments: Arguments) -> Settings:
    return Settings.from_env(_environment(arguments))


def _migrated(arguments: Arguments) -> Settings:
    """For commands that speak of what is there: they make no folder, no key and no database."""
    env = _environment(arguments)
    folder = Path(env.get("DATA_DIR") or ".data").absolute()
    url = env.get("DATABASE_URL") or f"{SQLITE}{folder / 'tryon.db'}"
    if url.startswith(SQLITE) and not Path(url.removeprefix(SQLITE)).exists():
        raise ValueError(f"there is no database in {folder}; run `tryon migrate` first, or give DATA_DIR.")
    settings = Settings.from_env(env)
    if not is_current(settings):
        raise ValueError("the database is not at the newest revision or not to be reached; run `tryon migrate` first.")
    return settings


def run_serve(arguments: Arguments) -> int:
    settings = _settings(arguments)
    if not is_current(settings):
        print("tryon: the database is not at the newest revision; run `tryon migrate` first.", file=sys.stderr)
        return USAGE_ERROR
    logging.configure()
    os.umask(PRIVATE)
    uvicorn.run(
        create_app(settings, sees_jobs_through=True),
        host=arguments.host,
        port=arguments.port,
        access_log=False,  # `request.answered` says it without query strings
        log_level="warning",
        server_header=False,
        timeout_keep_alive=IDLE_CONNECTION_S,
        timeout_graceful_shutdown=SHUTDOWN_S,
    )
    return 0


def run_sweep(arguments: Arguments) -> int:
    logging.configure()
    if arguments.once:
        return _show({"done": asyncio.run(_sweep_once(_settings(arguments)))})
    asyncio.run(sweep(_settings(arguments)))
    return 0


async def _sweep_once(settings: Settings) -> int:
    app = create_app(settings)
    sweeper: Sweeper = app.state.sweeper
    async with app.lifespan():
        further = await app.state.shopify_work.step() if app.state.shopify_work else 0
        return further + await sweeper.step()


def run_inbox(arguments: Arguments) -> int:
    for delivery in asyncio.run(shopify.list_inbox(_settings(arguments), arguments.state, arguments.shop)):
        _show(delivery)
    return 0


def run_replay(arguments: Arguments) -> int:
    return _show({"again": asyncio.run(shopify.replay(_settings(arguments), arguments.id, arguments.shop))})


def run_uninstalled(arguments: Arguments) -> int:
    asyncio.run(shopify.say_uninstalled(_settings(arguments), arguments.shop))
    return _show({"uninstalled": arguments.shop})


def run_data_request(arguments: Arguments) -> int:
    return _show(asyncio.run(shopify.compile_data(_settings(arguments), arguments.webhook_id)))


def run_demo_command(arguments: Arguments) -> int:
    os.umask(PRIVATE)
    return run_demo(arguments.port, (arguments.data_dir or Path(".data")).absolute())


def run_buckets(arguments: Arguments) -> int:
    logging.configure()
    return _show(asyncio.run(make_buckets(_settings(arguments), SystemClock())))


def run_migrate(arguments: Arguments) -> int:
    migrate(_settings(arguments))
    print("The database is at the newest revision.", file=sys.stderr)
    return 0


def run_import(arguments: Arguments) -> int:
    """1 when a line was refused."""
    try:
        view = import_garments(_settings(arguments), arguments.file, arguments.brand)
    except KeyboardInterrupt:
        print("Stopped. The same command goes on from here.", file=sys.stderr)
        return INTERRUPTED
    _show(msgspec.structs.replace(view, problems=[]))
    return int(view.failed > 0)


def create_brand(arguments: Arguments) -> int:
    settings = _settings(arguments)
    migrate(settings)
    return _show(asyncio.run(bootstrap.create_brand(settings, arguments.name, origins=arguments.origin)))


def list_brands(arguments: Arguments) -> int:
    for brand in asyncio.run(bootstrap.list_brands(_settings(arguments))):
        _show(brand)
    return 0


def create_key(arguments: Arguments) -> int:
    mode = bootstrap.TEST if arguments.test else bootstrap.LIVE
    key = bootstrap.create_key(_settings(arguments), arguments.brand_id, arguments.label, mode, arguments.days)
    return _show(asyncio.run(key))


def revoke_key(arguments: Arguments) -> int:
    return _show(asyncio.run(bootstrap.revoke_key(_settings(arguments), arguments.prefix)))


def run_cost_report(arguments: Arguments) -> int:
    report = asyncio.run(
        operating.cost_report(_migrated(arguments), arguments.month, arguments.brand, arguments.pod_usd_per_hour)
    )
    print(to_csv(report) if arguments.csv else to_text(report), end="")
    return 0


def run_list_prices(arguments: Arguments) -> int:
    for price in asyncio.run(operating.list_prices(_migrated(arguments))):
        _show(price)
    return 0


def run_refresh_prices(arguments: Arguments) -> int:
    for price in asyncio.run(operating.refresh_prices(_migrated(arguments))):
        _show(price)
    return 0


def run_status(arguments: Arguments) -> int:
    return _show(asyncio.run(_take_status(_migrated(arguments))))


async def _take_status(settings: Settings) -> Status:
    app = create_app(settings)
    async with app.lifespan():
        await app.state.providers.check_health()
        return await take_status(app.state)


def run_scaling(arguments: Arguments) -> int:
    for recommendation in asyncio.run(_look_at_scaling(_migrated(arguments))):
        _show(recommendation)
    return 0


async def _look_at_scaling(settings: Settings) -> list[Recommendation]:
    app = create_app(settings)
    scaler: Scaler | None = app.state.scaler
    if scaler is None:
        raise ValueError("SCALING and RUNPOD_MANAGEMENT_KEY are not both set: nothing is watched.")
    try:
        async with app.lifespan():
            return await scaler.look()
    except ManagementFault as fault:
        raise ValueError(f"RunPod did not answer: {fault.detail}") from fault


def run_set_price(arguments: Arguments) -> int:
    price = operating.set_price(
        _migrated(arguments), arguments.pool, arguments.usd_per_hour, arguments.gpu, arguments.source
    )
    return _show(asyncio.run(price))


def export_schema(arguments: Arguments) -> int:
    document = render_document()
    if not arguments.check:
        OPENAPI_FILE.write_text(document)
        return 0
    if OPENAPI_FILE.exists() and OPENAPI_FILE.read_text() == document:
        return 0
    print(f"tryon: {OPENAPI_FILE.name} is stale; run `tryon schema` and commit it.", file=sys.stderr)
    return USAGE_ERROR


def _show(record: object) -> int:
    print(json.dumps(msgspec.to_builtins(record)), flush=True)
    return 0


if __name__ == "__main__":
    main()
