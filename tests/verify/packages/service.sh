#!/bin/sh
# In the clean root: the service of the Debian package, without systemd, used by a member of its
# group with the wheel.
#
# SPDX-License-Identifier: MIT
set -eu

useradd --groups optjournal anna
install -d -o optjournal -g optjournal -m 750 /var/lib/optjournal/default
install -d -m 755 /run/optjournal
install -d -o optjournal -g optjournal -m 750 /run/optjournal/default
echo 'pool = "8M"' >/etc/optjournal/default.toml
setpriv --reuid=optjournal --regid=optjournal --init-groups optjournald --service default &
daemon=$!
cd /tmp
setpriv --reuid=anna --regid=anna --init-groups /srv/venv/bin/python /srv/tests/study.py \
  optjournal://default
kill -TERM $daemon
wait $daemon
optjournal studies /var/lib/optjournal/default
