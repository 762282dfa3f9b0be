"""What import-linter cannot see: what is really loaded, asked in fresh processes."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import shopify

REPOSITORY = Path(__file__).resolve().parents[2]

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


SHOPIFY_ALLOWED = {
    "backend/shopify/scopes.py": {"ApiAccess"},
    "backend/shopify/code_grant.py": {"Session"},
}
"""ShopifyAPI keeps sessions in globals that other coroutines and threads see: two values of it are safe, no more."""
SESSION_ALLOWED = {"create_permission_url", "validate_hmac"}


def shopify_use(source: str) -> list[str]:
    """How a file uses the package: what it imports of it, and every form of import that hides that."""
    used = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            used += [
                f"import {one.name}" for one in node.names if one.name.split(".")[0] in {"shopify", "pyactiveresource"}
            ]
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in {"shopify", "pyactiveresource"}:
            used += [one.name if node.module == "shopify" else f"{node.module}.{one.name}" for one in node.names]
    return used


class TestShopifyApi:
    def test_only_its_two_stateless_values_are_used(self) -> None:
        found = {
            str(path.relative_to(REPOSITORY)): set(used)
            for package in ("backend", "analytics", "gpu_worker", "migrations")
            for path in sorted((REPOSITORY / package).rglob("*.py"))
            if (used := shopify_use(path.read_text()))
        }
        assert found == SHOPIFY_ALLOWED

    def test_of_a_session_only_what_keeps_nothing(self) -> None:
        tree = ast.parse((REPOSITORY / "backend" / "shopify" / "code_grant.py").read_text())
        named = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert named >= SESSION_ALLOWED
        package = {name for name in vars(shopify.Session) if not name.startswith("_")}
        assert named & package == SESSION_ALLOWED

    @pytest.mark.parametrize(
        "source",
        [
            "import shopify",
            "import shopify.session",
            "from shopify.base import ShopifyResource",
            "import pyactiveresource",
        ],
    )
    def test_other_imports_are_found(self, source: str) -> None:
        assert shopify_use(source)
