"""`tryon-worker garment` and `dress`: files in, files out; one line and exit 2 on bad input."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu_worker.cli import main
from gpu_worker.contract import AvatarParams
from gpu_worker.pipeline import Pipeline

TEE = {
    "name": "Tee",
    "category": "t-shirt",
    "look": {"colour": "#336699"},
    "size_chart": {
        "unit": "in",
        "measures": "garment",
        "flat": True,
        "sizes": {"M": {"chest": 21, "length": 28}, "L": {"chest": 22, "length": 29}},
    },
}


@pytest.fixture(scope="module")
def body(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A man of 178 cm and 74 kg, from answers alone."""
    file = tmp_path_factory.mktemp("body") / "body.npz"
    made = Pipeline.load().run_avatar(AvatarParams(178.0, 74.0, None, "male"), None, None)
    file.write_bytes(made.body_npz)
    return file


def chart(folder: Path, **changes: Any) -> Path:
    file = folder / "tee.json"
    file.write_text(json.dumps(TEE | changes))
    return file


def test_a_chart_becomes_a_garment_and_goes_on_a_body(tmp_path: Path, body: Path) -> None:
    """As it is typed, in a process of its own."""
    command = [sys.executable, "-m", "gpu_worker.cli"]
    made = subprocess.run(
        [*command, "garment", chart(tmp_path), "--out", tmp_path / "tee"], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    said = json.loads(made.stdout)
    assert said["files"] == ["garment.json", "preview.glb"]
    assert [(size["size"], size["state"]) for size in said["sizes"]] == [("M", "ok"), ("L", "ok")]
    worn = tmp_path / "worn" / "tee.glb"
    dressed = subprocess.run(
        [*command, "dress", body, tmp_path / "tee", "--out", worn], capture_output=True, text=True, check=False
    )
    assert dressed.returncode == 0, dressed.stderr
    assert worn.read_bytes()[:4] == b"glTF"
    assert json.loads(dressed.stdout)["polished"] == []
    assert "building" in dressed.stderr
    fit = json.loads((tmp_path / "worn" / "fit.json").read_text())
    with np.load(body) as kept:
        chest_cm = dict(zip(kept["measurement_names"], kept["measurements"], strict=True))["chest_cm"]
    regions = {size["size"]: size["regions"][0] for size in fit["sizes"]}
    assert regions["L"]["region"] == "chest"
    assert regions["L"]["ease_cm"] == pytest.approx(2 * 22 * 2.54 - chest_cm, abs=0.1)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"category": "jacket"}, "garment_invalid"),
        ({"size_chart": TEE["size_chart"] | {"unit": "mm"}}, "cm or in"),  # type: ignore[operator]
        ({"size_chart": TEE["size_chart"] | {"measures": "body"}}, "measures: garment"),  # type: ignore[operator]
        ({"size_chart": TEE["size_chart"] | {"sizes": {"M": {"length": 28}}}}, "at least its chest"),  # type: ignore[operator]
        ({"size_chart": {"sizes": {}}}, "no garment"),
        ({"look": {"colour": "red"}}, "garment_invalid"),
    ],
)
def test_a_chart_that_cannot_be_used(
    changes: dict[str, Any], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["garment", str(chart(tmp_path, **changes)), "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    last = told.err.splitlines()[-1]
    assert last.startswith("tryon-worker garment: ")
    assert said in last


def test_files_that_cannot_be_used(tmp_path: Path, body: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def told(*arguments: object) -> str:
        assert main([str(argument) for argument in arguments]) == 2
        return capsys.readouterr().err.splitlines()[-1]

    out = ["--out", tmp_path / "x.glb"]
    assert "cannot read" in told("garment", tmp_path / "none.json", *out)
    assert "SIZE=FILE.glb" in told("garment", chart(tmp_path), "--size", "M", *out)
    assert "no size XL" in told("garment", chart(tmp_path), "--size", f"XL={body}", *out)
    assert "garment_invalid" in told("garment", chart(tmp_path), "--size", f"M={body}", *out)
    assert "cannot read" in told("dress", body, tmp_path / "nowhere", *out)
    main(["garment", str(chart(tmp_path)), "--out", str(tmp_path / "tee")])
    no_body = tmp_path / "tee" / "preview.glb"
    assert "body_invalid" in told("dress", no_body, tmp_path / "tee", *out)
