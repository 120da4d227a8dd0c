#!/usr/bin/env bash
# Searches all states of the models of the shared-memory protocol, and of each with a mistake
# planted in it: a model must hold, and a mistake must be found.
#
# ring.pml: order ring, chunks, hazards, reclaim, flush, restart, take-over. wake.pml: wake words.
# room.pml: requests for room. What each abstracts from stands at its top.
#
# usage: run.sh [--fast]
# A search that was cut short (depth, memory) counts as FAILED. Nothing here is random.
#
# SPDX-License-Identifier: MIT
set -uo pipefail
cd "$(dirname "$0")/../../.." || exit 1

readonly models=$PWD/tests/verify/model
readonly jobs=2 memory_mib=2900 depth_max=100000
fast=no
[[ ${1:-} == --fast ]] && fast=yes

if ! command -v spin >/dev/null || ! command -v gcc >/dev/null; then
  echo "FAILED model: spin and gcc are needed, see tools/install_dependencies.sh"
  exit 1
fi
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT

# search WHAT MODEL OPTION ...: one line. WHAT is `holds`, or NAME:TEXT: the mistake in it, and what
# must be in the assertion that it breaks, as pan writes it. Another assertion is no proof that the
# one meant for the mistake sees it.
search() {
  local what=${1%%:*} expected=${1#*:} model=$2 level=-O2 line states depth seconds broken name
  shift 2
  name="$model $(printf '%s\n' "$@" | grep -v ^-DM_ | sed 's/^-D//' | tr '\n' ' ')"
  name=${name% }
  if [[ $what != holds ]]; then
    level=-O0 # compiles faster, and there is little to search
    name="mutant $what"
  fi
  local here
  here=$(mktemp -d "$folder/XXXXXX") && cd "$here" || return 1
  cp "$models/$model.pml" model.pml
  if ! { spin -a "$@" model.pml && gcc "$level" -w -DSAFETY -DCOLLAPSE -DMEMLIM="$memory_mib" \
    -o pan pan.c; } >build.txt 2>&1; then
    echo "FAILED $name: it does not compile: $(tail -n 1 build.txt)"
    return 1
  fi
  # -E: who was stopped for ever stands anywhere; the monitor says which ends are valid. pan's exit
  # status says nothing.
  ./pan -E -m"$depth_max" >found.txt 2>&1
  line=$(grep -o 'errors: [0-9]*' found.txt)
  states=$(awk '/states, stored/ { printf "%d", $1; exit }' found.txt)
  depth=$(sed -n 's/.*depth reached \([0-9]*\),.*/\1/p' found.txt)
  seconds=$(sed -n 's/.*elapsed time \([0-9.]*\) seconds.*/\1/p' found.txt)
  broken=$(sed -n 's/.*\(assertion violated .*\) (at depth.*/\1/p' found.txt | tr -s ' ')
  local status=0
  if grep -qE 'max search depth too small|MEMLIM|out of memory|aborted|hash array' found.txt; then
    broken=$(grep -m 1 -E 'max search|MEMLIM|memory|aborted' found.txt)
    echo "FAILED $name: the search was cut short: $broken"
    status=1
  elif [[ $what == holds && $line == "errors: 0" && ${states:-0} -gt 1000 ]]; then
    echo "ok $name: $states states, depth $depth, ${seconds:-0} s"
  elif [[ $what != holds && $line == "errors: 1" && $broken == *"$expected"* ]]; then
    echo "ok $name: after $states states, as expected: $broken"
  elif [[ $what != holds && $line == "errors: 1" ]]; then
    echo "FAILED $name: expected that $expected is violated, and found: ${broken:-nothing}"
    status=1
  elif [[ $what != holds ]]; then
    echo "FAILED $name: not found, ${line:-no answer} after ${states:-0} states"
    status=1
  else
    echo "FAILED $name: ${line:-no answer}, $broken after ${states:-0} states"
    spin -t -p "$@" model.pml 2>&1 | grep -E 'proc .*model.pml|assert' | tail -n 60
    status=1
  fi
  cd "$folder" && rm -rf "$here"
  return "$status"
}
export -f search
export models memory_mib depth_max folder

# The long ones first, so that no core is idle at the end.
configurations() {
  if [[ $fast == no ]]; then
    cat <<'LIST'
holds ring N=2 K=2 C=2 E=1 CRASHES=1 STOPS=0 KILLS=0
holds ring N=2 K=2 C=2 E=1 CRASHES=0 STOPS=1 KILLS=0
holds ring N=2 K=2 C=2 E=2 CRASHES=1 STOPS=0 KILLS=0
holds ring N=2 K=2 C=3 E=1 CRASHES=0 STOPS=1 KILLS=0 READERS=0
holds ring N=2 K=2 C=2 E=2 CRASHES=0 STOPS=1 KILLS=0
holds ring N=2 K=2 C=2 E=1 CRASHES=0 STOPS=0 KILLS=1 READERS=0
holds ring N=2 K=1 C=2 E=1 CRASHES=1 STOPS=0 KILLS=1 READERS=0
holds ring N=2 K=1 C=2 E=1 CRASHES=0 STOPS=0 KILLS=1
holds ring N=3 K=2 C=2 E=1 CRASHES=0 STOPS=0 KILLS=0
holds ring P=3 N=2 K=1 C=2 E=1 CRASHES=0 STOPS=0 KILLS=0
holds wake WAKERS=1 REPEAT=1 HALTS=2 CRASHES=1
holds wake RECORDS=2
holds room W=2 K=2
holds room W=3 K=1
LIST
  fi
  cat <<'LIST'
holds ring N=3 K=2 C=2 E=2 CRASHES=0 STOPS=0 KILLS=0
holds ring N=2 K=2 C=2 E=2 CRASHES=0 STOPS=0 KILLS=0
holds ring N=2 K=1 C=2 E=1 CRASHES=1 STOPS=1 KILLS=0
holds ring N=2 K=1 C=2 E=1 CRASHES=0 STOPS=0 KILLS=1 READERS=0
holds wake WAKERS=1 REPEAT=1 HALTS=1 CRASHES=1
holds wake WAKERS=2
holds room W=2 K=1
re-read-decides-success:known[ ring M_REREAD_SUCCESS C=2 CRASHES=0 STOPS=0 READERS=0
re-read-is-expected:b==published ring M_REREAD_EXPECTED C=2 CRASHES=0 STOPS=0 READERS=0
hint-trusted:b==published ring M_HINT_TRUSTED C=2 CRASHES=0 STOPS=0
slot-reused-at-published:b<(durable ring M_REUSE_PUBLISHED C=2 E=2 CRASHES=0 STOPS=0 READERS=0
reader-ignores-lap:==order[position] ring M_NO_LAP_CHECK C=2 E=2 CRASHES=0 STOPS=0
sealed-before-published:==order[next] ring M_SEAL_BEFORE_PUBLISH C=2 CRASHES=0 STOPS=0 READERS=0
reclaim-before-synced:==order[next] ring M_RECLAIM_UNSYNCED C=2 CRASHES=0 STOPS=0 READERS=0
end-seen-before-sealed:==order[next] ring M_END_BEFORE_SEALED C=2 E=2 CRASHES=0 STOPS=0 READERS=0
restart-forgets-the-end:==order[position] ring M_RESTART_FORGETS C=2 CRASHES=1 STOPS=0
free-without-hazards:==order[position] ring M_NO_HAZARD_LOOK C=2 CRASHES=0 STOPS=0
retained-after-hazards:==order[position] ring M_RETAINED_LATE C=2 CRASHES=0 STOPS=0
hazard-after-retained:==order[position] ring M_HAZARD_LATE C=2 CRASHES=0 STOPS=0
pin-not-confirmed:==order[position] ring M_NO_RETAINED_CHECK C=2 CRASHES=0 STOPS=0
synced-before-sync:synced<=durable ring M_SYNCED_EARLY C=2 CRASHES=1 STOPS=0 READERS=0
no-incarnation:==order[next] ring M_NO_INCARNATION C=2 CRASHES=0 STOPS=0 KILLS=1 READERS=0
slot-free-before-sealed:owner[i]==0 ring M_FINISH_FIRST C=2 K=1 CRASHES=1 STOPS=0 KILLS=1 READERS=0
stopped-producer-is-reaped:==order[next] ring M_REAP_STOPPED C=2 CRASHES=0 STOPS=0 LATE=1 READERS=0
stopped-reader-is-reaped:==order[position] ring M_UNPIN_STOPPED C=2 CRASHES=0 STOPS=0 LATE=1
armed-cleared-anyway:position[i]==published wake M_CLEAR_ANYWAY
no-look-after-arming:position[i]==published wake M_NO_LOOK_AFTER_ARM
look-before-true:position[i]==published wake M_LOOK_BEFORE_TRUE
arm-without-change:position[i]==published wake M_ARM_ONCE
wake-without-change:position[i]==published wake M_WAKE_SAME_EPOCH
no-repeated-wake:position[i]==published wake REPEAT=0 HALTS=1
no-wake-at-restart:position[i]==published wake M_NO_WAKE_AT_START REPEAT=1 HALTS=1 CRASHES=1
room-made-looked-up-late:done[i] room M_ROOM_MADE_LATE
room-wanted-after-asking:done[i] room M_WANTED_AFTER_ASK
room-no-look-after-arming:done[i] room M_NO_LOOK_AFTER_ARM
daemon-no-look-after-arming:synced==published room M_DAEMON_NO_LOOK
asks-seen-as-of-now:done[i] room M_ASKS_SEEN_AS_OF_NOW
room-wanted-cleared-late:done[i] room M_WANTED_FORGOTTEN
room-counted-before-freed:done[i] room M_COUNT_BEFORE_FREE
room-without-wake:done[i] room M_NO_WAKE
LIST
}

configurations | awk '{ for (i = 3; i <= NF; i++) $i = "-D" $i; print }' |
  xargs -P "$jobs" -L 1 bash -c 'search "$@"' search
status=$?
[[ $status -eq 0 ]]
