"""Every trouble that metrics tell of, produced for real, and asked for in a real Prometheus.

Two are not what they are in the world: the failing disk is a preloaded fdatasync() that says EIO,
and a record is damaged by this test, in the region, while the daemon is stopped.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import contextlib
import mmap
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest

from conftest import (
    PROGRAMS,
    WATCHDOG_S,
    Daemon,
    Prometheus,
    start_daemon,
    start_worker,
    wait_until,
)
from optjournal import JournalStorage

HERE = Path(__file__).parent
DISK_BYTES = 8 << 20


class World:
    """A daemon, and a Prometheus that scrapes it."""

    def __init__(self, folder: Path, *options: str, environment: dict[str, str]) -> None:
        self.daemon = start_daemon(folder / "runs", *options, environment=environment)
        self.prometheus = Prometheus(folder / "prometheus", self.daemon.url.split("/")[2])

    def expect(self, series: str, is_so: Callable[[float], bool]) -> None:
        def seen() -> bool:
            value = self.prometheus.value(f"optjournal_{series}")
            return value is not None and is_so(value)

        wait_until(seen, f"{series}, which is {self.prometheus.ask(f'optjournal_{series}')}")

    def failures(self) -> dict[str, float]:
        """As the daemon tells them now, without the zeros."""
        kinds = ("write", "sync", "disk_full", "damaged_record", "damaged_region", "orphans")
        told = {kind: self.daemon.value(f'failures_total{{kind="{kind}"}}') for kind in kinds}
        assert None not in told.values()
        return {kind: value for kind, value in told.items() if value}

    def stop(self) -> None:
        self.prometheus.stop()
        if self.daemon.process.poll() is None:
            os.kill(self.daemon.process.pid, signal.SIGCONT)
            self.daemon.stop()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Callable[..., World]]:
    worlds: list[World] = []

    def make(*options: str, **environment: str) -> World:
        worlds.append(World(tmp_path, *options, environment=environment))
        return worlds[-1]

    yield make
    for one in worlds:
        one.stop()


@pytest.fixture(scope="session")
def failing_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("failing_disk") / "failing_disk.so"
    compiler = shutil.which("cc")
    assert compiler, "no C compiler"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", library, HERE / "failing_disk.c", "-ldl"], check=True
    )
    return library


def open_study(daemon: Daemon, **options: object) -> tuple[JournalStorage, int]:
    storage = JournalStorage(daemon.folder, idle_exit=0, **options)
    study = optuna.create_study(storage=storage, study_name="metered", load_if_exists=True)
    return storage, study.ask()._trial_id


APPENDER = """
import sys
from optjournal import JournalStorage
storage = JournalStorage(sys.argv[1])
for step in range(int(sys.argv[3])):
    storage.set_trial_intermediate_value(int(sys.argv[2]), step % 100, 0.5)
