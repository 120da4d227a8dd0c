#!/usr/bin/env bash
# The harness of section 4 on Optuna's own journal and on SQLite: is what is known of them found?
# (docs/verification.md, section 8)
#
# usage: tests/verify/controls/run.sh [--fast]      $OJ_SEED chooses the seed; it is printed.
#
# The oldest Optuna with this journal runs in an environment of its own, .venvs/optuna-4.0, which
# tools/optuna_matrix.sh shares; with --fast only if it is there.
#
# SPDX-License-Identifier: MIT
set -uo pipefail
cd "$(dirname "$0")/../../.." || exit 1
export OPTJOURNALD=$PWD/build/release/bin/optjournald
readonly python=${OJ_PYTHON:-$PWD/.venv/bin/python}
readonly seed=${OJ_SEED:-$((RANDOM + 1))}
readonly results=build/verify/controls
readonly old=.venvs/optuna-4.0
readonly wanted="optuna==4.0.* numpy setuptools cmaes pytest" # as tools/optuna_matrix.sh says it

rm -rf "$results"
mkdir -p "$results"
if ! "$python" -c 'import optjournal, optuna' 2>/dev/null; then
  echo "skipped controls: needs optjournal: no interpreter with it at $python"
  exit 0
fi
cmake --build build/release --target optjournald >"$results/build.txt" 2>&1 || {
  echo "FAILED build: see $results/build.txt"
  exit 1
}

size=(--seconds 10 --creates 250)
fast=
if [[ ${1:-} == --fast ]]; then
  size=(--seconds 4 --creates 40)
  fast=1
fi

run() { # INTERPRETER NAME STORAGE...
  local interpreter=$1 name=$2
  shift 2
  timeout 120 "$interpreter" tests/verify/controls/controls.py "${size[@]}" --seed "$seed" "$@" \
    >"$results/$name.txt" 2>"$results/$name.errors"
}

if [[ ! -x $old/bin/python && -z $fast ]]; then
  "$python" -m venv "$old"
  # shellcheck disable=SC2086  # one word a package
  "$old/bin/pip" install --quiet --disable-pip-version-check $wanted >"$results/pip.txt" 2>&1 &&
    echo "$wanted" >"$old/wanted"
fi
echo "seed $seed"
run "$python" newest file &
if "$old/bin/python" -c 'import optuna' 2>/dev/null; then
  run "$old/bin/python" oldest file &
else
  [[ -n $fast ]] && why="--fast: no" || why="tried: $(tail -n 1 "$results/pip.txt"); no"
  echo "skipped optuna 4.0: $why environment $old"
fi
run "$python" sqlite sqlite &
run "$python" ours optjournal &
wait
rows=()
for name in ours sqlite newest oldest; do
  [[ -f $results/$name.txt ]] && rows+=("$results/$name.txt")
done
cat "${rows[@]}" | "$python" tests/verify/controls/table.py
