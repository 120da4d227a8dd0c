#!/usr/bin/env bash
# A region that is written over and cut while it is in use (main.cc), and fuzzers of what is decoded
# and attached (fuzz_*.cc): a number of runs from a seed, OJ_SEED.
#
# The daemon is the one of build/asan-ubsan, which is built; with --fast only where that folder is
# configured already (`make test` does).
#
# SPDX-License-Identifier: MIT
set -uo pipefail
cd "$(dirname "$0")/../../.." || exit 1
readonly here=tests/verify/hostile messages=build/verify-hostile.txt
runs=400000
[[ ${1:-} == --fast ]] && runs=60000
bad=0

build() { # FOLDER TARGET...
  local folder=$1
  shift
  cmake --build "$folder" --target "$@" >"$messages" 2>&1 && return
  tail -n 20 "$messages"
  echo "FAILED build: $*"
  return 1
}

build build/release verify_hostile optjournald || exit 1
daemon=build/release/bin/optjournald
if [[ ${1:-} == --fast && ! -f build/asan-ubsan/CMakeCache.txt ]]; then
  echo "skipped sanitized daemon: --fast: build/asan-ubsan is not configured; it is build/release's"
else
  cmake --preset asan-ubsan --log-level=WARNING >/dev/null || exit
  build build/asan-ubsan optjournald || exit 1
  daemon=build/asan-ubsan/bin/optjournald
fi
build/release/bin/verify_hostile "$daemon" "$@" || bad=1

clang=$(command -v clang++-14 || command -v clang++)
if [[ -z $clang ]] ||
  ! echo 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }' |
    "$clang" -x c++ - -fsanitize=fuzzer -o build/fuzz-probe 2>/dev/null; then
  echo "skipped fuzzers: needs libFuzzer: clang cannot link it"
  exit "$bad"
fi
cmake -S . -B build/fuzz -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo \
  -DCMAKE_CXX_COMPILER="$clang" -DCMAKE_CXX_FLAGS=-fsanitize=fuzzer-no-link \
  -DOPTJOURNAL_SANITIZE=address,undefined -DOPTJOURNAL_FUZZ=ON -DOPTJOURNAL_BENCH=OFF \
  -DOPTJOURNAL_EXAMPLES=OFF >"$messages" 2>&1 || {
  echo "FAILED configure: build/fuzz"
  exit 1
}
build build/fuzz fuzz_record fuzz_region fuzz_segment fuzz_record_planted || exit 1

readonly seed=${OJ_SEED:-$((RANDOM + 1))}
export ASAN_OPTIONS=detect_leaks=0 # the libraries' own, at the end
found=$(mktemp -d)

fuzz() { # NAME RUNS MAX_LEN CORPUS...
  local name=$1 count=$2 longest=$3
  shift 3
  build/fuzz/bin/"fuzz_$name" -seed="$seed" -runs="$count" -max_len="$longest" -timeout=30 \
    -artifact_prefix="$found/" "$found/new" "$@" >"$found/$name.txt" 2>&1
}

for what in "record 1024 tests/golden/records-1" "region 24576" \
  "segment 12288 tests/golden/journal-1/segments"; do
  read -r name longest golden <<<"$what"
  [[ $name == record ]] && count=$runs || count=$((runs / 10))
  mkdir -p "$found/new"
  if fuzz "$name" "$count" "$longest" "$here/corpus/$name" ${golden:+"$golden"}; then
    echo "ok fuzz $name: seed $seed, $count runs, 0 crashes, $(grep -o 'cov: [0-9]*' \
      "$found/$name.txt" | tail -n 1)"
  else
    bad=1
    echo "FAILED fuzz $name: seed $seed: $(grep -m 1 -E 'ERROR|runtime error' "$found/$name.txt")"
    cp "$found"/{crash,timeout,oom}-* build/ 2>/dev/null
  fi
  rm -rf "$found/new"
done
mkdir -p "$found/new"
if fuzz record_planted "$runs" 1024 tests/golden/records-1; then
  bad=1
  echo "FAILED mutant a read behind the record: not found in $runs runs"
else
  echo "ok mutant a read behind the record: found: $(grep -m 1 -o \
    'AddressSanitizer: [a-z-]*' "$found/record_planted.txt")"
fi
rm -rf "$found" /dev/shm/oj-fuzz-*
exit "$bad"
