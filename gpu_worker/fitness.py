"""Whether this process could take jobs: the health check of the image. `python -m gpu_worker.fitness` exits 0 or 1.

What is optional and absent is no fault: the worker says so and offers the rest. But who has signed for hmr2 wants it,
so then it is one, shown here; the worker itself still takes jobs.
"""

import os
import sys
from collections.abc import Mapping

from gpu_worker.available import Hmr2Settings, available_estimators
from gpu_worker.settings import Settings, SettingsError


def faults(environ: Mapping[str, str]) -> list[str]:
    """What keeps the worker from working, one sentence each."""
    found = []
    try:
        Settings.from_env(environ)
    except SettingsError as error:
        found.append(str(error))
    try:
        wanted = Hmr2Settings.from_env(environ)
    except ValueError as error:
        return [*found, str(error)]
    if wanted.licence_accepted_by:
        found += [f"hmr2: {e.reason}" for e in available_estimators(wanted) if e.name == "hmr2" and not e.is_available]
    return found


if __name__ == "__main__":
    sys.exit("\n".join(faults(os.environ)) or 0)
