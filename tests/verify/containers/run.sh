#!/usr/bin/env bash
# A service on the host, its workers in containers: each with user, mount, PID, IPC, network and UTS
# namespaces of its own, into which only the service's two folders are mounted; two users, one
# group. docs/security.md, "Containers".
#
# usage: tests/verify/containers/run.sh [--fast]      --fast does the same
#
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2317  # functions are called through check
set -uo pipefail
cd "$(dirname "$0")/../../.." || exit 1

[[ $(id -u) -eq 0 ]] || {
  echo "skipped containers: only root can become other users"
  exit 0
}
mkdir -p build/verify
cmake --build build/release --target optjournald optjournal verify_boot_worker \
  >build/verify/containers-build.txt 2>&1 || {
  tail -n 20 build/verify/containers-build.txt
  echo "FAILED build: see build/verify/containers-build.txt"
  exit 1
}

readonly watchdog_s=60 said=$PWD/build/verify/containers-said.txt
readonly group=61000 anna=61001 bert=61002 outsider=61003 server=61004 # no users of any system
place=$(mktemp -d) memory=$(mktemp -d -p /dev/shm oj-containers-XXXXXX)
daemon=
containers=() # process ids of `unshare`, each the parent of a worker
diaries=()
clean_up() {
  kill -KILL "${containers[@]}" "$daemon" 2>/dev/null
  wait
  rm -rf "$place" "$memory"
}
trap clean_up EXIT

chmod 711 "$place" "$memory"
install -d -o $server -g $group -m 750 "$place/hpo" "$memory/hpo"
install -d -m 1777 "$place/diaries"
install -d -m 755 "$place/root" "$place/programs"
cp build/release/bin/{optjournal,verify_boot_worker} "$place/programs"
export OPTJOURNAL_STATE_ROOT=$place OPTJOURNAL_RUNTIME_ROOT=$memory

in_container() {
  local user=$1 groups=$2
  shift 2
  exec setpriv --reuid="$user" --regid="$user" --groups="$groups" \
    env -u OPTJOURNAL_STATE_ROOT -u OPTJOURNAL_RUNTIME_ROOT \
    unshare --user --map-root-user --mount --pid --ipc --net --uts --fork --kill-child \
    "$PWD/tests/verify/containers/container.sh" "$place/root" "$place/programs" \
    "$place/hpo" "$memory/hpo" "$place/diaries" "$@"
}
start_daemon() {
  (umask 027 && exec setpriv --reuid=$server --regid=$group --groups=$group \
    build/release/bin/optjournald --service hpo 2>>build/verify/containers-daemon.txt) &
  daemon=$!
  until_so status
}
status() { build/release/bin/optjournal status --json optjournal://hpo; }
until_so() {
  local end=$((SECONDS + watchdog_s))
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || {
      echo "not within $watchdog_s s: $*"
      return 1
    }
    sleep 0.05
  done
}
# check NAME COMMAND...: one line, with what COMMAND printed last as the figures.
failed=0
check() {
  local name=$1
  shift
  if "$@" >"$said" 2>&1; then
    echo "ok $name: $(tail -n 1 "$said")"
  else
    echo "FAILED $name: $(tail -n 5 "$said" | tr '\n' ' ')"
    failed=1
  fi
}

returned() {
  local diary sum=0
  for diary in "${diaries[@]}"; do
    sum=$((sum + $(od -An -tu8 "$diary" 2>/dev/null || echo 0)))
  done
  echo "$sum"
}
returned_at_least() { [[ $(returned) -ge $1 ]]; }
workers() { [[ $(status | grep -o '"uid":6100[12]' | wc -l) -eq $1 ]]; }

own_namespaces() {
  local kind outer
  (in_container "$anna" "$group" /bin/sh -c 'cd /proc/self/ns && readlink user pid ipc mnt net') \
    >"$place/inner" || return
  for kind in user pid ipc mnt net; do
    outer=$(readlink "/proc/self/ns/$kind")
    ! grep -F "$outer" "$place/inner" || return
  done
  echo "user, PID, IPC, mount and network namespace are others than the daemon's"
}
four_attach() {
  local user i=0
  for user in $anna $anna $bert $bert; do
    diaries+=("$place/diaries/worker$i")
    in_container "$user" "$group" /programs/verify_boot_worker append optjournal://hpo "worker$i" \
      "/diaries/worker$i" >"$place/worker$i" 2>&1 &
    containers+=($!)
    i=$((i + 1))
  done
  if ! until_so returned_at_least 1000 || ! until_so workers 4; then
    cat "$place"/worker*
    return 1
  fi
  echo "two of each user, whom the daemon knows as $(status | grep -o '"uid":6100[12]' |
    sort | uniq -c | tr -s ' \n' ' ')"
}
daemon_is_killed() {
  kill -KILL "$daemon"
  wait "$daemon"
  start_daemon && until_so returned_at_least $(($(returned) + 2000)) && until_so workers 4 ||
    return
  echo "another one took over; $(returned) records"
}
worker_is_killed() {
  local began
  began=$(date +%s%N)
  kill -KILL "${containers[0]}" # with it, by --kill-child, all of its PID namespace
  wait "${containers[0]}"
  unset 'containers[0]'
  until_so workers 3 || return
  echo "its death was known after $((($(date +%s%N) - began) / 1000000)) ms; three go on"
}
outsider_is_refused() {
  local words
  words=$(in_container "$outsider" "$outsider" /programs/verify_boot_worker append \
    optjournal://hpo x /diaries/x 1 2>&1) && return 1
  echo "$words"
  [[ $words == *"start it with that group (docker run --group-add"* ]]
}
nothing_is_lost() {
  local pid
  for pid in "${containers[@]}"; do
    if ! pkill -TERM --parent "$pid" || ! wait "$pid"; then
      cat "$place"/worker*
      return 1
    fi
  done
  containers=()
  kill -TERM "$daemon"
  wait "$daemon" || return
  daemon=
  build/release/bin/verify_boot_worker judge optjournal://hpo "${diaries[@]}"
}

: >build/verify/containers-daemon.txt
start_daemon
(in_container "$anna" "$group" /bin/true) >"$said" 2>&1 || {
  echo "skipped containers: this machine allows none: $(tail -n 1 "$said")"
  exit 0
}
check own-namespaces own_namespaces
check attach four_attach
check daemon-killed daemon_is_killed
check worker-killed worker_is_killed
check outsider outsider_is_refused
check nothing-lost nothing_is_lost
exit $failed
