"""`tryon cost-report` and `tryon prices` as an operator types them."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backend.cli import main
from backend.operations import alarms
from backend.operations.commands import month_of

RUNBOOK = Path(__file__).parents[3] / "docs" / "runbook.md"


def typed(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    code = ended.value.code
    assert isinstance(code, int)
    return code


@pytest.fixture
def folder(sqlite_database: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    monkeypatch.setenv("DATABASE_URL", sqlite_database)
    for name in ("TOKEN_SIGNING_KEY", "STORAGE_SIGNING_KEY"):
        monkeypatch.setenv(name, "a-key-of-the-tests-0123456789-0123456789")
    return str(tmp_path)


def test_prices_are_rows_that_only_ever_grow(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed("prices", "list", "--data-dir", folder) == 0
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {price["pool"]: price["usd_per_hour"] for price in listed}["AMPERE_24"] == 0.684
    assert all(price["source"] and price["verified_on"] for price in listed)
    assert typed("prices", "set", "AMPERE_24", "0.58", "--gpu", "NVIDIA L4", "--data-dir", folder) == 0
    typed("prices", "list", "--data-dir", folder)
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(listed) + 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("prices", "set", "own", "0"), "at least"),
        (("cost-report", "--month", "November"), "no month"),
        (("cost-report", "--month", "2999-01"), "not begun"),
        (("prices", "refresh"), "RUNPOD_MANAGEMENT_KEY"),
        (("scaling",), "not both set"),
    ],
)
def test_what_makes_no_sense_is_one_clear_line(
    folder: str, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], told: str
) -> None:
    assert typed(*words, "--data-dir", folder) == 2
    said = capsys.readouterr().err
    assert told in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("words", [("status",), ("cost-report",), ("prices", "list"), ("scaling",)])
def test_without_a_database_there_is_one_clear_line_and_none_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    nowhere = tmp_path / "nowhere"
    assert typed(*words, "--data-dir", str(nowhere)) == 2
    said = capsys.readouterr().err
    assert "tryon migrate" in said
    assert said.count("\n") == 1
    assert not nowhere.exists()


def test_a_database_of_an_older_version_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: str
) -> None:
    old = tmp_path / "old.db"
    old.touch()
    monkeypatch.setenv("DATABASE_URL", f"sqlite+aiosqlite:///{old}")
    assert typed("cost-report", "--data-dir", folder) == 2
    said = capsys.readouterr().err
    assert "newest revision" in said
    assert said.count("\n") == 1


def test_a_report_of_nothing_is_a_report(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed("cost-report", "--data-dir", folder) == 0
    assert "Avatars ready: 0" in capsys.readouterr().out
    assert typed("cost-report", "--csv", "--data-dir", folder) == 0
    assert capsys.readouterr().out.startswith("group,name,jobs,")


def test_status_says_what_is_open_and_what_is_wrong(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed("status", "--data-dir", folder) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["work"]["open_jobs"] == 0
    (provider,) = status["providers"]
    assert (provider["name"], provider["breaker"]) == ("local", "closed")
    assert provider["health_failures"] == 1, "nobody listens there"


def test_every_alarm_has_its_entry_in_the_runbook() -> None:
    raised = set(re.findall(r'Alarm\("(\w+)"', Path(alarms.__file__).read_text()))
    headings = set(re.findall(r"^## (\w+)$", RUNBOOK.read_text(), re.MULTILINE))
    assert raised == headings


def test_a_month_ends_with_itself_or_with_now() -> None:
    now = datetime(2026, 11, 21, 16, tzinfo=UTC)
    assert month_of(None, now) == (datetime(2026, 11, 1, tzinfo=UTC), now)
    assert month_of("2026-02", now) == (datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC))
