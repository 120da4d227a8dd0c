#!/usr/bin/env bash
# The templates of shm/ under weak memory orders (docs/verification.md, section 2), two tests at a
# time; then each weakened order, which must be reported.
#
# usage: tests/verify/relacy/run.sh [--fast]
#
# SPDX-License-Identifier: MIT
set -uo pipefail
cd "$(dirname "$0")/../../.." || exit 1

fast=()
[[ ${1:-} == --fast ]] && fast=(--fast)
readonly program=build/release/bin/relacy_shm

if ! echo '#include <relacy/relacy.hpp>' | "${CXX:-c++}" -E -x c++ - >/dev/null 2>&1; then
  echo "skipped relacy: needs relacy/relacy.hpp: Debian has it in relacy-dev"
  exit 0
fi
built=$(cmake --build build/release --target relacy_shm 2>&1) || {
  echo "$built"
  echo "FAILED relacy: the program does not build"
  exit 1
}
"$program" --list | timeout 600 xargs -P 2 -n 1 "$program" "${fast[@]}"
status=$?
if [[ $status -eq 124 ]]; then echo "FAILED relacy: not at its end after 600 s"; fi
[[ $status -eq 0 ]]
