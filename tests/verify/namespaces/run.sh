#!/usr/bin/env bash
# Workers in PID namespaces of their own, and numbers that are used again at once
# (docs/verification.md, section 6).
#
# usage: tests/verify/namespaces/run.sh [--fast]      $OJ_SEED chooses the seed; it is printed.
#
# SPDX-License-Identifier: MIT
set -uo pipefail
cd "$(dirname "$0")/../../.." || exit 1
export OPTJOURNALD=$PWD/build/release/bin/optjournald

mkdir -p build/verify
cmake --build build/release --target verify_namespaces >build/verify/namespaces-build.txt 2>&1 || {
  tail -n 20 build/verify/namespaces-build.txt
  echo "FAILED build: see build/verify/namespaces-build.txt"
  exit 1
}
cycles=1000
[[ ${1:-} == --fast ]] && cycles=100
exec build/release/bin/verify_namespaces --cycles "$cycles"
