"""The endpoint against promtool and its documentation; what --metrics refuses.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import re
import socket
import subprocess
from pathlib import Path

import pytest

from conftest import PROGRAMS, ROOT, Daemon, prometheus_program, start_worker, wait_until

ONLY_ON_TROUBLE = {"optjournal_refused_operations_total", "optjournal_tombstones_total"}
RULES = ROOT / "docs" / "prometheus"


def promtool(*words: str, page: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [prometheus_program("promtool"), *words],
        input=page,
        capture_output=True,
        text=True,
        cwd=RULES,
        check=False,
    )


def test_promtool_has_nothing_to_say_about_the_page(daemon: Daemon) -> None:
    assert start_worker(daemon.folder, 2, "ends").wait(120) == 0
    wait_until(lambda: daemon.value('trials{state="complete"}') == 2, "two trials are counted")
    checked = promtool("check", "metrics", page=daemon.page())
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    # It would have: a counter without _total is one of its complaints.
    wrong = promtool("check", "metrics", page="# HELP a b\n# TYPE a counter\na 1\n")
    assert wrong.returncode != 0


def test_every_metric_is_documented_with_its_type(daemon: Daemon) -> None:
    assert start_worker(daemon.folder, 1, "ends").wait(120) == 0
    wait_until(lambda: daemon.value('trials{state="complete"}') == 1, "the trial is counted")
    told = dict(re.findall(r"^# TYPE (optjournal_\w+) (\w+)$", daemon.page(), re.MULTILINE))
    page = (ROOT / "docs" / "metrics.md").read_text()
    documented = dict(re.findall(r"^\| `(optjournal_\w+)` \| (\w+) \|", page, re.MULTILINE))
    assert {n: t for n, t in documented.items() if n not in ONLY_ON_TROUBLE} == {
        n: t for n, t in told.items() if n not in ONLY_ON_TROUBLE
    }
    assert set(documented) >= ONLY_ON_TROUBLE


def test_alerts_are_rules_and_do_what_their_tests_say() -> None:
    checked = promtool("check", "rules", "alerts.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    tested = promtool("test", "rules", "alerts_test.yml")
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_alerts_and_dashboard_use_documented_metrics_only() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    documented = set(re.findall(r"^\| `(optjournal_\w+)`", page, re.MULTILINE))
    for path in (RULES / "alerts.yml", ROOT / "docs" / "grafana" / "optjournal.json"):
        used = set(re.findall(r"\boptjournal_\w+", path.read_text()))
        assert used, path
        assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in used} <= documented, path


@pytest.mark.parametrize(
    "address", ["", "x", "70000", "-1", "::1:9464", "[::1]", "1.2.3:9464", "host.example:9464"]
)
def test_an_address_that_is_none_is_a_usage_error(tmp_path: Path, address: str) -> None:
    ended = subprocess.run(
        [PROGRAMS / "optjournald", f"--metrics={address}", tmp_path / "runs"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2, ended.stderr
    assert "--metrics" in ended.stderr
    assert not (tmp_path / "runs").exists()


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = subprocess.run(
            [PROGRAMS / "optjournald", "--metrics", str(port), tmp_path / "runs"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 1
    assert f"cannot serve metrics on 127.0.0.1:{port}: Address already in use" in ended.stderr


def test_metrics_are_off_unless_asked_for(daemon: Daemon, tmp_path: Path) -> None:
    """As the kernel sees it: the daemon with metrics listens on loopback, one without nowhere."""

    def listens(pid: int) -> list[str]:
        inodes = {
            link.readlink().name[8:-1]
            for link in Path(f"/proc/{pid}/fd").iterdir()
            if link.readlink().name.startswith("socket:")
        }
        lines = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
        return [words[1] for words in lines if words[3] == "0A" and words[9] in inodes]

    assert [address.split(":")[0] for address in listens(daemon.process.pid)] == ["0100007F"]
    told = tmp_path / "quiet.txt"
    with told.open("wb") as file:
        quiet = subprocess.Popen([PROGRAMS / "optjournald", tmp_path / "quiet"], stderr=file)
    try:
        wait_until(lambda: "serving " in told.read_text(), "the other daemon serves")
        assert listens(quiet.pid) == []
    finally:
        quiet.terminate()
        assert quiet.wait(120) == 0
