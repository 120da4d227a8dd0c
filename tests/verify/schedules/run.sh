#!/usr/bin/env bash
# The real code of shm/ under a scheduler (docs/verification.md, section 2): two processes with
# different seeds; then each planted fault, which must be found. What a seed found it must find
# again: every fault's, and those that once found something, run alone, twice, are the same step by
# step.
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
# Which found a fault, planted here or in the sources (tests/verify/planted), or damage.
readonly once_found=(2 9 28 48 89 608 1509 1684 5450 37428)
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

# trace SEED [--fault NAME]: all steps of one schedule, but for the process id that is written into
# a slot.
trace() {
  local seed=$1
  shift
  OJ_SEED=$seed "$program" "$@" | grep -v '\.pid '
}
# Steps, hash and last line of a trace, if a second one is the same.
replay() {
  trace "$@" >"$folder/once"
  trace "$@" >"$folder/again"
  cmp "$folder/once" "$folder/again" >&2 || return 1
  steps=$(wc -l <"$folder/once")
  hash=$(sha256sum <"$folder/once" | cut -c 1-12)
  end=$(tail -n 1 "$folder/once")
}

all_steps=0 hashes='' before=$status
for seed in "${once_found[@]}"; do
  if ! replay "$seed" || [[ $end == OJ_SEED=* ]]; then
    failed "replay of seed $seed: it is not the same twice, or finds something: $end"
    continue
  fi
  ((all_steps += steps))
  hashes+=$hash
done
[[ $status -eq $before ]] &&
  echo "ok replay: ${#once_found[@]} seeds that once found something, $all_steps steps, the same" \
    "twice (hash $(sha256sum <<<"$hashes" | cut -c 1-12)), and find nothing now"

for fault in $("$program" --list-faults); do
  said=$(timeout 600 "$program" --fault "$fault" --count "$fault_count" 2>&1)
  case $? in
    1)
      seed=${said%% *}
      if replay "${seed#*=}" --fault "$fault" && [[ ${end#*: } == "${said#*: }" ]]; then
        echo "ok mutant $fault: found after ${said#*after }, $seed, which repeats it ($hash)"
      else
        failed "mutant $fault: $said, but $seed alone: $end"
      fi
      ;;
    0) failed "mutant $fault: not found in $fault_count schedules" ;;
    *) failed "mutant $fault: $said" ;;
  esac
done
exit "$status"
