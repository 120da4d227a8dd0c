#!/usr/bin/env bash
# Makes the Debian packages: dist/optjournal_VERSION_ARCH.deb and dist/liboptjournal-dev_... .deb.
#
# SPDX-License-Identifier: MIT
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"

cmake --preset release --log-level=WARNING >/dev/null
cmake --build --preset release --target optjournald optjournal oj_shared
umask 022
(cd build/release && cpack --config CPackConfig.cmake >cpack.txt 2>&1) || {
  tail -n 30 build/release/cpack.txt >&2
  exit 1
}
ls dist/*.deb
