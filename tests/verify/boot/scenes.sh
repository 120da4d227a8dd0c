# What is done to the service, each with its check. To be sourced after machine.sh.
#
# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
readonly unit=optjournald@default journal=optjournal://default
workers=()  # process ids here of what runs in the machine
diaries=()  # of all workers so far, in the machine

property() { inside systemctl show --value --property "$1" "$unit"; }
serves() { [[ $(property ActiveState) == active ]] && main_pid >/dev/null; }
main_pid() {
  local pid
  pid=$(property MainPID) && [[ $pid -gt 0 ]] && echo "$pid"
}
# How many records have returned, in all diaries of the workers that run.
returned() {
  local diary sum=0
  for diary in "${diaries[@]: -${#workers[@]}}"; do
    sum=$((sum + $(od -An -tu8 "$place/root$diary" 2>/dev/null || echo 0)))
  done
  echo "$sum"
}
returned_at_least() { [[ $(returned) -ge $1 ]]; }

starts() {
  inside systemctl enable --quiet --now "$unit" || return
  serves || return
  echo "$(property StatusText) ($(property Type), user $(property User), watchdog" \
    "$(property WatchdogUSec), enabled: $(inside systemctl is-enabled "$unit"))"
}

# start_workers COUNT [VERB]: of user anna, in the background, each until it is told to end.
start_workers() {
  local i name verb=${2:-append}
  workers=()
  for ((i = 0; i < $1; ++i)); do
    name=anna${#diaries[@]}
    as_user anna verify_boot_worker "$verb" "$journal" "$name" "/var/diaries/$name" \
      >"$place/$name" 2>&1 &
    workers+=($!)
    diaries+=("/var/diaries/$name")
  done
  until_so returned_at_least $((100 * $1))
}
# Ends them; fails, and says what they said, if an append of one of them failed.
end_workers() {
  local pid status=0
  inside pkill -TERM --exact verify_boot_wor || return
  for pid in "${workers[@]}"; do wait "$pid" || status=1; done
  workers=()
  [[ $status -eq 0 ]] || cat "$place"/anna*
  return $status
}
judge() { as_user anna verify_boot_worker judge "$journal" "${diaries[@]}"; }

member_attaches() {
  as_user anna verify_boot_worker append-synced "$journal" annaX /var/diaries/annaX 100 || return
  as_user anna optjournal status "$journal" >/dev/null || return
  diaries+=(/var/diaries/annaX)
  echo "a user of the group published 100 records: $(judge)"
}

# expect_refusal TEXT COMMAND...: it fails, and says TEXT.
expect_refusal() {
  local text=$1 words
  shift
  if words=$("$@" 2>&1); then
    echo "not refused: $*"
    return 1
  fi
  [[ $words == *"$text"* ]] || {
    echo "refused, but without '$text': $words"
    return 1
  }
  echo "\"$(tail -n 1 <<<"$words")\""
}
outsider_is_refused() {
  local text="type: sudo usermod -aG optjournal bert and log in again"
  expect_refusal "$text" as_user bert optjournal studies "$journal" || return
  expect_refusal "$text" as_user bert optjournal status "$journal" || return
  expect_refusal "$text" as_user bert verify_boot_worker append "$journal" bert /var/diaries/bert 1
}
daemon_has_no_rights() {
  local status
  status=$(inside cat "/proc/$(main_pid)/status") || return
  if [[ $(grep -cE '^(Cap(Inh|Prm|Eff|Bnd|Amb):\s0+|NoNewPrivs:\s1|Seccomp:\s2)$' \
    <<<"$status") -ne 7 ]]; then
    grep -E '^(Cap|NoNew|Seccomp)' <<<"$status"
    return 1
  fi
  echo "$(grep -E '^Uid' <<<"$status" | tr -s '\t' ' '), no capability, no new privileges, seccomp"
}
# A command with the daemon's files and user.
beside_daemon() {
  inside nsenter --target "$(main_pid)" --mount -- \
    setpriv --reuid=optjournal --regid=optjournal --init-groups "$@"
}
daemon_sees_its_own_files() {
  local allowed devices writable home
  home=$(inside getent passwd anna | cut -d: -f6)
  inside mkdir -p "$home" && inside chmod 755 "$home" || return
  as_user bert ls "$home" || return
  ! beside_daemon ls "$home" || { echo "it sees $home" && return 1; }
  devices=$(beside_daemon find /dev -xdev -type b) || return
  [[ -z $devices ]] || { echo "it has $devices" && return 1; }
  ! beside_daemon test -e /dev/kmsg || { echo "it has /dev/kmsg" && return 1; }
  # Folders of its own only: /tmp and /var/tmp are private to it.
  allowed='^/(tmp|var/tmp|run/optjournal/default|var/lib/optjournal/default)(/|$)'
  writable=$(beside_daemon find / -path /proc -prune -o -type d -writable -print 2>/dev/null |
    grep -vE "$allowed")
  [[ -z $writable ]] || { echo "it can write in $writable" && return 1; }
  ! as_user anna touch /var/lib/optjournal/default/x || return
  beside_daemon touch /var/lib/optjournal/default/x && inside rm /var/lib/optjournal/default/x ||
    return
  echo "sees no home and no disk; writes its two folders and a /tmp of its own"
}
daemon_has_no_network() {
  local devices
  [[ $(inside readlink "/proc/$(main_pid)/ns/net") != $(inside readlink /proc/1/ns/net) ]] || return
  devices=$(inside nsenter --target "$(main_pid)" --net -- cat /proc/net/dev | grep -c :) || return
  [[ $devices -eq 1 ]] || return
  echo "a network namespace of its own with lo alone"
}
exposure_is_low() {
  local figure
  figure=$(inside systemd-analyze --no-pager security "$unit" |
    grep -oE 'exposure level for [^ ]* [0-9.]+' | grep -oE '[0-9.]+$') || return
  awk "BEGIN { exit !($figure <= 1.0) }" || { echo "exposure $figure" && return 1; }
  echo "exposure $figure"
}
no_service_is_told() {
  expect_refusal "type: sudo systemctl enable --now optjournald@other" \
    as_user anna optjournal studies optjournal://other
}
stopped_service_is_told() {
  expect_refusal "type: sudo systemctl start optjournald@default" \
    as_user anna verify_boot_worker append "$journal" late /var/diaries/late 1
}

# daemon_goes HOW: the daemon goes that way while workers append. Another one comes by itself, and
# no append fails.
daemon_goes() {
  local before began
  before=$(main_pid)
  began=$(date +%s%N)
  "$1" "$before" || return
  until_so another_serves "$before" || return
  local took_ms=$((($(date +%s%N) - began) / 1000000))
  until_so returned_at_least $(($(returned) + 2000)) || return
  local pid
  for pid in "${workers[@]}"; do
    kill -0 "$pid" 2>/dev/null || {
      cat "$place"/anna*
      return 1
    }
  done
  echo "another daemon served after $took_ms ms; $(returned) records of ${#workers[@]} workers," \
    "no append failed"
}
another_serves() { serves && [[ $(main_pid) != "$1" ]]; }
kill_daemon() { inside kill -KILL "$1"; }
restart_daemon() { inside systemctl restart "$unit"; }
stop_daemon_process() { inside kill -STOP "$1"; }

messages() { inside journalctl --unit "$unit" --output json --no-pager "$@"; }
has_priority() { messages "PRIORITY=$1" | grep "\"MESSAGE\":\"[^\"]*$2" >/dev/null; }
# Again and again: on a busy machine journald was seen to lose a line for good.
removal_is_told() {
  has_priority 4 "control.sock was removed; made again" ||
    { inside rm -f /run/optjournal/default/control.sock && return 1; }
}
messages_have_priorities() {
  has_priority 6 "worker attached" || { echo "no message of priority info" && return 1; }
  until_so removal_is_told || { echo "no message of priority warning" && return 1; }
  inside journalctl --unit "$unit" --output cat --no-pager | grep '^<[0-9]>' >/dev/null &&
    { echo "priorities are part of the text" && return 1; }
  echo "$(messages | wc -l) messages, info and warning as such"
}

# The drop-in that gives a service metrics, as docs/metrics.md says it.
metrics_are_served() {
  local port=19464 words
  inside mkdir -p /etc/optjournal || return
  inside sh -c "echo 'metrics = \"$port\"' >>/etc/optjournal/default.toml" || return
  inside install -D -m 644 /usr/share/optjournal/metrics.conf \
    /etc/systemd/system/optjournald@default.service.d/metrics.conf || return
  inside systemctl daemon-reload && inside systemctl restart "$unit" || return
  until_so metric_of_records "$port" || return
  words=$(metric_of_records "$port")
  inside rm /etc/optjournal/default.toml \
    /etc/systemd/system/optjournald@default.service.d/metrics.conf
  inside systemctl daemon-reload && inside systemctl restart "$unit" || return
  until_so serves || return
  ! metric_of_records "$port" || { echo "still there without the drop-in" && return 1; }
  echo "$words"
}
metric_of_records() {
  inside bash -c "exec 3<>/dev/tcp/127.0.0.1/$1 && printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3 &&
    grep '^optjournal_records_total ' <&3" 2>/dev/null
}

# Everything that had returned is on the disk after `systemctl stop`, told by the files alone.
stop_drains() {
  end_workers || return
  inside systemctl stop "$unit" || return
  [[ $(property Result) == success && $(property ExecMainStatus) == 0 ]] ||
    { echo "it ended with $(property Result), exit status $(property ExecMainStatus)" && return 1; }
  judge
}

bad_configuration_keeps_it_down() {
  local file=/etc/optjournal/default.toml words
  ! as_user anna touch "$file" 2>/dev/null || { echo "a user writes $file" && return 1; }
  ! as_user optjournal touch "$file" 2>/dev/null || { echo "the daemon writes $file" && return 1; }
  inside sh -c "printf 'log-level = \"info\"\npol = \"8M\"\n' >$file" || return
  ! inside systemctl start "$unit" || { echo "it started" && return 1; }
  until_so is_down || return
  [[ $(property NRestarts) == 0 ]] || { echo "it was restarted" && return 1; }
  until_so status_says "$file, line 2: pol: unknown" || return # journald takes its time
  words=$(inside systemctl status --no-pager --full "$unit")
  until_so has_priority 3 "$file, line 2" || return
  inside rm "$file" && inside systemctl start "$unit" || return
  echo "systemctl status: $(grep -o "$file, line 2: pol: unknown" <<<"$words"); it stays down"
}
# It exits with 3, for a unit that is down.
status_says() { [[ $(inside systemctl status --no-pager --full "$unit") == *"$1"* ]]; }
is_down() { [[ $(property ActiveState) == failed && $(property ExecMainStatus) == 2 ]]; }

# What is planted is found, with what to type; what is typed mends it.
doctor_says_what_to_type() {
  local drop_in=/etc/systemd/system/optjournald@default.service.d/limits.conf
  until_so serves || return
  finds anna ok service "optjournald@default: enabled, active" && finds anna ok group "" &&
    finds anna ok folder "anna may work with it" && finds anna ok configuration "" &&
    finds anna ok records "all whole" || return
  finds bert problem group "user bert is not one" \
    "sudo usermod -aG optjournal bert and log in again" || return
  inside systemctl disable --quiet "$unit" || return
  finds anna warning service "does not start with the machine" "sudo systemctl enable $unit" ||
    return
  inside systemctl enable --quiet "$unit" && inside systemctl stop "$unit" || return
  finds anna problem service "inactive" "sudo systemctl enable --now $unit" || return
  inside sh -c 'echo "pol = 1" >/etc/optjournal/default.toml'
  ! inside systemctl start "$unit" || return
  finds anna problem service "failed, exit-code, exit status 2" "journalctl -u $unit" &&
    finds anna problem configuration "default.toml, line 1: pol: unknown" \
      "sudo systemctl restart $unit" || return
  inside rm /etc/optjournal/default.toml
  inside sh -c "printf '[Service]\nLimitNOFILE=200\nMemoryMax=100M\n' >$drop_in" || return
  inside systemctl daemon-reload && inside systemctl start "$unit" || return
  finds anna warning limits "LimitNOFILE is 200" "LimitNOFILE=65536" &&
    finds anna warning limits "MemoryMax is 100 MiB" "MemoryMax=infinity" || return
  inside rm "$drop_in"
  inside systemctl daemon-reload && inside systemctl restart "$unit" || return
  echo "unit, group, configuration and limits: seven troubles found, with what to type"
}
# finds USER VERDICT CHECK WHAT [ADVICE]: the doctor says so to that user.
finds() {
  local words line
  words=$(as_user "$1" optjournal doctor "$journal")
  line=$(grep -A1 -E "^$2 +$3 .*$4" <<<"$words")
  [[ -z $line || $line != *"${5:-}"* ]] || return 0
  echo "to $1 it does not say '$2 $3 $4 -> ${5:-}': $words"
  return 1
}

places_are_fixed() {
  inside sh -c 'echo "folder = \"/data\"" >/etc/optjournal/moved.toml' || return
  ! inside systemctl start optjournald@moved || return
  inside rm /etc/optjournal/moved.toml || return
  until_so says_of moved "moved.toml, line 1: folder: '/data' is not where workers" || return
  echo "a folder in a service's configuration is refused, with file and line"
}
says_of() { [[ $(inside journalctl --no-pager --unit "optjournald@$1") == *"$2"* ]]; }
# Another disk, in fstab as docs/service.md has it: systemd mounts it before the service starts.
service_on_a_mount() {
  local place=/var/lib/optjournal/disk other=optjournal://disk
  inside sh -c "mkdir -p $place /data && mount -t tmpfs data /data && mkdir /data/journal &&
    echo '/data/journal $place none bind' >>/etc/fstab" || return
  inside systemctl daemon-reload && inside systemctl start optjournald@disk || return
  as_user anna verify_boot_worker append-synced "$other" disk /var/diaries/disk 100 || return
  inside test -e /data/journal/FORMAT || { echo "it is not on the mount" && return 1; }
  as_user anna verify_boot_worker judge "$other" /var/diaries/disk || return
  inside systemctl stop optjournald@disk && inside umount "$place" /data &&
    inside sed -i '/optjournal/d' /etc/fstab && inside systemctl daemon-reload || return
  echo "100 records on a disk of its own"
}
service_of_another_group() {
  local drop_in=/etc/systemd/system/optjournald@vision.service.d other=optjournal://vision
  inside groupadd vision && inside usermod -aG vision bert && inside mkdir "$drop_in" || return
  inside sh -c "printf '[Service]\nGroup=vision\n' >$drop_in/group.conf" || return
  inside systemctl daemon-reload && inside systemctl start optjournald@vision || return
  as_user bert verify_boot_worker append-synced "$other" vision /var/diaries/vision 100 || return
  expect_refusal "type: sudo usermod -aG vision anna" as_user anna optjournal studies "$other" ||
    return
  inside systemctl stop optjournald@vision
}

# With the commands of docs/operations.md.
backup_is_restored() {
  local block
  block=$(awk '/^and a service/ { on = 1 } on && /^    / { print } on && /^What came/ { exit }' \
    docs/operations.md | sed 's/^ *//; s/sudo //; s/; optjournal doctor.*//
      s/NAME/default/g; s:COPY:/var/copy:')
  [[ $(wc -l <<<"$block") -ge 6 ]] || { echo "the page has no such commands" && return 1; }
  inside systemctl stop "$unit" || return
  inside cp -a /var/lib/optjournal/default /var/copy && inside rm /var/copy/LOCK || return
  inside systemctl start "$unit" || return
  as_user anna verify_boot_worker append-synced "$journal" late /var/diaries/late 50 || return
  inside sh -ec "$block" || return
  until_so serves || return
  ! as_user anna verify_boot_worker judge "$journal" /var/diaries/late ||
    { echo "what came after the backup is still there" && return 1; }
  inside rm -r /var/lib/optjournal/default.before /var/copy || return
  judge
}

# /run may outlive a boot, and come with a copy of a machine: what lies there is another boot's.
region_of_another_boot_is_replaced() {
  local region pid
  start_workers 2 append-synced || return
  inside systemctl stop "$unit" || return # the region stays, for its workers
  inside pkill -KILL --exact verify_boot_wor
  for pid in "${workers[@]}"; do wait "$pid"; done
  workers=()
  region=$(inside sh -c 'echo /run/optjournal/default/region-*')
  # Offset of the boot id: docs/region-format.md.
  inside dd if=/dev/urandom of="$region" bs=1 seek=24 count=16 conv=notrunc status=none || return
  inside systemctl start "$unit" || return
  until_so has_priority 4 "$region.*boot id" || return
  ! inside test -e "$region" || { echo "$region is still there" && return 1; }
  judge
}

synced_survives_reboot() {
  inside systemctl start "$unit" || return
  start_workers 4 append-synced || return
  cut_power
  workers=()
  boot || return
  until_so serves || { echo "not started at boot" && return 1; }
  judge
}
