"""What this machine must have before the demo starts; each refusal says in one sentence what to do."""

import importlib.util
import platform
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

MIN_NODE = (20, 19)


class PreflightFailed(Exception):
    """The demo cannot run here; the text says what to change."""


def check_python() -> str:
    if not (3, 11) <= sys.version_info[:2] <= (3, 12):
        raise PreflightFailed(f"Python 3.11 or 3.12 is needed, this is {platform.python_version()}.")
    return f"Python {platform.python_version()}"


def check_node() -> str:
    node = shutil.which("node")
    if node is None:
        raise PreflightFailed("Node 20.19 or newer is needed for the sample storefront; install it and start again.")
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603
    match = re.match(r"v(\d+)\.(\d+)", said)
    if match is None or (int(match[1]), int(match[2])) < MIN_NODE:
        raise PreflightFailed(f"Node 20.19 or newer is needed for the sample storefront, this is {said or 'unknown'}.")
    return f"Node {said.lstrip('v')}"


def check_platform() -> str:
    system, machine = platform.system(), platform.machine()
    if system not in {"Linux", "Darwin"}:
        raise PreflightFailed(f"The demo runs on Linux and macOS, this is {system}; use a Linux machine or container.")
    return f"{system} {machine}"


def check_front_end(embed_page: Path) -> None:
    if not embed_page.exists():
        raise PreflightFailed("The front end is not built; run `make install` (or `make demo`) first.")


def has_photo_estimator() -> bool:
    return importlib.util.find_spec("mediapipe") is not None


def free_port(wanted: int) -> int:
    """`wanted` when nothing listens there, else one that the system picks."""
    for port in (wanted, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise PreflightFailed("No free port on 127.0.0.1; stop another server and start again.")
