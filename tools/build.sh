#!/usr/bin/env bash
# Builds build/release/bin/{optjournald,optjournal} and installs the Python package into .venv.
#
# SPDX-License-Identifier: MIT
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"

cmake --preset release --log-level=WARNING >/dev/null
cmake --build --preset release
if [[ -f pyproject.toml ]]; then
  pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps .
fi
