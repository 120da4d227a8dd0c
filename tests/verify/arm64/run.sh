#!/usr/bin/env bash
# Goal: the protocol's code does not depend on x86-64. Method: cross-compile the layers up to
# libclient and their unit tests for arm64 (they include the ring under threads and under kill -9),
# and run them under qemu-user. What this does not show: weak memory. qemu-user runs arm64 code with
# this machine's order, so that is relacy's to look for.
#
# usage: run.sh [--fast]    --fast: base and shm only
#
# SPDX-License-Identifier: MIT
set -uo pipefail
cd "$(dirname "$0")/../../.." || exit 1

layers=(base shm journal schema replay libclient)
[[ ${1:-} == --fast ]] && layers=(base shm)
readonly build=$PWD/build/arm64 sysroot=$PWD/build/arm64-sysroot

if ! command -v aarch64-linux-gnu-g++ >/dev/null ||
  ! command -v qemu-aarch64-static >/dev/null; then
  echo "skipped arm64: needs aarch64-linux-gnu-g++, qemu-aarch64-static: a compiler, a processor"
  exit 0
fi

# The arm64 packages of this distribution, from a state of apt's own, so that nothing of the system
# changes.
apt_arm64() {
  apt-get -qq -o Dir::State="$sysroot/apt" -o Dir::State::status=/dev/null \
    -o Dir::Cache="$sysroot/apt" -o APT::Architecture=arm64 -o APT::Architectures=arm64 \
    -o APT::Sandbox::User= "$@"
}
fetch_packages() {
  mkdir -p "$sysroot/apt/lists/partial" "$sysroot/apt/archives/partial" || return
  apt_arm64 update >/dev/null || return
  local boost
  boost=$(dpkg -S /usr/include/boost/version.hpp | cut -d : -f 1) || return
  (cd "$sysroot/apt" &&
    apt_arm64 download libcapnp-dev libssl-dev zlib1g-dev libgtest-dev libxxhash-dev "$boost") ||
    return
  local package
  for package in "$sysroot"/apt/*_arm64.deb; do dpkg -x "$package" "$sysroot" || return; done
  touch "$sysroot/complete"
}
if [[ ! -f $sysroot/complete ]] && ! fetch_packages >"$PWD/build/arm64-packages.txt" 2>&1; then
  echo "skipped arm64: tried: its packages are not to be had: $(tail -n 1 build/arm64-packages.txt)"
  exit 0
fi

configure() {
  cmake -S . -B "$build" -G Ninja --toolchain "$PWD/tests/verify/arm64/toolchain.cmake" \
    -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS_RELEASE="-O1 -g0" -DOJ_ARM64_SYSROOT="$sysroot" \
    "-DOPTJOURNAL_LAYERS=base;shm;journal;schema;replay;libclient" -DOPTJOURNAL_BENCH=OFF \
    -DOPTJOURNAL_EXAMPLES=OFF
}
if ! configure >build/arm64-configure.txt 2>&1; then
  tail -n 20 build/arm64-configure.txt
  echo "FAILED arm64 configure: see above"
  exit 1
fi

# A static program has no loader for a library of this processor.
readonly not_here='GpuLoads.AreAskedOf*:GpusOfTheMachine.AreAskedOf*'

status=0
for layer in "${layers[@]}"; do
  if ! cmake --build "$build" --target "unit_$layer" >build/arm64-build.txt 2>&1; then
    tail -n 20 build/arm64-build.txt
    echo "FAILED arm64 unit_$layer: does not build"
    status=1
    continue
  fi
  begin=$SECONDS
  output=$(qemu-aarch64-static "$build/bin/unit_$layer" "--gtest_filter=-$not_here" 2>&1)
  code=$?
  passed=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) tests\?\..*/\1/p' <<<"$output")
  if [[ $code -eq 0 && ${passed:-0} -gt 0 ]]; then
    echo "ok arm64 unit_$layer: $passed tests under $(qemu-aarch64-static --version |
      sed -n '1s/.*version \([^ ]*\).*/qemu-user \1/p'), $((SECONDS - begin)) s"
  else
    grep -A 12 -E '^\[ RUN|Failure|terminate|qemu:' <<<"$output" | tail -n 40
    echo "FAILED arm64 unit_$layer: exit status $code"
    status=1
  fi
done
exit "$status"
