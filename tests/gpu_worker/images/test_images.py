"""What can be known of the images without building them, and whether a worker is fit to take jobs."""

import json
import re
from pathlib import Path

import pytest

from gpu_worker.fitness import faults
from gpu_worker.handler import decode_job

ROOT = Path(__file__).resolve().parents[3]
DOCKERFILES = ("backend/Dockerfile", "gpu_worker/Dockerfile", "gpu_worker/Dockerfile.cuda")
ORIGIN = {"WORKER_STORAGE_ORIGIN": "https://storage.example"}


def steps(dockerfile: str) -> list[str]:
    text = re.sub(r"\\\n\s*", "", (ROOT / dockerfile).read_text())
    return [line for line in text.splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
class TestDockerfile:
    def test_copies_only_what_exists(self, dockerfile: str) -> None:
        copied = [line.split()[1:-1] for line in steps(dockerfile) if re.match(r"COPY (?!--)", line)]
        missing = [source for sources in copied for source in sources if not (ROOT / source).exists()]
        assert not missing

    def test_what_it_copies_is_not_kept_out_of_the_build(self, dockerfile: str) -> None:
        let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
        tops = {re.sub(r"/\*.*", "", line) for line in let_in}
        for line in steps(dockerfile):
            if re.match(r"COPY (?!--)", line):
                assert all(source.split("/")[0] in tops for source in line.split()[1:-1]), line

    def test_runs_as_nobody_special_under_a_health_check_without_a_shell(self, dockerfile: str) -> None:
        final = steps(dockerfile)
        final = final[max(i for i, line in enumerate(final) if line.startswith("FROM")) :]
        assert any(line.startswith("USER ") and line != "USER root" for line in final)
        assert any(line.startswith("HEALTHCHECK") for line in final)
        assert any(line.startswith('ENTRYPOINT ["python"') for line in final)

    def test_installs_locked_lists_only(self, dockerfile: str) -> None:
        for line in steps(dockerfile):
            for install in re.findall(r"pip install ([^&]*)", line):
                assert "--require-hashes" in install or "torch.txt" in install or "'^smplx'" in install, install


class TestRequirements:
    def test_hmr2_names_exact_versions_that_fit_every_build(self) -> None:
        lines = (ROOT / "requirements/hmr2.txt").read_text().splitlines()
        pins = [line for line in lines if line and not line.startswith("#")]
        assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+", line) for line in pins)
        assert {"torch==2.13.0", "smplx==0.1.28"} <= set(pins)

    @pytest.mark.parametrize("name", ["default", "photo", "meshopt", "dev"])
    def test_nothing_else_brings_torch_or_smplx(self, name: str) -> None:
        listed = (ROOT / f"requirements/{name}.txt").read_text()
        assert not re.search(r"^(torch|smplx|nvidia-[a-z-]+|chumpy)==", listed, re.MULTILINE)

    def test_versions_shared_with_the_default_list_are_the_same(self) -> None:
        both = [(ROOT / f"requirements/{name}.txt").read_text() for name in ("hmr2", "default")]
        hmr2, default = (dict(re.findall(r"^([a-z0-9-]+)==([0-9.]+)", text, re.MULTILINE)) for text in both)
        assert {name: default[name] for name in hmr2.keys() & default.keys()} == {
            name: hmr2[name] for name in hmr2.keys() & default.keys()
        }


class TestRunPodFiles:
    def test_the_smoke_test_is_a_job_this_worker_takes(self) -> None:
        given = json.loads((ROOT / "gpu_worker/test_input.json").read_text())
        assert decode_job(given["input"]).kind == "noop"

    def test_the_hubs_test_is_too(self) -> None:
        tests = json.loads((ROOT / ".runpod/tests.json").read_text())["tests"]
        assert [decode_job(test["input"]).kind for test in tests] == ["noop"]

    def test_the_hub_asks_for_what_the_worker_reads(self) -> None:
        asked = {variable["key"] for variable in json.loads((ROOT / ".runpod/hub.json").read_text())["config"]["env"]}
        assert asked == {"WORKER_STORAGE_ORIGIN", "HMR2_LICENCE_ACCEPTED_BY", "HMR2_WEIGHTS", "HMR2_SMPL"}
        assert (ROOT / ".runpod/Dockerfile").resolve() == ROOT / "gpu_worker/Dockerfile.cuda"


class TestFitness:
    def test_a_worker_with_its_origin_is_fit(self) -> None:
        assert faults(ORIGIN) == []

    def test_a_worker_without_is_told_what_is_missing(self) -> None:
        assert "WORKER_STORAGE_ORIGIN" in faults({})[0]

    def test_hmr2_that_was_signed_for_but_cannot_be_used_is_a_fault(self, tmp_path: Path) -> None:
        named = {"HMR2_WEIGHTS": str(tmp_path / "hmr2.safetensors"), "HMR2_SMPL": str(tmp_path / "smpl.npz")}
        assert faults(ORIGIN | named) == []
        found = faults(ORIGIN | named | {"HMR2_LICENCE_ACCEPTED_BY": "Jane Roe"})
        assert len(found) == 1
        assert found[0].startswith("hmr2: ")

    def test_a_device_that_does_not_exist_is_a_fault(self) -> None:
        assert "HMR2_DEVICE" in faults(ORIGIN | {"HMR2_DEVICE": "tpu"})[0]