print("appended", flush=True)
storage.close()
"""


def test_a_disk_that_fails_and_a_worker_that_waits_for_room(
    world: Callable[..., World], failing_disk: Path, tmp_path: Path
) -> None:
    sign = tmp_path / "fails"
    here = world("--pool", "1M", FAILING_DISK=str(sign), LD_PRELOAD=str(failing_disk))
    storage, trial = open_study(here.daemon)
    storage.sync()
    assert here.failures() == {}
    slots = here.daemon.value("ring_slots")
    assert slots is not None
    sign.touch()
    appender = subprocess.Popen(
        [sys.executable, "-c", APPENDER, here.daemon.folder, str(trial), str(int(slots) * 2)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        here.expect('failures_total{kind="sync"}', lambda value: value >= 2)
        here.expect("degraded", lambda value: value == 1)
        here.expect("room_requests_total", lambda value: value >= 1)
        full = time.monotonic()
        assert set(here.failures()) == {"sync"}
        assert appender.poll() is None
        stuck = time.monotonic() - full
        sign.unlink()
        assert appender.stdout is not None
        assert appender.stdout.readline() == "appended\n"
        assert appender.wait(WATCHDOG_S) == 0
    finally:
        appender.kill()
    here.expect("degraded", lambda value: value == 0)
    # What was appended while the disk failed has waited for all of that time.
    storage.sync()
    here.expect("append_to_synced_seconds_count", lambda value: value > slots * 2)
    here.expect("append_to_synced_seconds_sum", lambda value: value > slots * stuck / 2)
    assert here.daemon.value("untimed_appends_total") == 0
    storage.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "runs"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small disk needs a mount, which root may do: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_disk_that_is_full(small_disk: Path, world: Callable[..., World]) -> None:
    here = world("--segment-min", "256K", "--segment-max", "256K")
    storage, trial = open_study(here.daemon)
    storage.sync()
    junk = small_disk / "junk"
    with junk.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    here.expect("disk_available_bytes", lambda value: value == 0)
    # More than the segment at hand has preallocated.
    for number in range(400):
        storage.set_trial_user_attr(trial, f"attr{number}", "x" * 1000)
    here.expect('failures_total{kind="disk_full"}', lambda value: value >= 2)
    here.expect("degraded", lambda value: value == 1)
    here.expect("unsynced_records", lambda value: value > 0)
    assert set(here.failures()) == {"disk_full"}
    junk.unlink()
    here.expect("degraded", lambda value: value == 0)
    here.expect("unsynced_records", lambda value: value == 0)
    assert set(here.failures()) == {"disk_full"}
    storage.close()
    here.stop()


def test_a_damaged_record(world: Callable[..., World]) -> None:
    runtime = Path(tempfile.mkdtemp(prefix="oj-metrics-", dir="/dev/shm"))
    try:
        here = world("--runtime-folder", str(runtime))
        storage, trial = open_study(here.daemon)
        storage.sync()
        os.kill(here.daemon.process.pid, signal.SIGSTOP)
        storage.set_trial_user_attr(trial, "victim", "scribbled over by a test")
        (region,) = runtime.glob("region-*")
        with region.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
            place = memory.find(b"scribbled over by a test")
            assert place > 0
            memory[place] ^= 1
        os.kill(here.daemon.process.pid, signal.SIGCONT)
        here.expect('failures_total{kind="damaged_record"}', lambda value: value == 1)
        here.expect("tombstones_total", lambda value: value == 1)
        assert here.failures() == {"damaged_record": 1}
        # A region that was cut is replaced, and the counters go on.
        os.truncate(region, 4096)
        here.expect('failures_total{kind="damaged_region"}', lambda value: value >= 1)
        assert here.failures()["damaged_record"] == 1
        here.stop()
    finally:
        shutil.rmtree(runtime, ignore_errors=True)


def connect(runtime: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client.connect(str(runtime / "control.sock"))
    return client


def test_refused_clients(world: Callable[..., World]) -> None:
    runtime = Path(tempfile.mkdtemp(prefix="oj-metrics-", dir="/dev/shm"))
    try:
        here = world("--runtime-folder", str(runtime))
        with connect(runtime) as client:
            client.send(b"no message at all")
            assert client.recv(4096)
        here.expect('refused_connections_total{reason="invalid"}', lambda value: value == 1)
        storage, _ = open_study(here.daemon)
        stopped = subprocess.run(
            [PROGRAMS / "optjournal", "stop", here.daemon.folder], capture_output=True, check=False
        )
        assert stopped.returncode != 0
        here.expect('refused_connections_total{reason="in_use"}', lambda value: value == 1)
        # As many connections as it allows, and one more.
        clients = []
        while here.daemon.value('refused_connections_total{reason="connections"}') == 0:
            clients += [connect(runtime) for _ in range(50)]
        for client in clients:
            client.close()
        here.expect('refused_connections_total{reason="connections"}', lambda value: value >= 1)
        # Without a descriptor left it can neither accept nor be scraped.
        limits = resource.prlimit(here.daemon.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(here.daemon.process.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
        waiting = connect(runtime)
        told = here.daemon.folder.parent / "daemon.txt"
        wait_until(lambda: "trying again" in told.read_text(), "accept() fails")
        resource.prlimit(here.daemon.process.pid, resource.RLIMIT_NOFILE, limits)
        here.expect('failures_total{kind="accept"}', lambda value: value >= 1)
        waiting.close()
        assert here.failures() == {}
        storage.close()
        here.stop()
    finally:
        shutil.rmtree(runtime, ignore_errors=True)


def test_deaths_and_the_ends_of_orphans(world: Callable[..., World]) -> None:
    here = world()
    storage, own = open_study(here.daemon)

    def death(policy: str | None) -> None:
        storage.set_orphan_policy(0, policy)
        victim = start_worker(here.daemon.folder, 0, "stays")
        assert victim.stdout is not None
        assert victim.stdout.readline() == "asked\n"
        victim.kill()
        victim.communicate()

    died = 'sessions_ended_total{reason="died"}'
    for number, (policy, outcome) in enumerate([("fail", "failed"), ("retry:1", "retried")], 1):
        death(policy)
        here.expect(died, lambda value, n=number: value == n)  # type: ignore[misc]
        here.expect(f'orphans_ended_total{{outcome="{outcome}"}}', lambda value: value == 1)
    death("keep")  # which took the copy
    here.expect("orphaned_trials", lambda value: value == 1)
    here.expect('orphans_ended_total{outcome="told"}', lambda value: value == 0)
    (kept,) = (
        trial
        for trial in storage.get_all_trials(0)
        if trial.state == optuna.trial.TrialState.RUNNING and trial._trial_id != own
    )
    storage.set_trial_state_values(kept._trial_id, optuna.trial.TrialState.FAIL)
    here.expect("orphaned_trials", lambda value: value == 0)
    here.expect('orphans_ended_total{outcome="told"}', lambda value: value == 1)
    storage.set_trial_state_values(own, optuna.trial.TrialState.FAIL)  # nobody's orphan
    storage.sync()
    here.expect("orphaned_trials", lambda value: value == 0)
    here.expect(died, lambda value: value == 3)
    storage.close()


def wakings(pid: int, *threads: str) -> int:
    """How often these threads have slept and gone on."""
    count = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        if task.name == str(pid) or (task / "comm").read_text().strip() in threads:
            status = (task / "status").read_text()
            count += int(status.split("\nvoluntary_ctxt_switches:")[1].split()[0])
    return count


def test_deaths_wait_for_a_disk_that_fails_in_peace(
    world: Callable[..., World], failing_disk: Path, tmp_path: Path
) -> None:
    """No busy loop and no flood in the log while the region is full; afterwards all goes on."""
    sign = tmp_path / "fails"
    here = world("--pool", "1M", FAILING_DISK=str(sign), LD_PRELOAD=str(failing_disk))
    storage, trial = open_study(here.daemon)
    early, *late = (start_worker(here.daemon.folder, 0, "stays") for _ in range(3))
    for victim in (early, *late):
        assert victim.stdout is not None
        assert victim.stdout.readline() == "asked\n"
    storage.sync()
    sign.touch()
    slots = here.daemon.value("ring_slots")
    assert slots is not None
    appender = subprocess.Popen(
        [sys.executable, "-c", APPENDER, here.daemon.folder, str(trial), str(int(slots) * 2)],
        stdout=subprocess.DEVNULL,
    )
    try:
        early.kill()  # its death is published, or not: there may be room yet
        here.expect("degraded", lambda value: value == 1)
        here.expect("room_requests_total", lambda value: value >= 1)
        for victim in late:
            victim.kill()
        for victim in (early, *late):
            victim.communicate()
        log = here.daemon.folder.parent / "daemon.txt"
        lines, count, began = (
            log.read_text().count("\n"),
            wakings(here.daemon.process.pid, "oj-orphans"),
            time.monotonic(),
        )
        time.sleep(4)
        passed = time.monotonic() - began
        count = wakings(here.daemon.process.pid, "oj-orphans") - count
        print(f"{count} wakings in {passed:.1f} s")
        assert count < 10 * passed
        assert log.read_text().count("\n") - lines < 10
        sign.unlink()
        assert appender.wait(WATCHDOG_S) == 0
    finally:
        appender.kill()
    here.expect('sessions_ended_total{reason="died"}', lambda value: value == 3)
    here.expect('orphans_ended_total{outcome="failed"}', lambda value: value == 3)
    here.expect('trials{state="running"}', lambda value: value == 1)
    here.expect('operations_total{operation="endOrphan"}', lambda value: value == 3)
    assert set(here.failures()) == {"sync"}
    storage.close()
