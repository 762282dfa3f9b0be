# ruff: noqa: INP001, S108, S603, S607, T201  a developer's script, run by hand
"""Run an image's install steps in a fresh virtual environment, without Docker.

`python .ci/dry_run_image.py backend/Dockerfile` takes the RUN steps of the stage `packages` and the COPY steps of the
last stage, so it follows the Dockerfile. System packages and users are the image's own affair and are left out. Then it
tries what the image would start.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TRIALS = {
    "worker": (
        "python -c 'import gpu_worker.main, gpu_worker.pipeline'",
        "python -m gpu_worker.fitness",
        "python -m gpu_worker.cli estimate --height-cm 172 --weight-kg 68 --sex female",
        """python -u -m gpu_worker.main --test_input "$(cat gpu_worker/test_input.json)" """,
    ),
    "backend": ("python -c 'import backend.app'", "python -m backend.cli migrate", "python -m backend.cli brands list"),
    "cuda": ("python -c 'import torch, smplx, safetensors, gpu_worker.estimators.hmr2_estimator'",),
}


def instructions(dockerfile: Path) -> list[tuple[str, str, str]]:
    """(stage, instruction, rest) of each step; continued lines are joined."""
    joined = re.sub(r"\\\n\s*", "", dockerfile.read_text())
    stage, found = "", []
    for line in joined.splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            name = re.search(r" AS (\S+)", rest)
            stage = name.group(1) if name else ""
        elif word.isupper():
            found.append((stage, word, rest))
    return found


def main() -> int:
    dockerfile = Path(sys.argv[1])
    kind = "backend" if dockerfile.parent.name == "backend" else "worker"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(ROOT / "requirements", folder / "requirements")
        environ = {"PATH": f"{folder}/venv/bin:{os.environ['PATH']}", "HOME": name, "DATA_DIR": f"{name}/data"}
        environ |= {k: v for k, v in os.environ.items() if k.startswith(("PIP_", "SSL_", "HTTP", "NO_PROXY", "http"))}
        environ |= {"WORKER_STORAGE_ORIGIN": "http://127.0.0.1:8000", "RUNPOD_SKIP_GPU_CHECK": "true"}
        environ |= {"RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        steps = instructions(dockerfile)
        for stage, word, rest in steps:
            if word == "RUN" and stage == "packages" and "apt-get" not in rest:
                run(
                    rest.replace("/tmp/requirements", f"{name}/requirements").replace("/opt/venv", f"{name}/venv"),
                    folder,
                    environ,
                )
        app = folder / "app"
        app.mkdir()
        for stage, word, rest in steps:
            if word == "COPY" and not stage and not rest.startswith("--"):
                copy(rest, app)
        for trial in (*TRIALS[kind], *(TRIALS["cuda"] if dockerfile.suffix == ".cuda" else ())):
            run(trial, app, environ)
        size = sum(path.stat().st_size for path in (folder / "venv").rglob("*") if path.is_file())
        print(f"{dockerfile}: works; packages take {size / 1e6:.0f} MB", flush=True)
    return 0


def run(command: str, folder: Path, environ: dict[str, str]) -> None:
    start_s = time.monotonic()
    done = subprocess.run(
        ["bash", "-euc", command], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
    print(f"{time.monotonic() - start_s:6.1f} s  {command}", flush=True)
    if done.returncode:
        sys.exit(f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}\nfailed with {done.returncode}: {command}")


def copy(rest: str, app: Path) -> None:
    """A COPY from the build context, `embed` and compiled files aside."""
    *sources, target = shlex.split(rest)
    for source in sources:
        place = app / target
        is_into = len(sources) > 1 or target.endswith("/")
        if (ROOT / source).is_dir():
            shutil.copytree(
                ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__", "training"), dirs_exist_ok=True
            )
        else:
            place = place / Path(source).name if is_into else place
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, place)


if __name__ == "__main__":
    sys.exit(main())
