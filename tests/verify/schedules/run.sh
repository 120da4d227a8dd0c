#!/usr/bin/env bash
# The real code of shm/ under a scheduler (docs/verification.md, section 2): two processes with
# different seeds; then each planted fault, which must be found.
#
# usage: tests/verify/schedules/run.sh [--fast]
#   OJ_SEED=N                                        one schedule, step by step
#   OJ_SEED=N build/release/bin/schedules --fault NAME   the same with a fault
#
# SPDX-License-Identifier: MIT
set -uo pipefail
cd "$(dirname "$0")/../../.." || exit 1

count=400000
[[ ${1:-} == --fast ]] && count=10000
readonly fault_count=50000
readonly firsts=(1 1000000001)
readonly program=build/release/bin/schedules
status=0

failed() {
  echo "FAILED $*"
  status=1
}

built=$(cmake --build build/release --target schedules 2>&1) || {
  echo "$built"
  failed "schedules: the program does not build"
  exit 1
}

if [[ -n ${OJ_SEED:-} ]]; then exec "$program"; fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
pids=()
for first in "${firsts[@]}"; do
  timeout 600 "$program" --first "$first" --count "$count" >"$folder/$first" 2>&1 &
  pids+=($!)
done
for i in "${!firsts[@]}"; do
  first=${firsts[$i]}
  if wait "${pids[$i]}"; then
    echo "ok schedules from seed $first: $(paste -sd ' ' "$folder/$first")"
  else
    failed "schedules from seed $first: $(tail -n 1 "$folder/$first")"
  fi
done

for fault in $("$program" --list-faults); do
  said=$(timeout 600 "$program" --fault "$fault" --count "$fault_count" 2>&1)
  case $? in
    1) echo "ok mutant $fault: found after ${said#*after }, ${said%% *}" ;;
    0) failed "mutant $fault: not found in $fault_count schedules" ;;
    *) failed "mutant $fault: $said" ;;
  esac
done
exit "$status"
