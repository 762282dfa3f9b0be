"""The processes of a run: started, killed without warning, started again."""

import contextlib
import multiprocessing
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psycopg

from backend.migrate import migrate
from tests.chaos.dispatcher import run_dispatcher
from tests.chaos.endpoint import run_endpoint
from tests.chaos.replica import run_replica
from tests.chaos.worker import run_workers
from tests.chaos.world import ENDPOINT_HOST, World
from tests.postgres import OwnCluster

DISPATCHERS = ("dispatcher-1", "dispatcher-2")
REPLICAS = ("replica-1", "replica-2")
WORKERS = ("workers-1", "workers-2")
ENDPOINTS = ("endpoint-1", "endpoint-2")
START_TIMEOUT_S = 20.0
DATABASE_TRIES, DATABASE_PAUSE_S = 100, 0.2
SKEWS_S = {"dispatcher-1": (30.0, 0.0, -30.0, 0.0), "dispatcher-2": (0.0, -30.0, 0.0, 30.0)}
"""One after the other, life by life, in product time."""

_FORKS = multiprocessing.get_context("forkserver")
"""A child of a process that has everything imported: up in a tenth of a second, however often it is killed."""
_FORKS.set_forkserver_preload(["tests.chaos.site"])


@dataclass
class Role:
    """One program under one name."""

    name: str
    run: Callable[..., None]
    process: BaseProcess | None = None
    rests_until_s: float = 0.0
    starts: int = 0

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.is_alive()


class Site:
    """Everything but Postgres is a process that may be killed and comes back by `keep_up`."""

    def __init__(self, world: World, cluster: OwnCluster, database: str) -> None:
        self.world = world
        self.cluster = cluster
        self.database = database
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self.roles = {
            **{name: Role(name, run_endpoint) for name in ENDPOINTS},
            **{name: Role(name, run_dispatcher) for name in DISPATCHERS},
            **{name: Role(name, run_replica) for name in REPLICAS},
            **{name: Role(name, run_workers) for name in WORKERS},
        }

    def start(self) -> None:
        for role in self.roles.values():
            self._start(role)
        for name in ENDPOINTS:
            wait_for(name, partial(self.world.faults.is_marked, "ready", name))
        wait_for("a replica", lambda: is_listening(self.world.service_port))

    def kill(self, name: str, rest_s: float) -> None:
        """SIGKILL; back after a rest."""
        role = self.roles[name]
        if role.process is not None:
            role.process.kill()
            role.process.join()
        role.rests_until_s = time.monotonic() + rest_s

    def keep_up(self) -> None:
        """Start again what is dead: killed by the run, or by itself at the moment it was told to."""
        for role in self.roles.values():
            if not role.is_alive and time.monotonic() > role.rests_until_s:
                self._start(role)

    def stop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        for role in self.roles.values():
            if role.process is not None:
                role.process.kill()
                role.process.join()

    def _start(self, role: Role) -> None:
        role.starts += 1
        arguments: tuple[Any, ...] = (self.world, role.name)
        if role.run is run_dispatcher:
            skews_s = SKEWS_S[role.name]
            skew_s = skews_s[(role.starts - 1) % len(skews_s)]
            arguments = (*arguments, skew_s)
            if skew_s:
                self.world.faults.note("clock ahead or behind")
        role.process = _FORKS.Process(target=role.run, args=arguments, name=role.name, daemon=True)
        role.process.start()

    # ---- the database -----------------------------------------------------------------------------------------------

    def drop_connections(self) -> None:
        sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
        with psycopg.connect(plain(self.cluster.url("postgres")), autocommit=True) as connection:
            connection.execute(sql, (self.database,))

    def database_down(self, for_s: float) -> None:
        self.cluster.stop()
        time.sleep(for_s)
        self.cluster.start()

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """What stands in the database, once it is there to be asked."""
        for _ in range(DATABASE_TRIES):
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = psycopg.connect(plain(self.world.database_url), autocommit=True)
                return self._connection.execute(sql.encode(), values or None).fetchall()
            except psycopg.OperationalError:  # stopped, or this connection was dropped with the others
                time.sleep(DATABASE_PAUSE_S)
        raise AssertionError("the database does not come back")


def plain(url: str) -> str:
    return url.replace("+psycopg", "", 1)


def free_port(host: str) -> int:
    with socket.socket() as asked:
        asked.bind((host, 0))
        port: int = asked.getsockname()[1]
        return port


def wait_for(what: str, is_there: Callable[[], bool]) -> None:
    until = time.monotonic() + START_TIMEOUT_S
    while not is_there():
        if time.monotonic() > until:
            raise AssertionError(f"{what} did not come up")
        time.sleep(0.02)


def is_listening(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextmanager
def site(folder: Path, speed: float, storm: int) -> Iterator[Site]:
    """All of it, on a Postgres of its own."""
    with OwnCluster() as cluster:
        url = cluster.create("chaos")
        ports = {name: free_port(ENDPOINT_HOST) for name in ENDPOINTS}
        world = World(folder, url, free_port("127.0.0.1"), ports, time.time(), speed, storm)
        world.logs.mkdir(parents=True)
        world.faults.create()
        world.secrets_file.touch()
        migrate(world.settings())
        running = Site(world, cluster, "chaos")
        with psycopg.connect(plain(url), autocommit=True) as connection:
            connection.execute("CREATE TABLE chaos_effects (job_id uuid, attempt_id uuid, word text)")  # no key at all
        try:
            running.start()
            yield running
        finally:
            running.stop()
