#!/usr/bin/env bash
# Installs what building needs, with --tests also what the tests, the proofs and the linters need:
# Debian/Ubuntu packages and .venv. Does only what is missing, asks nothing, and touches neither apt
# nor pip (nor the network) when nothing is.
#
# SPDX-License-Identifier: MIT
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(
  make g++ cmake ninja-build ccache pkg-config git
  capnproto libcapnp-dev libboost-dev libcli11-dev libspdlog-dev libfmt-dev nlohmann-json3-dev
  prometheus-cpp-dev libncurses-dev libxxhash-dev libtomlplusplus-dev libgtest-dev libbenchmark-dev
  python3 python3-dev python3-venv dpkg-dev
)
if [[ ${1:-} == --tests ]]; then
  packages+=(
    clang-tidy shellcheck man-db fish zsh
    chromium chromium-driver
    spin relacy-dev g++-aarch64-linux-gnu qemu-user-static
    systemd systemd-container debootstrap
  )
  # For the fuzzers of tests/verify/hostile, which are skipped where there is no libFuzzer.
  if grep -qs bookworm /etc/os-release; then packages+=(clang-14 libclang-rt-14-dev); fi
fi
readonly packages
readonly cmake_min=3.25
readonly python_min=3.9

say() { printf 'dependencies: %s\n' "$*"; }
die() {
  printf 'dependencies: %s\n' "$*" >&2
  exit 1
}

missing_packages() {
  comm -23 <(printf '%s\n' "${packages[@]}" | sort) <(
    # dpkg-query fails if one package is unknown, and still lists the others.
    { dpkg-query -W -f='${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null || true; } |
      sed -n 's/^installed //p' | sort
  )
}

as_root() {
  if [[ $(id -u) -eq 0 ]]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "not root and no sudo; as root, run: $*"
  fi
}

install_packages() {
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    die "this system has no apt; install by hand what corresponds to: ${packages[*]}," \
      "then set OPTJOURNAL_NO_APT=1"
  fi
  local missing
  missing=$(missing_packages)
  [[ -z $missing ]] && return
  say "installing ${missing//$'\n'/ }"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update
  # shellcheck disable=SC2086  # one word a package
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq install --yes --no-install-recommends $missing >/dev/null
  missing=$(missing_packages)
  [[ -z $missing ]] || die "apt-get succeeded but these are still missing: ${missing//$'\n'/ }"
}

# The system's own python3, because python3-dev goes with it; else whatever comes first in PATH.
find_python() {
  local python
  for python in /usr/bin/python3 python3; do
    if "$python" -c "import sys, venv; sys.exit(sys.version_info < (${python_min/./, }))" \
      2>/dev/null; then
      echo "$python"
      return
    fi
  done
  die "no python3 >= $python_min with the venv module"
}

version_at_least() { [[ $(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1) == "$2" ]]; }

system_cmake_is_old() {
  local version
  version=$(PATH=/usr/local/bin:/usr/bin:/bin cmake --version 2>/dev/null | sed -n '1s/.* //p')
  [[ -z $version ]] || ! version_at_least "$version" "$cmake_min"
}

fill_venv() {
  local wanted=(-r requirements-dev.txt)
  if system_cmake_is_old; then
    # Ubuntu 22.04 ships 3.22. tools/*.sh put .venv/bin first in PATH.
    wanted+=("cmake>=$cmake_min,<4")
  fi
  local stamp=.venv/optjournal-requirements
  local state
  state=$(cat requirements-dev.txt && printf '%s\n' "${wanted[@]}")
  [[ -x .venv/bin/python && -f $stamp && $(<"$stamp") == "$state" ]] && return
  if ! .venv/bin/python -c '' 2>/dev/null; then
    local python
    python=$(find_python)
    say "making .venv with $("$python" --version)"
    rm -rf .venv
    "$python" -m venv .venv
  fi
  say "installing into .venv: requirements-dev.txt"
  [[ ${#wanted[@]} -eq 2 ]] || say "and cmake, because the system's is older than $cmake_min"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check "${wanted[@]}"
  printf '%s\n' "$state" >"$stamp"
}

# Prometheus' own programs, for tests/process/metrics: taken out of the Debian package into .venv,
# because installing it would start a service. 19 MB to download, 110 MB on disk.
fetch_prometheus() {
  local place=$PWD/.venv/prometheus
  [[ -x $place/usr/bin/promtool ]] && return
  say "fetching prometheus into .venv"
  mkdir -p "$place"
  # As root, apt would hand the download to a user of its own, who may not write here, and warn.
  (cd "$place" && apt-get -qq -o APT::Sandbox::User=root download prometheus &&
    dpkg-deb -x prometheus_*.deb . && rm prometheus_*.deb) ||
    die "apt-get download prometheus failed"
}

[[ ${OPTJOURNAL_NO_APT:-} == 1 ]] || install_packages
fill_venv
if [[ ${1:-} == --tests && ${OPTJOURNAL_NO_APT:-} != 1 ]]; then fetch_prometheus; fi
