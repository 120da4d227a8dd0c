#!/bin/sh
# Installs liboptjournal into an empty prefix and builds examples/worker.cc against it in the two
# ways that docs/cpp.md promises: find_package and pkg-config. Usage: install_test.sh BUILD_FOLDER
# EXAMPLES_FOLDER OPTJOURNALD
#
# SPDX-License-Identifier: MIT
set -eu

build=$1
examples=$2
OPTJOURNALD=$3
export OPTJOURNALD

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

cmake --install "$build" --component cpp --prefix "$place/prefix" >"$place/installed"

# Runs a worker on a new journal without studies: it reaches the daemon, and says what is missing.
check_worker() {
  "$1" --help | grep -q '^usage: worker'
  status=0
  "$1" "$place/runs" nosuch 2>"$place/said" || status=$?
  if [ "$status" != 1 ] || ! grep -q 'has no study "nosuch"' "$place/said"; then
    echo "$1 exited with $status and said:" >&2
    cat "$place/said" >&2
    exit 1
  fi
}

cmake -S "$examples" -B "$place/package" -DCMAKE_PREFIX_PATH="$place/prefix" >"$place/configured"
cmake --build "$place/package" >"$place/built"
check_worker "$place/package/worker"

PKG_CONFIG_PATH=$(dirname "$(find "$place/prefix" -name optjournal.pc)")
LD_LIBRARY_PATH=$(dirname "$PKG_CONFIG_PATH")
export PKG_CONFIG_PATH LD_LIBRARY_PATH
# shellcheck disable=SC2046  # words of flags
${CXX:-c++} -o "$place/worker" "$examples/worker.cc" $(pkg-config --cflags --libs optjournal)
check_worker "$place/worker"

echo "both workers were built and ran"
