"""What every answer carries, and how the service starts."""

import json
import subprocess
import sys
import warnings
from pathlib import Path

import httpx
import pytest
from litestar import Litestar

from backend.openapi import OPENAPI_FILE, render_document
from backend.settings import DevelopmentModeWarning, Settings, SettingsError
from tests.factories import Given

REPOSITORY = Path(__file__).resolve().parents[3]
PRODUCTION = {
    "TRYON_ENV": "production",
    "DATABASE_URL": "postgresql+psycopg://db/tryon",
    "PUBLIC_BASE_URL": "https://tryon.example",
    "RUNPOD_API_KEY": "key",
    "TOKEN_SIGNING_KEY": "t" * 32,
    "STORAGE_SIGNING_KEY": "s" * 32,
}


class TestEveryAnswer:
    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", "/health", 200),
            ("GET", "/ready", 200),
            ("GET", "/schema", 200),
            ("GET", "/nowhere", 404),
            ("DELETE", "/health", 405),
            ("GET", "/v1/analytics/funnel", 401),
            ("GET", "/embed?k=unknown", 404),
            ("GET", "/objects/avatars/a/b", 403),
        ],
    )
    async def test_carries_the_security_headers(
        self, http: httpx.AsyncClient, method: str, path: str, status: int
    ) -> None:
        answer = await http.request(method, path)
        assert answer.status_code == status
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "set-cookie" not in answer.headers

    async def test_database_away_means_not_ready(
        self, app: Litestar, http: httpx.AsyncClient, settings: Settings
    ) -> None:
        app.state.database.engine.sync_engine.pool.dispose()
        settings.objects_dir.rename(settings.data_dir / "moved")
        settings.objects_dir.write_text("in the way")
        answer = await http.get("/ready")
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert (await http.get("/health")).status_code == 200


class TestDocument:
    def test_committed_document_is_fresh(self) -> None:
        assert OPENAPI_FILE.read_text() == render_document(), "run `tryon schema`"

    def test_every_operation_has_a_name_of_its_own(self) -> None:
        document = json.loads(render_document())
        names = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
        assert len(set(names)) == len(names)
        assert all(name.islower() and " " not in name for name in names)

    async def test_reference_page_needs_no_other_host(self, http: httpx.AsyncClient) -> None:
        page = (await http.get("/schema")).text
        assert "POST /v1/events" in page
        assert "http://" not in page
        assert "https://" not in page
        assert "<script" not in page


class TestSettings:
    def test_first_start_makes_secrets_for_the_owner_alone(self, tmp_path: Path) -> None:
        with pytest.warns(DevelopmentModeWarning, match="signing keys"):
            first = Settings.from_env({"DATA_DIR": str(tmp_path / "data")})
        second = Settings.from_env({"DATA_DIR": str(tmp_path / "data")})
        assert first == second
        assert len({first.token_signing_key, first.storage_signing_key}) == 2
        assert (tmp_path / "data" / "secrets.json").stat().st_mode & 0o777 == 0o600

    def test_production_refuses_to_start_and_names_all_that_is_missing(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError) as refusal:
            Settings.from_env({"TRYON_ENV": "production", "DATA_DIR": str(tmp_path)})
        for name in PRODUCTION.keys() - {"TRYON_ENV"}:
            assert name in str(refusal.value)
        assert list(tmp_path.iterdir()) == []

    def test_production_starts_with_everything_set(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert Settings.from_env(PRODUCTION).environment == "production"

    @pytest.mark.parametrize(
        ("name", "value"),
        [("TOKEN_SIGNING_KEY", "short"), ("DATABASE_URL", "mysql://x"), ("TRYON_ENV", "staging")],
    )
    def test_wrong_value_is_named(self, name: str, value: str) -> None:
        with pytest.raises(SettingsError, match=name):
            Settings.from_env(PRODUCTION | {name: value})

    def test_example_file_lists_every_variable(self) -> None:
        source = (REPOSITORY / "backend" / "settings.py").read_text()
        used = {part.split('"')[1] for part in source.split("env.get(")[1:] if part.startswith('"')}
        example = (REPOSITORY / ".env.example").read_text()
        listed = {line.lstrip("# ").partition("=")[0] for line in example.splitlines() if "=" in line}
        assert used <= listed


class TestStart:
    def test_geometry_is_not_loaded(self) -> None:
        code = (
            "import sys, backend.cli; heavy = {'torch', 'smplx', 'anny', 'mediapipe', 'trimesh', 'scipy', 'runpod',"
            " 'supabase', 'pandas', 'pyarrow', 'duckdb'} & set(sys.modules); sys.exit(str(heavy) if heavy else 0)"
        )
        done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=REPOSITORY)
        assert done.returncode == 0, done.stderr

    async def test_events_of_a_fresh_brand_are_empty(self, http: httpx.AsyncClient, given: Given) -> None:
        brand = await given.brand()
        report = (await http.get("/v1/analytics/funnel", headers=brand.headers)).json()
        assert {step["reached"] for step in report["steps"]} == {0}
