#!/usr/bin/env bash
# Runs the benchmarks under bench/: the C++ ones, Optuna's storages against ours, deaths of workers.
# Arguments go to bench/optuna_storages.py; with --check it alone is run, and the exit status is 1
# if the ratios that it names are not reached. Ratios are within one run; figures of two runs do not
# compare on a shared machine.
#
# SPDX-License-Identifier: MIT
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"

[[ ${1:-} == --check ]] && exec python bench/optuna_storages.py "$@"
for program in build/release/bin/bench_*; do
  [[ -x $program ]] || continue
  printf '==== %s\n' "${program##*/}"
  "$program" --benchmark_min_time=0.5
done
printf '==== bench/optuna_storages.py\n'
python bench/optuna_storages.py "$@"
printf '==== bench/orphans.py\n'
python bench/orphans.py
