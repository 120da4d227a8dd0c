#!/usr/bin/env bash
# Runs the proofs of the shared-memory protocol: every folder of tests/verify/ is a part with a
# run.sh, and every part says what it checked, a line each:
#
#   ok NAME: figures | FAILED NAME: why | skipped NAME: reason
#
# What is skipped although it could run here has failed (tools/verify_summary.py has the reasons).
#
# usage: tools/verify.sh [--fast] [--junit FILE] [PART ...]
#   --fast   what `make test` runs: the same checks, made smaller where size is a number
# The whole takes up to 15 minutes on 2 cores, --fast up to 5. What each part shows, and what it
# does not: docs/verification.md. What they printed stays in build/verify/PART.txt.
#
# SPDX-License-Identifier: MIT
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
export PATH="$PWD/.venv/bin:$PATH"

size=() report=()
while [[ ${1:-} == --* ]]; do
  case $1 in
    --fast) size=(--fast) ;;
    --junit)
      report=(--junit "$2")
      shift
      ;;
    *)
      echo "verify: no such option: $1" >&2
      exit 2
      ;;
  esac
  shift
done
readonly known=(tests/verify/*/run.sh)
parts=("$@")
if [[ ${#parts[@]} -eq 0 ]]; then
  for script in "${known[@]}"; do parts+=("$(basename "$(dirname "$script")")"); done
fi
for part in "${parts[@]}"; do
  if [[ ! -f tests/verify/$part/run.sh ]]; then
    echo "no such part: $part; there are:" >&2
    printf '%s\n' "${known[@]}" | cut -d / -f 3 >&2
    exit 2
  fi
done

readonly results=build/verify
mkdir -p "$results"
: >"$results/parts"
cmake --preset release --log-level=WARNING >/dev/null || exit
for part in "${parts[@]}"; do
  printf '\n==== verify %s\n' "$part"
  begin=$SECONDS
  status=0
  "tests/verify/$part/run.sh" "${size[@]}" 2>&1 | tee "$results/$part.txt" || status=$?
  printf '%s %s %s\n' "$part" "$status" "$((SECONDS - begin))" >>"$results/parts"
done
python tools/verify_summary.py "$results" "${size[@]}" "${report[@]}"
