"""`tryon-worker`: JSON on stdout, one line and exit 2 on bad input."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gpu_worker.contract import MEASUREMENTS


def command(*arguments: object, expect: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "gpu_worker.cli", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == expect, done.stderr
    return done


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rendered man of 178 cm and 74 kg."""
    photo = tmp_path_factory.mktemp("photo") / "person.jpg"
    subprocess.run([sys.executable, "-m", "gpu_worker.training.scenes", "--out", photo], check=True)
    return photo


class TestAvatar:
    def test_a_photo_becomes_a_body_in_a_folder(self, person: Path, tmp_path: Path) -> None:
        facts = ["--height-cm", 178, "--weight-kg", 74, "--sex", "male"]
        done = command("avatar", person, *facts, "--out", tmp_path / "out", "--repeat", 2, "--plain")
        files = {path.name for path in (tmp_path / "out").iterdir()}
        assert files == {"avatar.glb", "avatar.plain.glb", "body.npz", "measurements.json"}
        glb = (tmp_path / "out" / "avatar.glb").read_bytes()
        plain = (tmp_path / "out" / "avatar.plain.glb").read_bytes()
        assert glb[:4] == plain[:4] == b"glTF"
        assert len(glb) < len(plain)
        with np.load(tmp_path / "out" / "body.npz") as body:
            assert "vertices" in body.files
        found = json.loads((tmp_path / "out" / "measurements.json").read_text())
        assert list(found["measurements"]) == list(MEASUREMENTS)
        assert "photo" in found["evidence"]
        assert len(found["timings_ms"]) == 2
        assert all(run["total"] >= run["solve"] > 0 for run in found["timings_ms"])
        said = json.loads(done.stdout)
        assert said["measurements"] == found["measurements"]
        assert said["glb_bytes"] == len(glb)
        assert "measuring" in done.stderr

    def test_answers_alone_become_a_body_too(self, tmp_path: Path) -> None:
        command("avatar", "--height-cm", 178, "--weight-kg", 74, "--out", tmp_path / "out")
        found = json.loads((tmp_path / "out" / "measurements.json").read_text())
        assert found["evidence"] == ["height", "weight"]
        assert (tmp_path / "out" / "body.npz").stat().st_size > 0

    def test_a_side_photo_needs_the_first_one(self, tmp_path: Path) -> None:
        done = command("avatar", "--side", "s.jpg", "--height-cm", 178, "--out", tmp_path / "out", expect=2)
        assert done.stderr.splitlines()[-1].startswith("tryon-worker avatar: --side ")

    def test_a_picture_without_a_person_is_refused_in_one_line(self, tmp_path: Path) -> None:
        Image.new("RGB", (480, 640), "grey").save(tmp_path / "wall.png")
        done = command("avatar", tmp_path / "wall.png", "--height-cm", 178, "--out", tmp_path / "out", expect=2)
        assert done.stderr.splitlines()[-1].startswith("tryon-worker avatar: photo_no_person: ")
        assert "Traceback" not in done.stderr
        assert done.stdout == ""

    @pytest.mark.parametrize(
        ("photo", "more", "reason"),
        [
            ("absent.jpg", [], "cannot read"),
            ("text.jpg", [], "photo_unreadable"),
            ("text.jpg", ["--repeat", "0"], "--repeat"),
            ("text.jpg", ["--sex", "other"], "--sex"),
        ],
    )
    def test_bad_input_is_said_in_one_line(self, tmp_path: Path, photo: str, more: list[str], reason: str) -> None:
        (tmp_path / "text.jpg").write_text("not a picture")
        done = command("avatar", tmp_path / photo, "--height-cm", 178, "--out", tmp_path / "out", *more, expect=2)
        # MediaPipe's own warnings come when they come, even after ours
        (said,) = (line for line in done.stderr.splitlines() if line.startswith("tryon-worker avatar: "))
        assert reason in said


class TestEstimate:
    def test_answers_become_measurements(self) -> None:
        facts = ["--height-cm", 178, "--weight-kg", 74, "--sex", "male", "--age", 30]
        found = json.loads(command("estimate", *facts).stdout)
        assert list(found["measurements"]) == list(MEASUREMENTS)
        assert all(value["sd"] > 0 for value in found["measurements"].values())
        assert found["evidence"] == ["height", "weight", "age", "sex"]

    @pytest.mark.parametrize(
        ("facts", "reason"),
        [(["--height-cm", "1.78"], "178"), (["--height-cm", "tall"], "--height-cm"), ([], "--height-cm")],
    )
    def test_bad_input_is_said_in_one_line(self, facts: list[str], reason: str) -> None:
        done = command("estimate", *facts, expect=2)
        assert len(done.stderr.splitlines()) == 1
        assert reason in done.stderr


class TestServers:
    def test_a_port_in_use_is_said_in_one_line(self, tmp_path: Path) -> None:
        done = command("endpoint", "--port", 1, "--host", "203.0.113.1", "--data-dir", tmp_path, expect=2)
        assert done.stderr.splitlines()[-1].startswith("tryon-worker endpoint: cannot listen on 203.0.113.1:1")

    @pytest.mark.parametrize(
        "arguments",
        [
            ["endpoint", "--port", "0", "--webhook-origin", "http://127.0.0.1:8000/hooks"],
            ["serve", "--endpoint", "127.0.0.1:8100"],
        ],
    )
    def test_an_address_that_is_no_origin_is_refused(self, tmp_path: Path, arguments: list[str]) -> None:
        done = command(*arguments, "--data-dir", tmp_path, expect=2)
        assert "scheme://host[:port]" in done.stderr
