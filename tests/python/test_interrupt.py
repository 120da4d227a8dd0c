"""Ctrl-C ends whatever waits for the daemon, at once, and leaves the storage usable.

The daemon is stopped; what a process waits for then would never come before its time-outs, which
are longer than this test may take.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from optuna.study import StudyDirection

from optjournal import JournalStorage, PublishedError

PATIENCE_S = 60  # a watchdog; time-outs of the storages here are ten times as long

PROGRAM = """
import signal, sys
from optjournal import JournalStorage, PublishedError
signal.signal(signal.SIGINT, signal.default_int_handler)
location = sys.argv[1]

def opening():
    JournalStorage(location, open_timeout=600)

def monitor():
    JournalStorage(location, mode="monitor", open_timeout=600)

if sys.argv[2] in ("opening", "monitor"):
    print("stop it", flush=True)
    sys.stdin.readline()
    print("waiting", flush=True)
    what = globals()[sys.argv[2]]
else:
    storage = JournalStorage(location, timeout=600, durability="published")
    study_id = storage.get_study_id_from_name("study")
    print("stop it", flush=True)
    sys.stdin.readline()
    print("waiting", flush=True)

    def room():
        while True:
            storage.set_study_user_attr(study_id, "key", "x" * 100_000)

    def disk():
        storage.set_study_user_attr(study_id, "key", 1)
        storage.sync()

    what = globals()[sys.argv[2]]
try:
    what()
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.stdin.readline()  # the daemon goes on
    if sys.argv[2] in ("room", "disk"):
        storage.set_study_user_attr(study_id, "after", True)
        assert storage.get_study_user_attrs(study_id)["after"]
    print("well", flush=True)
"""


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("what", ["opening", "monitor", "room", "disk"])
def test_ctrl_c_ends_a_wait(location: Path, what: str) -> None:
    with JournalStorage(location, idle_exit=5, pool_bytes=4 << 20) as storage:
        storage.create_new_study([StudyDirection.MINIMIZE], "study")
        daemon = storage.status()["daemon_pid"]
        with subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(location), what],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            assert child.stdout.readline() == "stop it\n"
            with _stopped(daemon):
                child.stdin.write("\n")
                child.stdin.flush()
                assert child.stdout.readline() == "waiting\n"
                with pytest.raises(subprocess.TimeoutExpired):
                    child.wait(1)  # it does wait
                child.send_signal(signal.SIGINT)
                assert child.stdout.readline() == "interrupted\n"
            out, _ = child.communicate("\n", timeout=PATIENCE_S)
            assert out == "well\n"
            assert child.returncode == 0


def test_a_write_that_is_not_synced_in_time_says_that_it_is_published(location: Path) -> None:
    with JournalStorage(location, idle_exit=5, timeout=0.1) as storage:
        daemon = storage.status()["daemon_pid"]
        published = pytest.raises(PublishedError, match=r"^published as record \d+, but ")
        with _stopped(daemon), published:
            storage.create_new_study([StudyDirection.MINIMIZE], "written")
        assert storage.get_study_id_from_name("written") == 0
