#!/usr/bin/env bash
# Runs the proofs of the shared-memory protocol: every folder of tests/verify/ is a part with a
# run.sh, and every part says what it checked, a line each:
#
#   ok NAME: figures | FAILED NAME: why | skipped NAME: reason
#
# usage: tools/verify.sh [--fast] [PART ...]
#   --fast   what `make test` runs: the same checks, made smaller where size is a number
# The whole takes up to 15 minutes on 2 cores, --fast up to 5. What each part shows, and what it
# does not: docs/verification.md. What they printed stays in build/verify/PART.txt.
#
# SPDX-License-Identifier: MIT
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
export PATH="$PWD/.venv/bin:$PATH"

fast=()
if [[ ${1:-} == --fast ]]; then
  fast=(--fast)
  shift
fi
readonly known=(tests/verify/*/run.sh)
parts=("$@")
if [[ ${#parts[@]} -eq 0 ]]; then
  for script in "${known[@]}"; do parts+=("$(basename "$(dirname "$script")")"); done
fi
for part in "${parts[@]}"; do
  if [[ ! -f tests/verify/$part/run.sh ]]; then
    echo "no such part: $part; there are: $(printf '%s\n' "${known[@]}" | cut -d / -f 3 | xargs)" >&2
    exit 2
  fi
done

mkdir -p build/verify
cmake --preset release --log-level=WARNING >/dev/null || exit
summary=()
broken=0
for part in "${parts[@]}"; do
  printf '\n==== verify %s\n' "$part"
  begin=$SECONDS
  status=0
  "tests/verify/$part/run.sh" "${fast[@]}" 2>&1 | tee "build/verify/$part.txt" || status=$?
  ok=$(grep -c '^ok ' "build/verify/$part.txt")
  bad=$(grep -c '^FAILED ' "build/verify/$part.txt")
  left=$(grep -c '^skipped ' "build/verify/$part.txt")
  if [[ $status -ne 0 && $bad -eq 0 ]]; then
    echo "FAILED $part: run.sh ended with status $status" | tee -a "build/verify/$part.txt"
    bad=1
  fi
  if [[ $bad -ne 0 || $ok -eq 0 ]]; then broken=1; fi
  summary+=("$(printf '%-14s %6s %6s %7s %8s' "$part" "$ok" "$bad" "$left" $((SECONDS - begin)))")
done
printf '\n%-14s %6s %6s %7s %8s\n' part ok failed skipped seconds
printf '%s\n' "${summary[@]}"
exit "$broken"
