#!/usr/bin/env bash
# Many processes on one journal, killed and stopped at random, and what came of it
# (docs/verification.md, section 4).
#
# usage: tests/verify/processes/run.sh [--fast | --soak DURATION]
#   DURATION   90s, 30m, 1h or 2d: rounds of 3,000 kills, each with the next seed, and a line for
#              each round
# $OJ_SEED chooses the first seed; it is printed.
#
# SPDX-License-Identifier: MIT
set -uo pipefail
cd "$(dirname "$0")/../../.." || exit 1
export OPTJOURNALD=$PWD/build/release/bin/optjournald
export OJ_PYTHON=${OJ_PYTHON:-$PWD/.venv/bin/python}
readonly harness=build/release/bin/verify_processes

seconds_of() {
  local number=${1%[smhd]}
  case $1 in
    *m) echo $((number * 60)) ;;
    *h) echo $((number * 3600)) ;;
    *d) echo $((number * 86400)) ;;
    *) echo "$number" ;;
  esac
}

mkdir -p build/verify
cmake --build build/release --target verify_processes >build/verify/processes-build.txt 2>&1 || {
  tail -n 20 build/verify/processes-build.txt
  echo "FAILED build: see build/verify/processes-build.txt"
  exit 1
}

python=(--python 2)
if ! "$OJ_PYTHON" -c 'import optjournal, optuna' 2>/dev/null; then
  echo "skipped trials: needs optjournal: no interpreter with it at $OJ_PYTHON"
  python=()
fi

case ${1:-} in
  --soak)
    exec "$harness" "${python[@]}" --kills 3000 --heavy 1 --duration "$(seconds_of "${2:-1h}")"
    ;;
  --fast) size=(--kills 600 --seconds 20) ;;
  *) size=(--kills 10000 --seconds 200 --heavy 4) ;;
esac
status=0
"$harness" "${python[@]}" "${size[@]}" --plant --json build/verify/processes.json || status=1
"$harness" --kills 200 --seconds 20 --lie || status=1
exit "$status"
