#!/usr/bin/env bash
# The Debian packages and the wheel, installed in a root that has nothing but a minimal Debian, and
# used there. docs/service.md.
#
# usage: tests/verify/packages/run.sh [--fast]      --fast does nothing, and says so
# Takes about a minute, and half a one more the first time: the minimal root and what Optuna needs
# are fetched then, and kept in build/verify/packages.
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
clean_up() {
  umount "$place" 2>/dev/null
  rmdir "$place"
  rmdir /run/systemd/nspawn/propagate/optjournal-packages 2>/dev/null
}
trap clean_up EXIT

failed=0
readonly noise="^Attempted to remove disk file system under" # systemd-nspawn, tidying up
# check NAME COMMAND...: one line, with what COMMAND printed last as the figures.
check() {
  local name=$1
  shift
  if "$@" >"$said" 2>&1; then
    echo "ok $name: $(grep -v "$noise" "$said" | tail -n 1)"
  else
    echo "FAILED $name: $(tail -n 5 "$said" | tr '\n' ' ')"
    cp "$said" "build/verify/packages-$name.txt"
    failed=1
  fi
}

make_root() {
  local mirror
  # shellcheck disable=SC2016  # apt's, not the shell's
  mirror=$(apt-get indextargets --format '$(REPO_URI)' | head -n 1)
  if [[ ! -f $kept/$codename.tar ]]; then
    debootstrap --variant=minbase --include=python3-venv "$codename" "$kept/$codename" "$mirror" &&
      tar -C "$kept/$codename" -cf "$kept/$codename.tar" . || return
    rm -rf "${kept:?}/$codename"
  fi
  mount -t tmpfs -o size=2g,mode=755 packages "$place" || return
  tar -C "$place" -xf "$kept/$codename.tar"
}
# A command in the root: with its own /proc, /dev, /run and process numbers, and this network.
inside() {
  systemd-nspawn --directory="$place" --machine=optjournal-packages \
    --register=no --keep-unit --quiet --as-pid2 --pipe \
    --bind-ro="$PWD/dist:/srv/dist" --bind-ro="$kept/wheels:/srv/wheels" \
    --bind-ro="$PWD/tests/verify/packages:/srv/tests" \
    --setenv=LC_ALL=C.UTF-8 --setenv=DEBIAN_FRONTEND=noninteractive "$@"
}
fetch_wheels() {
  [[ -n $(find "$kept/wheels" -name 'optuna-*' 2>/dev/null) ]] ||
    pip download --quiet --disable-pip-version-check --dest "$kept/wheels" optuna
}

debs_are_made() {
  tools/deb.sh && du -bch dist/*.deb | tail -n 1 | sed 's/\ttotal/ in two packages/'
}
# What auditwheel allows is in its manylinux policies; it puts everything else into the wheel.
wheel_is_made() {
  tools/wheel.sh || return
  auditwheel show dist/optjournal-*.whl | tr '\n' ' ' | grep -o 'platform tag: "manylinux[^ ]*' &&
    du -bh dist/optjournal-*.whl
}
wheel_is_self_contained() {
  # shellcheck disable=SC2016  # for the shell in there
  inside sh -c 'set -e; cd /tmp; ! find / -xdev -name "libcapnp*" | grep .
    python3 -m venv /srv/venv
    PATH=/srv/venv/bin:$PATH
    pip install --quiet --no-index --find-links /srv/wheels /srv/dist/optjournal-*.whl
    optjournald --version
    python /srv/tests/study.py runs
    optjournal studies runs'
}
debs_install() {
  inside sh -c 'apt-get -qq update; apt-get -qq install --yes --no-install-recommends \
    /srv/dist/optjournal_*.deb /srv/dist/liboptjournal-dev_*.deb' || return
  inside sh -c 'set -e; optjournald --version; optjournal version >/dev/null; id optjournal
    test -d /etc/optjournal; test -f /usr/lib/systemd/system/optjournald@.service
    test -f /usr/share/man/man1/optjournald.1'
}
# Compiled here, with what the package brought; run there.
library_is_usable() {
  # shellcheck disable=SC2046  # words of flags
  c++ -std=c++20 -o "$place/srv/worker" examples/worker.cc $(PKG_CONFIG_SYSROOT_DIR=$place \
    PKG_CONFIG_LIBDIR=$place/usr/lib/pkgconfig pkg-config --cflags --libs optjournal) || return
  inside sh -c '/srv/worker /tmp/runs nosuch 2>&1 | grep "has no study \"nosuch\""'
}
service_is_usable() {
  inside sh /srv/tests/service.sh
}
# Removed, then purged, without a question: the journal stays, and the purge says so.
data_stays() {
  local words
  inside apt-get -qq remove --yes liboptjournal-dev optjournal || return
  [[ -d $place/var/lib/optjournal/default/segments && ! -e $place/usr/bin/optjournald ]] || return
  words=$(inside apt-get -qq purge --yes optjournal </dev/null 2>&1) || return
  [[ -d $place/var/lib/optjournal/default/segments ]] || return
  grep "left as it is: /var/lib/optjournal/default" <<<"$words" || return
}
journal_is_found_again() {
  inside sh -c 'apt-get -qq install --yes --no-install-recommends /srv/dist/optjournal_*.deb' ||
    return
  inside optjournal studies /var/lib/optjournal/default
}

check deb debs_are_made
check wheel wheel_is_made
[[ $failed -eq 0 ]] || exit 1
make_root >"$said" 2>&1 || skip "no minimal root: $(tail -n 1 "$said")"
fetch_wheels >"$said" 2>&1 || skip "cannot fetch optuna: $(tail -n 1 "$said")"
check wheel-alone wheel_is_self_contained
check install debs_install
check library library_is_usable
check service service_is_usable
check uninstall data_stays
check reinstall journal_is_found_again
exit $failed
