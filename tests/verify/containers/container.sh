#!/bin/sh
# Inside fresh user, mount, PID, IPC, network and UTS namespaces: makes a root that has the programs
# of this machine and, of its journals, the two folders of one service; then runs a command there.
#
# usage: container.sh ROOT PROGRAMS STATE RUNTIME DIARIES COMMAND...
#
# SPDX-License-Identifier: MIT
set -eu
root=$1 programs=$2 state=$3 runtime=$4 diaries=$5
shift 5

mount -t tmpfs container "$root"
cd "$root"
mkdir -p proc dev tmp programs diaries "var/lib/optjournal/${state##*/}" \
  "run/optjournal/${runtime##*/}"
for folder in usr bin sbin lib lib64 etc; do
  [ ! -e "/$folder" ] || { mkdir "$folder" && mount --rbind "/$folder" "$folder"; }
done
mount --bind "$programs" programs
mount --bind "$diaries" diaries
mount --bind -o ro "$state" "var/lib/optjournal/${state##*/}"
mount --bind "$runtime" "run/optjournal/${runtime##*/}"
mount -t proc proc proc
exec chroot . "$@"
