#!/usr/bin/env bash
# Faults planted in the sources of the protocol: each must make a test fail that is there for it
# (docs/verification.md, "Planted in the sources").
#
# usage: tests/verify/planted/run.sh [--fast] [NAME ...]      --fast takes a few, NAME those
#
# SPDX-License-Identifier: MIT
set -uo pipefail
cd "$(dirname "$0")/../../.." || exit 1

fast=()
if [[ ${1:-} == --fast ]]; then
  fast=(--fast)
  shift
fi
mkdir -p build/verify
readonly said=build/verify/planted-build.txt
targets=$(python3 tests/verify/planted/plant.py --targets "${fast[@]}" "$@") || exit 1
# shellcheck disable=SC2086  # one word a target
cmake --build build/release --target $targets >"$said" 2>&1 || {
  tail -n 20 "$said"
  echo "FAILED build: see $said"
  exit 1
}
exec python3 tests/verify/planted/plant.py "${fast[@]}" "$@"
