#!/usr/bin/env bash
# Builds build/release/bin/{optjournald,optjournal} and everything else of the preset `release` with
# the Python extension in it, and installs the package into .venv. The wheel is made in the same
# build folder, so nothing is compiled twice.
#
# SPDX-License-Identifier: MIT
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"

readonly folder=build/release
# What pip's build sets in that folder is set here too: a variable that flips would configure again.
readonly python=$PWD/.venv/bin/python
cmake --preset release --log-level=WARNING -DOPTJOURNAL_PYTHON=ON -DOPTJOURNAL_TESTS=ON \
  -DOPTJOURNAL_BENCH=ON -DOPTJOURNAL_EXAMPLES=ON -DPython_EXECUTABLE="$python" >/dev/null
cmake --build --preset release

# Again only when something that the wheel holds is newer than what is installed.
installed() {
  python -c 'import importlib.util as u; print(u.find_spec("optjournal").origin)' 2>/dev/null
}
readonly stamp=$folder/python/installed
if [[ -f $stamp && $(installed) == *.venv* ]] &&
  [[ -z $(find pyproject.toml CMakeLists.txt python/CMakeLists.txt python/optjournal \
    "$folder"/python/*.so "$folder"/bin/optjournal "$folder"/bin/optjournald \
    -newer "$stamp" -not -name '__pycache__' -not -name '*.pyc' -print -quit) ]]; then
  exit 0
fi
OPTJOURNAL_TESTS=ON OPTJOURNAL_BENCH=ON OPTJOURNAL_EXAMPLES=ON \
  pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --force-reinstall \
  --config-settings=build-dir="$folder" .
touch "$stamp"
