# A machine to boot: make_root, boot, inside COMMAND..., cut_power, clean_up. To be sourced; uses
# $place, $said (a file), $leader and $nspawn. tests/verify/packages makes $place/root by itself,
# and has more options for systemd-nspawn, in $machine_options.
#
# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
readonly watchdog_s=60

# until COMMAND...: again and again until it succeeds; fails, and says so, in the end.
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

# An overlay of / with the programs and the unit, with users, and without what this machine starts.
make_root() {
  root=$place/root
  mount -t tmpfs -o size=1g,mode=755 boot "$place" 2>"$said" || return
  mkdir "$place/upper" "$place/work" "$root"
  mount -t overlay -o "lowerdir=/,upperdir=$place/upper,workdir=$place/work" boot "$root" \
    2>"$said" || return
  rm -f "$root"/etc/systemd/system/*.wants/*
  systemd-id128 new >"$root/etc/machine-id" # without one it would be a first boot: all is enabled
  DESTDIR=$root cmake --install build/release --component program --prefix /usr \
    >"$said" 2>&1 || return
  cp build/release/bin/verify_boot_worker "$root/usr/bin/"
  systemd-sysusers --root="$root" "$root/usr/lib/sysusers.d/optjournal.conf" 2>"$said" || return
  useradd --root "$root" --groups optjournal anna >>"$said" 2>&1 || return
  useradd --root "$root" bert >>"$said" 2>&1 || return
  # A stopped daemon is noticed in seconds; all else of the unit is as it is shipped.
  mkdir -p "$root/etc/systemd/system/optjournald@.service.d"
  printf '[Service]\nWatchdogSec=3s\n' \
    >"$root/etc/systemd/system/optjournald@.service.d/soon.conf"
  mkdir -m 1777 "$root/var/diaries"
}

machine_options=()
boot() {
  local machine=("--directory=$place/root" --register=no --keep-unit --boot --quiet --console=pipe
    --machine=optjournal-boot "${machine_options[@]}")
  systemd-nspawn "${machine[@]}" </dev/null >>"$place/console" 2>&1 &
  nspawn=$!
  until_so find_leader && until_so has_booted || return
  # systemd-nspawn mounts a boot_id of its own over the kernel's, which a service with an instance
  # of /proc of its own does not see. A machine has one.
  while inside umount /proc/sys/kernel/random/boot_id 2>/dev/null; do :; done
  # It marks its lines with the one that it found; systemctl status shows those of this boot only.
  inside systemctl restart systemd-journald
}
# Its process 1; before, systemd-nspawn has another child.
find_leader() { leader=$(pgrep --parent "$nspawn" --exact systemd); }
has_booted() { [[ $(inside systemctl is-system-running) =~ running|degraded ]]; }

# A command in the machine, as root, with a clean environment.
inside() {
  nsenter --target "$leader" --mount --uts --ipc --net --pid -- \
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 "$@"
}
as_user() {
  local user=$1
  shift
  inside setpriv --reuid="$user" --regid="$user" --init-groups "$@"
}

# All at once, as a machine that loses its power: nothing drains, and /run is gone.
cut_power() {
  kill -KILL "$leader" || kill "$nspawn"
  wait "$nspawn" 2>/dev/null
  leader=
  nspawn=
}

clean_up() {
  [[ -z $nspawn ]] || cut_power
  umount "$place/root" 2>/dev/null
  umount "$place" 2>/dev/null
  rmdir "$place"
  rmdir /run/systemd/nspawn/propagate/optjournal-boot 2>/dev/null
}
