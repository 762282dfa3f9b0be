#!/usr/bin/env bash
# Resolve requirements/*.in into hashed lists (needs `uv`; never part of install or tests).
set -euo pipefail
cd "$(dirname "$0")"
resolve() { uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header "$@"; }
resolve default.in --output-file default.txt
resolve dev.in --output-file dev.txt
# Installed without what they declare: default.txt already holds what they really import.
resolve --no-deps photo.in --output-file photo.txt
resolve --no-deps meshopt.in --output-file meshopt.txt
