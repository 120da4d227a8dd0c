#!/usr/bin/env bash
# The Debian packages and the wheel, installed in a root that has nothing but a minimal Debian, and
# used there: first without a running systemd, as in a container's image, then as a machine that is
# booted, with the service, an upgrade and a removal while workers run. docs/service.md.
#
# usage: tests/verify/packages/run.sh [--fast]      --fast does nothing, and says so
# Takes about a minute and a half, and half a one more the first time: the minimal root and what
# Optuna needs are fetched then, and kept in build/verify/packages.
#
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2317  # functions are called through check
set -uo pipefail
cd "$(dirname "$0")/../../.." || exit 1
export PATH="$PWD/.venv/bin:$PATH"

skip() {
  echo "skipped packages: $*"
  exit 0
}
[[ ${1:-} != --fast ]] || skip "--fast: too long, it fetches a whole Debian"
[[ $(id -u) -eq 0 ]] || skip "needs root: it installs packages into another root"
for program in debootstrap systemd-nspawn dpkg-shlibdeps; do
  command -v "$program" >/dev/null || skip "needs $program: it is not installed"
done

readonly kept=$PWD/build/verify/packages said=build/verify/packages-said.txt
# shellcheck disable=SC1091  # a file of the system
codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
mkdir -p "$kept"
place=$(mktemp -d)
leader=
nspawn=
# shellcheck source=tests/verify/boot/machine.sh
. tests/verify/boot/machine.sh
# shellcheck source=tests/verify/boot/scenes.sh
. tests/verify/boot/scenes.sh
readonly root=$place/root
readonly binds=("--bind-ro=$PWD/dist:/srv/dist" "--bind-ro=$kept/wheels:/srv/wheels"
  "--bind-ro=$kept/previous:/srv/previous" "--bind-ro=$PWD/tests/verify/packages:/srv/tests")
machine_options=("${binds[@]}" --setenv=LC_ALL=C.UTF-8)
trap clean_up EXIT

failed=0
readonly noise="^Attempted to remove disk file system under" # systemd-nspawn, tidying up
# check NAME COMMAND...: one line, with what COMMAND printed last as the figures.
check() {
  local name=$1
  shift
  if "$@" >"$said" 2>&1; then # in this shell: it starts, and waits for, processes
    echo "ok $name: $(grep -v "$noise" "$said" | tail -n 1)"
  else
    echo "FAILED $name: $(tail -n 5 "$said" | tr '\n' ' ')"
    cp "$said" "build/verify/packages-$name.txt"
    [[ -z $leader ]] || inside journalctl --no-pager >>"build/verify/packages-$name.txt"
    failed=1
  fi
}

make_minimal_root() {
  local mirror packages=python3-venv,systemd-sysv,procps
  # shellcheck disable=SC2016  # apt's, not the shell's
  mirror=$(apt-get indextargets --format '$(REPO_URI)' | head -n 1)
  if [[ ! -f $kept/$codename-machine.tar ]]; then
    debootstrap --variant=minbase --include=$packages "$codename" "$kept/$codename" "$mirror" &&
      tar -C "$kept/$codename" -cf "$kept/$codename-machine.tar" . || return
    rm -rf "${kept:?}/$codename"
  fi
  mount -t tmpfs -o size=2g,mode=755 packages "$place" || return
  mkdir "$root"
  tar -C "$root" -xf "$kept/$codename-machine.tar" || return
  # Without one it would be a first boot, at which everything is enabled.
  systemd-id128 new >"$root/etc/machine-id"
  mkdir -m 1777 "$root/var/diaries"
}
# A command in the root before it is booted: with a /proc, a /dev, a /run and process numbers of its
# own, and this network.
in_root() {
  systemd-nspawn --directory="$root" --machine=optjournal-packages \
    --register=no --keep-unit --quiet --as-pid2 --pipe "${binds[@]}" \
    --setenv=LC_ALL=C.UTF-8 --setenv=DEBIAN_FRONTEND=noninteractive "$@"
}
fetch_wheels() {
  [[ -n $(find "$kept/wheels" -name 'optuna-*' 2>/dev/null) ]] ||
    pip download --quiet --disable-pip-version-check --dest "$kept/wheels" optuna
}

