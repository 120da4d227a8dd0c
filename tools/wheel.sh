#!/usr/bin/env bash
# Makes the wheel: dist/optjournal-VERSION-...manylinux....whl, with client, daemon and command line
# and the libraries that they need. auditwheel brings those in, and names the wheel after the oldest
# systems that it runs on; it refuses what depends on anything else of the system.
#
# SPDX-License-Identifier: MIT
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"

readonly made=build/wheel
rm -rf "$made" dist/optjournal-*.whl
mkdir -p "$made" dist
OPTJOURNAL_TESTS=ON OPTJOURNAL_BENCH=ON OPTJOURNAL_EXAMPLES=ON \
  pip wheel --quiet --disable-pip-version-check --no-build-isolation --no-deps \
  --config-settings=build-dir="$PWD/build/release" --wheel-dir "$made" .
auditwheel repair --strip --wheel-dir "$made/repaired" "$made"/*.whl >"$made/repair.txt" 2>&1 || {
  tail -n 20 "$made/repair.txt" >&2
  exit 1
}
cp "$made"/repaired/*.whl dist/
ls dist/*.whl
