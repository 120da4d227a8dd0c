#!/usr/bin/env bash
# Deaths and what comes of them: workers and daemons killed around each other, processes that race
# for stale trials, and how long it takes (docs/verification.md, section 12).
#
# usage: tests/verify/orphans/run.sh [--fast]      $OJ_SEED chooses the seed; it is printed.
#
# SPDX-License-Identifier: MIT
set -uo pipefail
cd "$(dirname "$0")/../../.." || exit 1
export OPTJOURNALD=$PWD/build/release/bin/optjournald
export OJ_SEED=${OJ_SEED:-42}
readonly python=$PWD/.venv/bin/python

mkdir -p build/verify
cmake --build build/release --target client_test >build/verify/orphans-build.txt 2>&1 || {
  tail -n 20 build/verify/orphans-build.txt
  echo "FAILED orphans_build: see build/verify/orphans-build.txt"
  exit 1
}
rounds=300 races=10 gib=8
[[ ${1:-} == --fast ]] && rounds=50 races=2 gib=1
status=0

# NAME FIGURES COMMAND...
judge() {
  local name=$1 figures=$2 out=build/verify/orphans-$1.txt
  shift 2
  if "$@" >"$out" 2>&1; then
    echo "ok $name: $(sed -nE "s/(^|.*[^0-9])($figures).*/\2/p" "$out" | tail -n 1)"
  else
    tail -n 20 "$out"
    echo "FAILED $name: see $out"
    status=1
  fi
}

OJ_ROUNDS=$rounds judge "orphans_daemons_killed" "[0-9]+ rounds.*" \
  build/release/bin/client_test --gtest_filter='Orphans.AreEndedOnceOverDaemonsThatAreKilled'
judge "orphans_others" "[0-9]+ tests?\.$" \
  build/release/bin/client_test --gtest_filter='Orphans.*-*AreEndedOnceOverDaemons*'
if "$python" -c 'import optjournal, optuna' 2>/dev/null; then
  export RACES=$races
  # shellcheck disable=SC2016  # expanded by the inner shell
  judge "orphans_races" "[0-9]+ races.*" bash -c '
    cd tests/python && for ((i = 0; i < RACES; ++i)); do
      '"$python"' -m pytest -q -p no:cacheprovider -c ../../pyproject.toml --rootdir . \
        "test_orphans.py::test_racing_processes_fail_and_retry_each_stale_trial_once" || exit
    done; echo "$RACES races of 16 processes for 4 stale trials: each failed and retried once"'
  judge "orphans_times" "small:.*" "$python" bench/orphans.py --rounds 4 --gib "$gib" --line
else
  echo "skipped orphans_races: needs optjournal: .venv has it not"
fi
exit "$status"
