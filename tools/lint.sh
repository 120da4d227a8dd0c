#!/usr/bin/env bash
# Runs the linters, or only those named: tools/lint.sh [clang-format] [ruff] [mypy] [shellcheck]
# [clang-tidy]. Changes no file. The last line counts them.
#
# SPDX-License-Identifier: MIT
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
export PATH="$PWD/.venv/bin:$PATH"

readonly linters=("${@:-clang-format ruff mypy shellcheck clang-tidy}")

# Tracked and new files, without what git ignores.
files() {
  local file
  git ls-files --cached --others --exclude-standard -- "$@" | while read -r file; do
    if [[ -f $file ]]; then echo "$file"; fi
  done
}

lint_clang_format() { files '*.h' '*.cc' | xargs clang-format --dry-run -Werror; }

# Over every source that the release build compiles. What was clean is looked at again only when it,
# a header of ours or the configuration changed.
lint_clang_tidy() {
  # Headers made by the build (Cap'n Proto's) must exist before sources can be parsed.
  tools/build.sh >/dev/null || return
  python tools/clang_tidy.py build/release
}

lint_ruff() { ruff check . && ruff format --check .; }

lint_mypy() { mypy --strict python/optjournal; }

lint_shellcheck() { files '*.sh' .ci/run | xargs shellcheck; }

passed=0 failed=0
# shellcheck disable=SC2048  # the linters are words
for linter in ${linters[*]}; do
  printf '== %s\n' "$linter"
  if ! declare -F "lint_${linter//-/_}" >/dev/null; then
    echo "no such linter; there are: clang-format clang-tidy ruff mypy shellcheck" >&2
    exit 2
  fi
  begin=$SECONDS
  if "lint_${linter//-/_}"; then
    passed=$((passed + 1))
    printf '   clean, %s s\n' "$((SECONDS - begin))"
  else
    failed=$((failed + 1))
    printf '   FAILED, %s s\n' "$((SECONDS - begin))"
  fi
done
mkdir -p build
printf '%s %s\n' "$passed" "$failed" >build/lint-total
printf '\nlint: %s clean, %s failed\n' "$passed" "$failed"
[[ $failed -eq 0 ]]
