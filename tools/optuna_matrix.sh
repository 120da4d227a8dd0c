#!/usr/bin/env bash
# Runs the storage tests with older Optunas, each in an environment of its own under .venvs/:
# tools/optuna_matrix.sh RESULTS [VERSION...]. The wheel is made once, from what tools/build.sh
# built. Two versions at a time; what each said is printed when it is done. Writes
# RESULTS/optuna-VERSION.xml.
#
# The conformance tests are those of the newest Optuna (.venv's), whose file is loaded as it is.
#
# SPDX-License-Identifier: MIT
set -euo pipefail
cd "$(dirname "$0")/.."
results=$(realpath "${1:?usage: tools/optuna_matrix.sh RESULTS [VERSION...]}")
shift
readonly versions=("${@:-3.1 3.6 4.0 4.9}")
readonly tests=(test_conformance.py test_attributes.py test_trials.py test_optimize.py
  test_orphans.py)
readonly wheels=$PWD/build/wheels

# Optuna 3 was written for numpy 1 and a setuptools with pkg_resources.
requirements() {
  case $1 in
    3.*) echo "optuna==$1.* numpy<2 setuptools<81 cmaes pytest" ;;
    *) echo "optuna==$1.* numpy setuptools cmaes pytest" ;;
  esac
}

make_wheel() {
  rm -rf "$wheels"
  OPTJOURNAL_TESTS=ON OPTJOURNAL_BENCH=ON OPTJOURNAL_EXAMPLES=ON .venv/bin/pip wheel --quiet \
    --disable-pip-version-check --no-build-isolation --no-deps -w "$wheels" \
    --config-settings=build-dir=build/release .
}

fill_venv() {
  local venv=$1 wanted
  wanted=$(requirements "$2")
  if [[ ! -f $venv/wanted || $(<"$venv/wanted") != "$wanted" ]]; then
    rm -rf "$venv"
    .venv/bin/python -m venv "$venv" || return
    # shellcheck disable=SC2086  # one word a package
    "$venv/bin/pip" install --quiet --disable-pip-version-check $wanted || return
    echo "$wanted" >"$venv/wanted"
  fi
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --force-reinstall \
    "$wheels"/*.whl
}

mkdir -p "$results"
make_wheel
OPTJOURNAL_STORAGE_SUITE=$(PATH="$PWD/.venv/bin:$PATH" python -c \
  'import optuna.testing.pytest_storages as suite; print(suite.__file__)')
export OPTJOURNAL_STORAGE_SUITE
export wheels results
export -f requirements fill_venv

run_version() {
  local version=$1 venv=$PWD/.venvs/optuna-$1 said=build/optuna-$1.txt status=0
  {
    fill_venv "$venv" "$version" &&
      echo "-- optuna $("$venv/bin/python" -c 'import optuna; print(optuna.__version__)')" &&
      (cd tests/python && "$venv/bin/python" -m pytest -q -p no:cacheprovider \
        -c ../../pyproject.toml --rootdir . --junitxml="$results/optuna-$version.xml" \
        -o junit_family=xunit1 "${@:2}")
  } >"$said" 2>&1 || status=1
  cat "$said"
  return $status
}
export -f run_version

# shellcheck disable=SC2048,SC2086  # the versions are words
printf '%s\n' ${versions[*]} |
  xargs -P 2 -I VERSION bash -c 'run_version "$@"' run_version VERSION "${tests[@]}"
