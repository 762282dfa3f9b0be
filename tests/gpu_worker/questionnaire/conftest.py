"""The survey is not part of the repository: tests that need it take its folder from ANSUR_DIR."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def survey_folder() -> Path:
    folder = os.environ.get("ANSUR_DIR")
    if not folder:
        pytest.skip("ANSUR_DIR is not set: nothing that needs the ANSUR II survey was checked")
    return Path(folder)
