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
  echo "skipped containers: needs root: who can become other users"
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
install -d -o "$server" -g "$group" -m 750 "$place/hpo" "$memory/hpo"
install -d -m 1777 "$place/diaries"
install -d -m 755 "$place/root" "$place/programs"
cp build/release/bin/{optjournal,optjournald,verify_boot_worker} tests/verify/containers/* \
  "$place/programs"
export OPTJOURNAL_STATE_ROOT=$place OPTJOURNAL_RUNTIME_ROOT=$memory

in_container() {
  local user=$1 groups=$2
  shift 2
  exec setpriv --reuid="$user" --regid="$user" --groups="$groups" \
    env -u OPTJOURNAL_STATE_ROOT -u OPTJOURNAL_RUNTIME_ROOT \
    unshare --user --map-root-user --mount --pid --ipc --net --uts --fork --kill-child \
    "$place/programs/container.sh" "$place/root" "$place/programs" "$PWD/.venv" \
    "$place/hpo" "$memory/hpo" "$place/diaries" "$@"
}
start_daemon() {
  (umask 027 && exec setpriv --reuid="$server" --regid="$group" --groups="$group" \
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
  echo "two of each of two users, with nothing mounted but the two folders"
}
users_are_the_hosts() {
  local seen
  seen=$(status | grep -o '"uid":6100[12]' | sort | uniq -c | tr -s ' \n' ' ')
  [[ $seen == " 2 \"uid\":$anna 2 \"uid\":$bert " ]] || return
  echo "root in the container; the daemon knows $seen"
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
# A command in a container of a member, to its end.
contained() { (in_container "$1" "$group" "${@:2}"); }
synced_and_read() {
  local words
  diaries+=("$place/diaries/synced")
  contained "$bert" /programs/verify_boot_worker append-synced optjournal://hpo synced \
    /diaries/synced 200 || return
  words=$(contained "$anna" /programs/optjournal status --json optjournal://hpo) || return
  grep -o '"synced": *[0-9]*' <<<"$words" | head -n 1 || return
  contained "$anna" /programs/verify_boot_worker judge optjournal://hpo /diaries/synced || return
  echo "200 records synced by one user are read by the other"
}
python() { contained "$1" /venv/bin/python /programs/study.py "${@:2}"; }
forks_go_on() { python "$anna" make && python "$anna" fork; }
# A trial of one user's container, which is killed, is tried again in the other's.
orphan_is_retried() {
  local asker
  (in_container "$anna" "$group" /venv/bin/python /programs/study.py ask /diaries/asked) &
  asker=$!
  containers+=("$asker")
  until_so test -s "$place/diaries/asked" || return
  kill -KILL "$asker"
  wait "$asker"
  unset 'containers[-1]'
  until_so is_waiting || return
  python "$bert" optimize 2 && python "$bert" judge
}
is_waiting() {
  build/release/bin/optjournal trials --json optjournal://hpo contained | grep -q '"WAITING"'
}
outsider_is_refused() {
  local words
  words=$(in_container "$outsider" "$outsider" /programs/verify_boot_worker append \
    optjournal://hpo x /diaries/x 1 2>&1) && return 1
  echo "$words"
  [[ $words == *"start it with that group (docker run --group-add"* ]]
}
# As root of the container, which it is there.
root_inside_is_nobody() {
  local act
  for act in "touch /var/lib/optjournal/hpo/x" "rm /run/optjournal/hpo/control.sock" \
    "mount -o remount,bind,rw /var/lib/optjournal/hpo; touch /var/lib/optjournal/hpo/x" \
    "mv /run/optjournal/hpo/region-1 /run/optjournal/hpo/x" "kill -KILL $daemon"; do
    ! contained "$anna" /bin/sh -c "test \$(id -u) = 0 || exit 0; $act" ||
      { echo "it may: $act" && return 1; }
  done
  [[ $(contained "$anna" /bin/sh -c 'ls -d /proc/[0-9]*' | wc -l) -le 3 ]] || return
  status >/dev/null || return
  echo "root of a container changes nothing, and sees no process but its own"
}
other_boot_is_refused() {
  local words
  tr 0-9a-f 1-9a-f0 </proc/sys/kernel/random/boot_id >"$place/programs/boot_id"
  words=$(BOOT_ID=$place/programs/boot_id contained "$anna" /programs/verify_boot_worker append \
    optjournal://hpo y /diaries/y 1) && return 1
  echo "$words"
  [[ $words == *"type: umount /proc/sys/kernel/random/boot_id"* ]]
}
# The daemon of another journal, in a user namespace that has its own user and the group only.
users_of_outside_are_one() {
  local inner user attached=() result=0
  export OPTJOURNAL_STATE_ROOT=$place/apart OPTJOURNAL_RUNTIME_ROOT=$memory/apart
  install -d -o "$server" -g "$group" -m 711 "$place/apart" "$memory/apart"
  install -d -o "$server" -g "$group" -m 750 "$place/apart/inner" "$memory/apart/inner"
  (umask 027 && exec setpriv --reuid="$server" --regid="$group" --clear-groups \
    unshare --user --map-user="$server" --map-group="$group" \
    "$place/programs/optjournald" --service inner 2>>build/verify/containers-daemon.txt) &
  inner=$!
  until_so build/release/bin/optjournal status optjournal://inner || return
  for user in $anna $bert; do
    (exec setpriv --reuid="$user" --regid="$user" --groups="$group" \
      "$place/programs/verify_boot_worker" append optjournal://inner "inner$user" \
      "$place/diaries/inner$user") &
    attached+=($!)
  done
  until_so two_unknown || result=1
  kill -TERM "${attached[@]}"
  wait "${attached[@]}"
  kill -TERM "$inner"
  wait "$inner" && [[ $result -eq 0 ]] || return
  echo "two users are 65534 to a daemon whose namespace has no names for them"
}
two_unknown() {
  [[ $(build/release/bin/optjournal status --json optjournal://inner |
    grep -o '"uid":65534' | wc -l) -eq 2 ]]
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
  echo "skipped containers: tried: this machine allows none: $(tail -n 1 "$said")"
  exit 0
}
check own-namespaces own_namespaces
check S28-attach four_attach
check S29-users users_are_the_hosts
check daemon-killed daemon_is_killed
check worker-killed worker_is_killed
check synced synced_and_read
if setpriv --reuid="$anna" --clear-groups .venv/bin/python -c 'import optjournal' 2>/dev/null; then
  check fork forks_go_on
  check orphan-retried orphan_is_retried
else
  echo "skipped fork: tried: users cannot read $PWD/.venv, or it has no optjournal"
  echo "skipped orphan-retried: tried: likewise"
fi
check S30-outsider outsider_is_refused
check S31-root root_inside_is_nobody
check S32-boot-id other_boot_is_refused
check nothing-lost nothing_is_lost
check S33-daemon users_of_outside_are_one
exit $failed
