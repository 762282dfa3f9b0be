"""Tests of the estimator `hmr2`: they need torch, smplx and the reference bundle, so `make test-hmr2` runs them.

Without torch nothing here is collected, and the last line of the report says so.
"""

import importlib.util
import os
from pathlib import Path

import pytest

MISSING = [name for name in ("torch", "smplx", "safetensors") if importlib.util.find_spec(name) is None]
collect_ignore_glob = ["*.py"] if MISSING else []

if not MISSING:
    import numpy as np

    from gpu_worker.body.smpl import SmplModel
    from tests.hmr2.stand_in import smpl_arrays


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if MISSING:
        terminalreporter.write_line(
            f"hmr2: NOT TESTED, {', '.join(MISSING)} not installed; 'make test-hmr2' does.", yellow=True
        )


@pytest.fixture(scope="session")
def bundle() -> Path:
    """The folder of reference arrays made by the original code; its README says how."""
    folder = os.environ.get("HMR2_REFERENCE_DIR")
    if not folder:
        pytest.skip("HMR2_REFERENCE_DIR is not set: no reference arrays to compare with")
    return Path(folder)


@pytest.fixture(scope="session")
def smpl_file(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic body in SMPL's format; nothing in it is SMPL's."""
    path = tmp_path_factory.mktemp("smpl") / "SYNTHETIC.npz"
    np.savez(path, **smpl_arrays(bundle))
    return path


@pytest.fixture(scope="session")
def smpl(smpl_file: Path) -> "SmplModel":
    return SmplModel.load(smpl_file)
