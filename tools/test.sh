#!/usr/bin/env bash
# Builds and runs the tests, or only the stages named: tools/test.sh [house-rules] [cpp] [python]
# [dashboard] [optuna-versions] [asan-ubsan] [tsan] [verify]. A stage that fails does not stop the
# others; the exit status says whether any did. The last lines show what tests measured (a line
# `measured WHAT: FIGURES` of their stdout), count every test and say how long each stage took.
#
# SPDX-License-Identifier: MIT
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
export PATH="$PWD/.venv/bin:$PATH"

readonly results=$PWD/build/test-results
readonly all_stages=(house-rules cpp python dashboard optuna-versions asan-ubsan tsan verify)
readonly stages=("${@:-${all_stages[*]}}")
export ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1

# ThreadSanitizer of GCC 12 refuses address spaces laid out with more randomness than it knows
# ("unexpected memory mapping"). Only then are its programs run without randomness.
without_randomness=()
probe_tsan() {
  local probe=build/tsan-probe
  [[ -x $probe ]] || echo 'int main() {}' | g++ -fsanitize=thread -x c++ - -o "$probe" || return 0
  local try
  for try in 1 2 3 4 5 6 7 8; do
    "$probe" 2>/dev/null && continue
    without_randomness=(setarch "$(uname -m)" -R)
    echo "tsan: address space layout randomisation is off for its programs (try $try failed)"
    return 0
  done
}

build_preset() {
  local preset=$1
  cmake --preset "$preset" --log-level=WARNING >/dev/null || return
  "${without_randomness[@]}" cmake --build --preset "$preset"
}

run_ctest() {
  local preset=$1
  "${without_randomness[@]}" ctest --preset "$preset" --parallel 2 --no-tests=error \
    --test-output-size-passed 65536 --output-junit "$results/$preset.xml"
}

run_pytest() {
  local stage=$1
  shift
  python -m pytest --quiet --junitxml="$results/$stage.xml" -o junit_family=xunit1 \
    -o junit_logging=system-out "$@"
}

stage_house_rules() { run_pytest house-rules tests/tidy; }
stage_cpp() { tools/build.sh && run_ctest release; }
stage_python() {
  local status=0
  tools/build.sh || return
  run_pytest python tests/python || status=1
  run_pytest cli tests/process/cli tests/process/systemd || status=1
  run_pytest metrics tests/process/metrics || status=1
  return $status
}
stage_dashboard() { tools/build.sh && run_pytest dashboard tests/process/dashboard; }
# Several times slower; the kills of the release build are the ones that count.
sanitized() { OJ_KILLS=50 "$@"; }
stage_asan_ubsan() { build_preset asan-ubsan && sanitized run_ctest asan-ubsan; }
stage_tsan() { probe_tsan && build_preset tsan && sanitized run_ctest tsan; }
# docs/verification.md
stage_verify() { tools/build.sh && tools/verify.sh --fast --junit "$results/verify.xml"; }
stage_optuna_versions() { tools/build.sh && tools/optuna_matrix.sh "$results"; }

rm -rf "$results"
mkdir -p "$results"
# shellcheck disable=SC2048  # the stages are words
for stage in ${stages[*]}; do
  printf '\n==== %s\n' "$stage"
  if ! declare -F "stage_${stage//-/_}" >/dev/null; then
    echo "no such stage: $stage; there are: ${all_stages[*]}" >&2
    exit 2
  fi
  begin=$SECONDS
  status=0
  "stage_${stage//-/_}" || status=$?
  printf '%s %s %s\n' "$stage" "$status" "$((SECONDS - begin))" >>"$results/stages"
done
python tools/test_summary.py "$results"
