"""A throwaway Postgres: one cluster for the test run on a unix socket, one database cloned for each test."""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Self

import psycopg
from psycopg import sql

INITDB = ("-N", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8", "-U", "postgres")
SERVER = "-c fsync=off -c full_page_writes=off -c synchronous_commit=off -c listen_addresses='' -c max_connections=60"
TEMPLATE = "tryon_template"


class PostgresMissing(Exception):
    """No server program on this machine and no `TEST_DATABASE_URL`."""


def find_programs() -> Path:
    """The folder with `initdb`: of the PATH, or the newest of the distribution's."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    versions = [folder for folder in Path("/usr/lib/postgresql").glob("*/bin") if (folder / "initdb").exists()]
    if not versions:
        raise PostgresMissing("initdb is neither on the PATH nor in /usr/lib/postgresql/*/bin")
    return max(versions, key=lambda folder: float(folder.parent.name))


class Cluster:
    """Databases by name; `url` is SQLAlchemy's form, psycopg gets the same without the driver's name."""

    def __init__(self, address: str) -> None:
        self.address = address
        """With `{name}` where the database's name goes."""

    def url(self, name: str) -> str:
        return self.address.format(name=name)

    def clone(self, name: str) -> str:
        self._administer(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(sql.Identifier(name), _TEMPLATE)
        )
        return self.url(name)

    def create(self, name: str) -> str:
        self._administer(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def drop(self, name: str) -> None:
        self._administer(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _administer(self, statement: sql.Composed) -> None:
        address = self.url("postgres").replace("+psycopg", "", 1)
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(statement)


_TEMPLATE = sql.Identifier(TEMPLATE)


class OwnCluster(Cluster):
    """Made with `initdb` in a short folder under the temporary directory, stopped at once at the end."""

    def __init__(self) -> None:
        self.programs = find_programs()
        self.folder = Path(tempfile.mkdtemp(prefix="tryon-pg-"))  # socket paths have at most 107 bytes
        super().__init__(f"postgresql+psycopg://postgres@/{{name}}?host={self.folder}")

    def __enter__(self) -> Self:
        self._give_to_server_user()
        self._run("initdb", *INITDB, "-D", str(self.folder / "data"))
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        options = f"{SERVER} -c unix_socket_directories={self.folder}"
        data, log = str(self.folder / "data"), str(self.folder / "log")
        self._run("pg_ctl", "-D", data, "-w", "-l", log, "-o", options, "start")

    def stop(self) -> None:
        """Every connection is cut, what was not committed is undone; nothing else is lost."""
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-m", "fast", "stop")

    def _give_to_server_user(self) -> None:
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.folder, user.pw_uid, user.pw_gid)

    def _run(self, program: str, *arguments: str) -> None:
        """The server refuses to run as root: step down to its own user."""
        identity: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        done = subprocess.run(
            [str(self.programs / program), *arguments],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            **identity,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed: {done.stderr}")
