"""What import-linter cannot see: what is really loaded, asked in fresh processes."""

import subprocess
import sys

import pytest

GEOMETRY = ("scipy", "trimesh", "torch", "smplx", "anny", "mediapipe", "cv2", "runpod")
"""numpy is watched by import-linter alone: Ibis may load it, our own code may not."""
NEVER = ("torch", "smplx", "anny", "jax", "warp")


def loaded_after(code: str, modules: tuple[str, ...]) -> list[str]:
    """Which of `modules` are in `sys.modules` once `code` has run in a new interpreter."""
    script = f"{code}\nimport sys\nprint([name for name in {modules!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: list[str] = eval(done.stdout.splitlines()[-1])  # our own print of a list of names
    return found


def test_backend_loads_nothing_of_the_geometry_stack() -> None:
    assert loaded_after("import backend.app, backend.cli", GEOMETRY) == []


@pytest.mark.parametrize(
    ("door", "may_not_load"),
    [
        ("gpu_worker.contract", ("numpy", *GEOMETRY, "litestar")),
        ("gpu_worker.estimators.questionnaire", ("numpy", *GEOMETRY, "msgspec", "litestar")),
        ("gpu_worker.handler", ("runpod", "mediapipe", *NEVER)),
    ],
)
def test_doors_are_cheap(door: str, may_not_load: tuple[str, ...]) -> None:
    assert loaded_after(f"import {door}", may_not_load) == []


def test_body_without_photo_loads_neither_torch_nor_anny() -> None:
    code = (
        "from gpu_worker.pipeline import Pipeline\n"
        "from gpu_worker.contract import AvatarParams\n"
        "params = AvatarParams(height_cm=178, weight_kg=74, sex='male')\n"
        "Pipeline.load().run_avatar(params, None, None, lambda stage: None)"
    )
    assert loaded_after(code, NEVER) == []
