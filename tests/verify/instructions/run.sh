#!/usr/bin/env bash
# SIGKILL, and SIGSTOP, after every instruction of every operation on the region: main.cc.
#
# SPDX-License-Identifier: MIT
set -uo pipefail
cd "$(dirname "$0")/../../.." || exit 1
cmake --build build/release --target verify_instructions >build/verify-instructions.txt 2>&1 || {
  tail -n 20 build/verify-instructions.txt
  echo "FAILED build: verify_instructions"
  exit 1
}
exec build/release/bin/verify_instructions "$@"