debs_are_made() {
  rm -f dist/*.deb
  tools/deb.sh && make_previous || return
  du -bch dist/*.deb | tail -n 1 | sed 's/\ttotal/ in two packages/'
}
# The same package, as if it were the one before.
make_previous() {
  local unpacked=$kept/unpacked
  rm -rf "$unpacked" "$kept/previous"
  mkdir "$kept/previous"
  dpkg-deb -R dist/optjournal_*.deb "$unpacked" || return
  sed -i 's/^Version: .*/Version: 0.0.1/' "$unpacked/DEBIAN/control"
  dpkg-deb -b "$unpacked" "$kept/previous/optjournal.deb"
}
# What auditwheel allows is in its manylinux policies; it puts everything else into the wheel.
wheel_is_made() {
  tools/wheel.sh || return
  auditwheel show dist/optjournal-*.whl | tr '\n' ' ' | grep -o 'platform tag: "manylinux[^ ]*' &&
    du -bh dist/optjournal-*.whl
}
wheel_is_self_contained() {
  # shellcheck disable=SC2016  # for the shell in there
  in_root sh -c 'set -e; cd /tmp; ! find / -xdev -name "libcapnp*" | grep .
    python3 -m venv /srv/venv
    PATH=/srv/venv/bin:$PATH
    pip install --quiet --no-index --find-links /srv/wheels /srv/dist/optjournal-*.whl
    optjournald --version
    python /srv/tests/study.py runs
    optjournal studies runs'
}
# As in an image that has no systemd: user and folders all the same.
deb_installs_without_systemd() {
  in_root sh -c 'set -e; mv /usr/bin/systemd-sysusers /srv
    apt-get -qq update
    apt-get -qq install --yes --no-install-recommends /srv/previous/optjournal.deb
    id optjournal; test -d /var/lib/optjournal; optjournald --version
    apt-get -qq purge --yes optjournal; userdel optjournal
    mv /srv/systemd-sysusers /usr/bin' || return
  echo "user and folders are made by hand"
}
# systemd is there and does not run: the user comes from sysusers.d.
debs_install() {
  in_root sh -c 'apt-get -qq install --yes --no-install-recommends /srv/dist/optjournal_*.deb \
    /srv/dist/liboptjournal-dev_*.deb' || return
  in_root sh -c 'set -e; optjournald --version; optjournal version >/dev/null
    test -d /etc/optjournal; test -f /usr/lib/systemd/system/optjournald@.service
    test -f /usr/share/man/man1/optjournald.1
    getent passwd optjournal | grep "optjournal service"'
}
# Compiled here, with what the package brought; run there.
library_is_usable() {
  # shellcheck disable=SC2046  # words of flags
  c++ -std=c++20 -o "$root/srv/worker" examples/worker.cc $(PKG_CONFIG_SYSROOT_DIR=$root \
    PKG_CONFIG_LIBDIR=$root/usr/lib/pkgconfig pkg-config --cflags --libs optjournal) || return
  in_root sh -c '/srv/worker /tmp/runs nosuch 2>&1 | grep "has no study \"nosuch\""'
}
previous_is_installed() {
  in_root sh -c 'apt-get -qq purge --yes liboptjournal-dev optjournal &&
    apt-get -qq install --yes --no-install-recommends /srv/previous/optjournal.deb' || return
  in_root useradd --groups optjournal anna && in_root useradd bert || return
  cp build/release/bin/verify_boot_worker "$root/usr/bin/" || return
  in_root dpkg-query -W optjournal
}

apt() { inside DEBIAN_FRONTEND=noninteractive apt-get -qq --yes "$@" </dev/null; }
main_job_runs() {
  starts || return
  as_user anna sh -c 'cd /tmp && exec /srv/venv/bin/python /srv/tests/study.py optjournal://default'
}
workers_outlive_upgrade() {
  start_workers 4 && daemon_goes upgrade || return
  [[ $(inside readlink "/proc/$(main_pid)/exe") == /usr/bin/optjournald ]] || return
  inside dpkg-query -W optjournal
}
upgrade() {
  apt install --no-install-recommends "$(inside sh -c 'echo /srv/dist/optjournal_*.deb')"
}
doctor_is_content() {
  local words
  # systemctl answers users over D-Bus, which this root does not have.
  words=$(as_user anna optjournal doctor "$journal")
  grep -A1 -E '^warning +service .*systemctl does not answer' <<<"$words" |
    grep "sudo optjournal doctor $journal" || return
  words=$(inside optjournal doctor "$journal") # with warnings of the tmpfs on which this root lies
  ! grep -E '^problem' <<<"$words" || return
  grep -E '^ok +service +optjournald@default: enabled, active' <<<"$words"
}
# While workers are attached: it drains, they wait, and nothing of the journal goes.
removal_leaves_data() {
  end_workers || return
  start_workers 2 append-synced || return
  apt remove optjournal || return
  inside pkill -KILL --exact verify_boot_wor
  wait "${workers[@]}"
  workers=()
  ! inside pgrep --exact optjournald || { echo "the daemon still runs" && return 1; }
  [[ -d $root/var/lib/optjournal/default/segments && ! -e $root/usr/bin/optjournald ]] || return
  build/release/bin/verify_boot_worker judge "$root/var/lib/optjournal/default" \
    "${diaries[@]/#/$root}"
}
# Without a question; it says what it leaves.
purge_leaves_data() {
  local words
  inside sh -c "echo 'pool = \"32M\"' >/etc/optjournal/default.toml
    mkdir -p /etc/systemd/system/optjournald@default.service.d"
  words=$(apt purge optjournal 2>&1) || return
  [[ -d $root/var/lib/optjournal/default/segments && -f $root/etc/optjournal/default.toml ]] ||
    return
  ! find "$root/etc/systemd/system" -name 'optjournald@*.service' | grep . || return
  local left
  for left in /etc/optjournal/default.toml /var/lib/optjournal/default \
    /etc/systemd/system/optjournald@default.service.d; do
    grep "left as it is: $left" <<<"$words" || { echo "no word of $left in: $words" && return 1; }
  done
  echo "nothing asked; configuration, drop-in and journal are left, and named"
}
journal_is_found_again() {
  upgrade && starts && judge
}

check deb debs_are_made
check wheel wheel_is_made
[[ $failed -eq 0 ]] || exit 1
cmake --build build/release --target verify_boot_worker >"$said" 2>&1 || check build cat "$said"
make_minimal_root >"$said" 2>&1 || skip "tried: no minimal root: $(tail -n 1 "$said")"
fetch_wheels >"$said" 2>&1 || skip "tried: cannot fetch optuna: $(tail -n 1 "$said")"
check wheel-alone wheel_is_self_contained
check no-systemd deb_installs_without_systemd
check install debs_install
check library library_is_usable
check previous previous_is_installed
boot || {
  echo "FAILED boot: systemd does not boot: $(tail -n 1 "$place/console")"
  exit 1
}
check service main_job_runs
check upgrade workers_outlive_upgrade
check doctor doctor_is_content
check remove removal_leaves_data
check purge purge_leaves_data
check reinstall journal_is_found_again
exit $failed
