"""What the service refuses to start with: half an app, weak keys, a stand-in for Shopify off this machine."""

from pathlib import Path

import pytest

from backend.settings import Settings, SettingsError

APP = {
    "SHOPIFY_CLIENT_ID": "id",
    "SHOPIFY_CLIENT_SECRET": "shpss_0123456789abcdef0123456789abcdef",
    "SHOPIFY_TOKEN_KEY": "k" * 32,
}
KEYS = {"TOKEN_SIGNING_KEY": "t" * 32, "STORAGE_SIGNING_KEY": "s" * 32}
PRODUCTION = {
    "TRYON_ENV": "production",
    "DATABASE_URL": "postgresql+psycopg://db/tryon",
    "PUBLIC_BASE_URL": "https://tryon.example",
    "RUNPOD_API_KEY": "key",
}


def read(tmp_path: Path, **environment: str) -> Settings:
    return Settings.from_env({"DATA_DIR": str(tmp_path)} | KEYS | environment)


class TestShopifySettings:
    def test_none_is_fine_and_means_off(self, tmp_path: Path) -> None:
        assert read(tmp_path).shopify_secrets == ()

    def test_previous_secret_stands_beside_the_present_one(self, tmp_path: Path) -> None:
        settings = read(tmp_path, **APP, SHOPIFY_CLIENT_SECRET_PREVIOUS="former")
        assert settings.shopify_secrets == (APP["SHOPIFY_CLIENT_SECRET"], "former")

    @pytest.mark.parametrize("left_out", APP)
    def test_half_an_app(self, tmp_path: Path, left_out: str) -> None:
        with pytest.raises(SettingsError, match="set together"):
            read(tmp_path, **{name: value for name, value in APP.items() if name != left_out})

    def test_key_too_short(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="SHOPIFY_TOKEN_KEY"):
            read(tmp_path, **APP | {"SHOPIFY_TOKEN_KEY": "k" * 31})

    @pytest.mark.parametrize("name", ["SHOPIFY_DEMO_URL", "SHOPIFY_DEMO_STOREFRONT"])
    def test_stand_in_only_on_this_machine(self, tmp_path: Path, name: str) -> None:
        assert read(tmp_path, **APP, **{name: "http://127.0.0.1:8403"})
        for elsewhere in (
            "https://127.0.0.1:8403",
            "http://127.0.0.1.evil.example",
            "http://10.0.0.5:8403",
            "http://127.0.0.1:8403/x",
            "http://evil.example",
            "http://localhost@evil.example",
        ):
            with pytest.raises(SettingsError, match=name):
                read(tmp_path, **APP, **{name: elsewhere})

    @pytest.mark.parametrize("name", ["SHOPIFY_DEMO_URL", "SHOPIFY_DEMO_STOREFRONT"])
    def test_production_refuses_a_stand_in(self, tmp_path: Path, name: str) -> None:
        assert read(tmp_path, **PRODUCTION, **APP).environment == "production"
        with pytest.raises(SettingsError, match=name):
            read(tmp_path, **PRODUCTION, **APP, **{name: "http://127.0.0.1:8403"})
