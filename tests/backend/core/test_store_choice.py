"""A folder unless a Supabase project is set; then everything goes there, and the start looks at it first."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import structlog.testing
from litestar import Litestar
from sqlalchemy import text

from backend.app import create_app
from backend.core.clock import SystemClock
from backend.core.db import Database
from backend.core.storage import BUCKETS, StoreMisconfigured
from backend.core.store_choice import StoreWatch, choose_store
from backend.core.supabase_store import SupabaseStore
from backend.settings import Settings, SettingsError
from tests.factories import Given
from tests.fake_supabase_storage import FakeSupabaseStorage
from tests.fakes import HandClock
from tests.stores import on_a_socket

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture
def database_url(sqlite_database: str) -> str:
    return sqlite_database


@pytest.fixture
def server() -> FakeSupabaseStorage:
    return FakeSupabaseStorage(SystemClock())


@pytest.fixture
async def project(server: FakeSupabaseStorage) -> AsyncIterator[dict[str, str]]:
    """The variables that name it."""
    async with on_a_socket(server) as url:
        yield {"SUPABASE_URL": url, "SUPABASE_SECRET_KEY": server.service_key}


async def run_tryon(*arguments: str, **env: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "backend.cli",
        *arguments,
        cwd=REPOSITORY,
        env=os.environ | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


class TestDefault:
    def test_supabase_is_not_loaded(self, tmp_path: Path) -> None:
        code = (
            "import sys; from backend.app import create_app; from backend.settings import Settings;"
            f"create_app(Settings.from_env({{'DATA_DIR': {str(tmp_path)!r}}}));"
            "loaded = {'supabase', 'storage3', 'realtime'} & set(sys.modules); sys.exit(str(loaded) if loaded else 0)"
        )
        done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=REPOSITORY)
        assert done.returncode == 0, done.stderr

    async def test_buckets_of_a_folder_are_not_a_command(self, tmp_path: Path) -> None:
        status, _, said = await run_tryon("buckets", DATA_DIR=str(tmp_path), SUPABASE_URL="")
        assert (status, "SUPABASE_URL" in said) == (2, True)


class TestProject:
    async def test_buckets_are_made_by_one_command(
        self, tmp_path: Path, project: dict[str, str], server: FakeSupabaseStorage
    ) -> None:
        status, out, said = await run_tryon("buckets", DATA_DIR=str(tmp_path), **project)
        assert status == 0, said
        assert json.loads(out) == {
            "buckets": [f"{name}: created" for name in BUCKETS],
            "row_level_security": "not looked at",
            "policies": [],
        }
        for name, bucket in BUCKETS.items():
            made = server.buckets[name]
            assert (made.public, made.limit, made.types) == (
                bucket.is_public,
                bucket.max_bytes,
                list(bucket.media_types),
            )

    async def test_a_wrong_key_is_said_in_one_line_without_it(self, tmp_path: Path, project: dict[str, str]) -> None:
        wrong = project | {"SUPABASE_SECRET_KEY": "sb_secret_wrong"}
        status, _, said = await run_tryon("buckets", DATA_DIR=str(tmp_path), **wrong)
        assert status == 2
        line = said.strip().splitlines()[-1]
        assert line.startswith("tryon: ")
        assert "sb_secret_wrong" not in said

    async def test_the_projects_own_database_shows_its_locks(
        self, tmp_path: Path, project: dict[str, str], postgres_database: str
    ) -> None:
        database = Database(postgres_database, SystemClock())
        async with database.transaction() as session:
            for statement in (
                "CREATE SCHEMA storage",
                "CREATE TABLE storage.objects (name text)",
                "CREATE TABLE storage.buckets (name text)",
                "ALTER TABLE storage.buckets ENABLE ROW LEVEL SECURITY",
            ):
                await session.execute(text(statement))
        env = project | {"DATABASE_URL": postgres_database, "DATA_DIR": str(tmp_path)}
        status, _, said = await run_tryon("buckets", **env)
        assert status == 2
        assert said.strip().endswith("off on storage.objects: switch it on in the project.")

        async with database.transaction() as session:
            await session.execute(text("ALTER TABLE storage.objects ENABLE ROW LEVEL SECURITY"))
            await session.execute(text("CREATE POLICY anybody ON storage.objects FOR SELECT USING (true)"))
        await database.close()
        status, out, said = await run_tryon("buckets", **env)
        assert status == 0, said
        assert json.loads(out)["row_level_security"] == "on"
        assert json.loads(out)["policies"] == ["anybody"]

    async def test_photo_of_a_shopper_lies_in_the_project_and_nowhere_else(
        self, settings: Settings, project: dict[str, str], server: FakeSupabaseStorage
    ) -> None:
        app = await started(settings, project)
        async with app.lifespan():
            given = Given(app)
            brand = await given.brand()
            shopper = await given.shopper(brand)
            await given.avatar_with_photo(shopper)
            (photo,) = [key for bucket, key in server.objects if bucket == "photos"]
            assert photo.startswith(f"{brand.id}/{shopper.id}/")
            assert not settings.objects_dir.exists()
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://tryon.test") as http:  # type: ignore[arg-type]
                assert (await http.get("/ready")).status_code == 200
                assert (await http.get(f"/objects/photos/{photo}")).status_code == 404
                policy = (await http.get("/embed?k=unknown")).headers["content-security-policy"]
        assert project["SUPABASE_URL"] in policy

    async def test_public_photos_stop_the_start(
        self, settings: Settings, project: dict[str, str], server: FakeSupabaseStorage
    ) -> None:
        app = await started(settings, project)
        server.buckets["photos"].public = True
        with pytest.raises(ExceptionGroup) as stopped:
            async with app.lifespan():
                pass
        assert stopped.group_contains(StoreMisconfigured, match="photos is public")

    async def test_opened_later_it_is_logged(
        self,
        settings: Settings,
        project: dict[str, str],
        server: FakeSupabaseStorage,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        clock = HandClock()
        app = await started(settings, project)
        store = app.state.store
        watch = StoreWatch(store, clock)
        server.buckets["avatars"].public = True
        with structlog.testing.capture_logs() as lines:
            await watch.run_if_due()
            clock.advance(minutes=5)
            await watch.run_if_due()
        await store.close()
        await app.state.database.close()
        (line,) = lines
        assert (line["event"], line["fault"]) == ("store.check_failed", "StoreMisconfigured")
        assert "avatars is public" in line["reason"]


async def started(settings: Settings, project: dict[str, str]) -> Litestar:
    """The service of the settings, on the project, with its buckets made."""
    env = {
        "DATA_DIR": str(settings.data_dir),
        "DATABASE_URL": settings.database_url,
        "TOKEN_SIGNING_KEY": settings.token_signing_key,
        "STORAGE_SIGNING_KEY": settings.storage_signing_key,
        "RUNPOD_API_KEY": "endpoint-key-of-the-tests",
    }
    app = create_app(Settings.from_env(env | project))
    store = app.state.store
    assert isinstance(store, SupabaseStore)
    await store.make_buckets()
    return app


class TestSettings:
    @pytest.mark.parametrize(
        ("url", "key"),
        [
            ("https://x.supabase.co", ""),
            ("", "sb_secret_x"),
            ("http://x.supabase.co", "sb_secret_x"),
            ("https://x.supabase.co/storage", "sb_secret_x"),
            ("https://user:word@x.supabase.co", "sb_secret_x"),
        ],
    )
    def test_half_or_wrong_is_refused(self, tmp_path: Path, url: str, key: str) -> None:
        keys = {"TOKEN_SIGNING_KEY": "t" * 32, "STORAGE_SIGNING_KEY": "s" * 32, "DATA_DIR": str(tmp_path)}
        with pytest.raises(SettingsError, match="SUPABASE_URL"):
            Settings.from_env(keys | {"SUPABASE_URL": url, "SUPABASE_SECRET_KEY": key})

    async def test_either_form_of_key_is_taken_as_it_is(self, tmp_path: Path) -> None:
        keys = {"TOKEN_SIGNING_KEY": "t" * 32, "STORAGE_SIGNING_KEY": "s" * 32, "DATA_DIR": str(tmp_path)}
        for key in ("sb_secret_0123", "eyJhbGciOiJIUzI1NiJ9.e30.x"):
            settings = Settings.from_env(keys | {"SUPABASE_URL": "https://x.supabase.co/", "SUPABASE_SECRET_KEY": key})
            store = choose_store(settings, SystemClock())
            assert store.public_url("garments", "b/x.glb") == (
                "https://x.supabase.co/storage/v1/object/public/garments/b/x.glb"
            )
            await store.close()
