#!/bin/sh
# Inside fresh user, mount, PID, IPC, network and UTS namespaces: makes a root that has the programs
# of this machine and, of its journals, the two folders of one service; then runs a command there.
#
# usage: container.sh ROOT PROGRAMS VENV STATE RUNTIME DIARIES COMMAND...
# With $BOOT_ID, a file: what is in it is the boot id that the command finds.
#
# SPDX-License-Identifier: MIT
set -eu
root=$1 programs=$2 venv=$3 state=$4 runtime=$5 diaries=$6
shift 6

mount -t tmpfs container "$root"
cd "$root"
mkdir -p proc dev tmp programs venv diaries "var/lib/optjournal/${state##*/}" \
  "run/optjournal/${runtime##*/}"
for folder in usr bin sbin lib lib64 etc; do
  [ ! -e "/$folder" ] || { mkdir "$folder" && mount --rbind "/$folder" "$folder"; }
done
touch dev/null && mount --bind /dev/null dev/null
mount --bind "$programs" programs
mount --bind "$venv" venv
mount --bind "$diaries" diaries
mount --bind -o ro "$state" "var/lib/optjournal/${state##*/}"
mount --bind "$runtime" "run/optjournal/${runtime##*/}"
mount -t proc proc proc
[ -z "${BOOT_ID:-}" ] || mount --bind "$BOOT_ID" proc/sys/kernel/random/boot_id
exec chroot . "$@"
