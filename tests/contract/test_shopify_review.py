"""The review document may claim nothing that no test shows; and the two ids that are a matter of the sources."""

import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
REVIEW = REPOSITORY / "docs" / "shopify-review.md"
STATES = {"met", "open", "not ours"}
NAMED = re.compile(r"`((?:tests|shopify_extension)/[\w./-]+)::([^`]+)`")
IDS = {
    "COMMITTED_SECRET", "CREDENTIAL_LOG_LEAKAGE", "SCOPE_OVER_REQUEST", "UNSAFE_INNERHTML", "LIQUID_UNSAFE_RENDER",
    "WEAK_SHOP_VALIDATION", "MISSING_TENANT_ISOLATION", "REQUEST_DERIVED_SHOP_SCOPE",
    "REQUEST_CONTROLLED_ADMIN_CONTEXT", "APP_PROXY_UNVERIFIED_SIGNATURE", "APP_PROXY_LIQUID_INJECTION",
    "STATIC_FRAME_ANCESTORS", "MISSING_EMBEDDED_CSP", "MISSING_COMPLIANCE_WEBHOOKS", "EXPIRING_OFFLINE_TOKEN",
    "METAFIELD_OFFLINE_TOKEN", "EOL_API_VERSION", "SESSION_LIFECYCLE_AND_REPLAY",
    "ACTIVE_UPLOADS_AND_PRIVILEGED_PREVIEWS", "SSRF_REQUEST_FORGERY", "OPEN_REDIRECT",
    "MISSING_DEPENDENCY_SECURITY_AUTOMATION",
}  # fmt: skip
SECRET = re.compile(
    r"shp(?:at|ss|ca|pa|rt|tka)_[0-9a-fA-F]{32}|-----BEGIN (?:[A-Z ]+)?PRIVATE KEY-----|AKIA[0-9A-Z]{16}"
    r"|sk_live_\w{16,}|rpa_[A-Za-z0-9]{32,}|sb_secret_\w{16,}"
)
MADE_UP = "0123456789abcdef"
"""Tests of redaction need something to redact."""
MARKUP = re.compile(r"\.(?:inner|outer)HTML\b|insertAdjacentHTML|document\.write\b|createContextualFragment")
SHIPPED = ("embed/src", "shopify_extension/extensions", "backend/shopify/assets")
SOURCES = {".py", ".ts", ".js", ".mjs", ".json", ".toml", ".md", ".yml", ".liquid", ".txt", ".sh", ".example"}


def rows() -> list[list[str]]:
    lines = [line for line in REVIEW.read_text().splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[1] != "state"]


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("NOT TESTED: this is no git checkout, so the list of committed files is unknown")
    return [REPOSITORY / name for name in listed.stdout.splitlines() if (REPOSITORY / name).is_file()]


class TestReview:
    def test_each_line_has_a_state_and_a_reason(self) -> None:
        assert len(rows()) > 50
        for row in rows():
            assert len(row) == 3, row
            assert row[1] in STATES, row
            assert row[2], row

    def test_every_security_id_is_answered(self) -> None:
        assert {row[0] for row in rows()} >= IDS

    def test_each_test_that_is_named_exists(self) -> None:
        named = NAMED.findall(REVIEW.read_text())
        assert len(named) > 40
        missing = [
            f"{file}::{name}"
            for file, name in named
            if not (REPOSITORY / file).is_file() or not _holds((REPOSITORY / file).read_text(), name)
        ]
        assert missing == []


def _holds(source: str, name: str) -> bool:
    return f"def {name}(" in source or f"it('{name}'" in source


def test_no_secret_is_committed() -> None:
    for file in tracked():
        if file.suffix in SOURCES:
            found = [text for text in SECRET.findall(file.read_text(errors="replace")) if MADE_UP not in text]
            assert found == [], f"{file.relative_to(REPOSITORY)}: {found[0][:12]}…"


def test_no_script_writes_markup() -> None:
    """Text is set as text; elements are made by name."""
    scripts = [file for folder in SHIPPED for file in (REPOSITORY / folder).rglob("*") if file.suffix in {".js", ".ts"}]
    assert len(scripts) > 20
    for file in scripts:
        found = MARKUP.search(file.read_text())
        assert found is None, f"{file.relative_to(REPOSITORY)}: {found and found[0]}"
