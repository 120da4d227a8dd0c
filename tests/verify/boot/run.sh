#!/usr/bin/env bash
# The service under a real systemd: a container (systemd-nspawn) booted on an overlay of this
# machine's own root, in which the unit file is installed as it is shipped. docs/service.md.
#
# usage: tests/verify/boot/run.sh [--fast]      --fast does the same: it takes about half a minute
#
# SPDX-License-Identifier: MIT
set -uo pipefail
cd "$(dirname "$0")/../../.." || exit 1

skip() {
  echo "skipped boot: $*"
  exit 0
}
[[ $(id -u) -eq 0 ]] || skip "needs root: it boots a container"
command -v systemd-nspawn >/dev/null || skip "needs systemd-nspawn: see systemd-container"

mkdir -p build/verify
cmake --build build/release --target optjournald optjournal verify_boot_worker \
  >build/verify/boot-build.txt 2>&1 || {
  tail -n 20 build/verify/boot-build.txt
  echo "FAILED build: see build/verify/boot-build.txt"
  exit 1
}
place=$(mktemp -d)
readonly said=build/verify/boot-said.txt
leader=
nspawn=
# shellcheck source=tests/verify/boot/machine.sh
. tests/verify/boot/machine.sh
trap clean_up EXIT
make_root || skip "tried: cannot mount an overlay of / here: $(tail -n 1 "$said")"
boot || skip "tried: systemd does not boot here: $(tail -n 1 "$place/console")"

failed=0
# check NAME COMMAND...: one line, with what COMMAND printed last as the figures.
check() {
  local name=$1
  shift
  if "$@" >"$said" 2>&1; then # in this shell: it starts, and waits for, processes
    echo "ok $name: $(tail -n 1 "$said")"
  else
    echo "FAILED $name: $(tail -n 5 "$said" | tr '\n' ' ')"
    failed=1
    inside journalctl --no-pager >"build/verify/boot-$name.txt" # the system's, for whoever looks
    inside ls -la /run/optjournal/default >>"build/verify/boot-$name.txt"
  fi
}
# shellcheck source=tests/verify/boot/scenes.sh
. tests/verify/boot/scenes.sh

check start starts
check member member_attaches
[[ $failed -eq 0 ]] || exit 1
check S3-outsider outsider_is_refused
check no-service no_service_is_told
check S22-rights daemon_has_no_rights
check S23-files daemon_sees_its_own_files
check S24-network daemon_has_no_network
check S25-exposure exposure_is_low
start_workers 4
check kill daemon_goes kill_daemon
check restart daemon_goes restart_daemon
check watchdog daemon_goes stop_daemon_process
check journal messages_have_priorities
check metrics metrics_are_served
check stop stop_drains
check stopped stopped_service_is_told
check S26-configuration bad_configuration_keeps_it_down
check doctor doctor_says_what_to_type
check places places_are_fixed
check other-disk service_on_a_mount
check other-group service_of_another_group
check restore backup_is_restored
check foreign-boot region_of_another_boot_is_replaced
check reboot synced_survives_reboot
exit $failed
