"""`optjournal top`: on a real (pseudo) terminal, and in a pipe.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import pyte
import pytest

import optjournal
from conftest import PROGRAMS, open_storage, run, wait_until


class Screen:
    """The program on a pseudo terminal, and what that shows."""

    def __init__(self, folder: Path, columns: int, rows: int, **environment: str) -> None:
        self.master, self.slave = pty.openpty()
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.resize(columns, rows)
        self.before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen(
            [PROGRAMS / "optjournal", "top", "--interval", "0.2", folder],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", **environment},
        )

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def read(self) -> str:
        while select.select([self.master], [], [], 0.01)[0]:
            self.stream.feed(os.read(self.master, 65536))
        return "\n".join(self.screen.display)

    def wait_for(self, text: str) -> str:
        wait_until(lambda: text in self.read(), f"{text!r} on the screen")
        return self.read()

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def wait_for_end(self) -> int:
        wait_until(lambda: self.read() and self.process.poll() is not None, "the end of top")
        return self.process.wait()


@contextmanager
def top(folder: Path, columns: int, rows: int, **environment: str) -> Iterator[Screen]:
    screen = Screen(folder, columns, rows, **environment)
    try:
        yield screen
    finally:
        if screen.process.poll() is None:
            screen.process.kill()
        screen.process.wait()
        os.close(screen.master)
        os.close(screen.slave)


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (200, 50)])
def test_shows_workers_studies_and_daemon(
    storage: optjournal.JournalStorage, folder: Path, columns: int, rows: int
) -> None:
    with top(folder, columns, rows) as screen:
        text = screen.wait_for("two goals")
        assert "daemon " in text
        assert "sync p50" in text
        assert str(os.getpid()) in text
        assert "digits" in text
        assert "0.75" in text  # the best value
        for column in ("USER", "PID", "GPU", "STUDY", "TRIAL", "AGE", "/s", "BEST", "/min"):
            assert column in text, column
        newest = optuna.load_study(study_name="digits", storage=storage).ask()
        screen.wait_for(f"#{newest.number} ")


def test_keys(storage: optjournal.JournalStorage, folder: Path) -> None:
    with top(folder, 80, 24) as screen:
        screen.wait_for("sorted by age")
        for sort in ("rate", "pid", "user", "study", "age"):
            screen.press("s")
            screen.wait_for(f"sorted by {sort}")
        screen.press("h")
        screen.wait_for("this help")
        screen.press("h/zzz")
        screen.wait_for("filter: zzz_")
        wait_until(lambda: "two goals" not in screen.read(), "the filter filters")
        screen.press("\x1b")
        screen.wait_for("two goals")
        screen.press("q")
        assert screen.wait_for_end() == 0
        assert termios.tcgetattr(screen.slave) == screen.before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_the_terminal_as_it_was(
    storage: optjournal.JournalStorage, folder: Path, number: signal.Signals
) -> None:
    with top(folder, 80, 24) as screen:
        screen.wait_for("two goals")
        screen.process.send_signal(number)
        assert screen.wait_for_end() == -number
        assert termios.tcgetattr(screen.slave) == screen.before


def test_resized_and_across_a_killed_daemon(
    storage: optjournal.JournalStorage, folder: Path
) -> None:
    with top(folder, 200, 50) as screen:
        screen.wait_for("two goals")
        screen.resize(80, 24)
        screen.process.send_signal(signal.SIGWINCH)
        screen.wait_for("two goals")
        daemon = json.loads(run("status", "--json", folder).out)["daemon"]["pid"]
        os.kill(daemon, signal.SIGKILL)
        optuna.create_study(storage=storage, study_name="after the kill")
        screen.wait_for("after the kill")
        wait_until(
            lambda: "daemon " in (text := screen.read()) and f"daemon {daemon}" not in text,
            "the new daemon",
        )


def daemon_pid(folder: Path) -> int:
    return int(json.loads(run("status", "--json", folder).out)["daemon"]["pid"])


def wait_for_silence(screen: Screen) -> None:
    wait_until(
        lambda: re.search(r"has not answered for [2-9]\.", screen.read()),
        "it says that the daemon does not answer, and for how long",
    )


def test_a_stopped_daemon_does_not_freeze_it(
    storage: optjournal.JournalStorage, folder: Path
) -> None:
    daemon = daemon_pid(folder)
    with top(folder, 80, 24) as before:
        before.wait_for("two goals")
        os.kill(daemon, signal.SIGSTOP)
        try:
            with top(folder, 80, 24) as meanwhile:  # also one that never heard of it
                wait_for_silence(before)
                assert f"daemon {daemon} has not answered" in before.read()
                wait_for_silence(meanwhile)
                trial = storage.create_new_trial(0)  # only the region has it
                for screen in (before, meanwhile):
                    screen.wait_for(f"#{storage.get_trial_number_from_id(trial)} ")
                    screen.press("s")
                    screen.wait_for("sorted by rate")
                meanwhile.press("q")
                assert meanwhile.wait_for_end() == 0
        finally:
            os.kill(daemon, signal.SIGCONT)
        before.wait_for("sync p50")
        assert "has not answered" not in before.read()


NVML_DOUBLE = PROGRAMS.parent / "nvml_double"  # a library like the driver's, with two GPUs


@pytest.mark.skipif(
    not NVML_DOUBLE.is_dir() or Path("/dev/nvidiactl").exists(),
    reason=f"{NVML_DOUBLE} was not built, or this machine has GPUs of its own",
)
def test_gpus_with_load_and_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    with open_storage(folder) as storage:
        optuna.create_study(storage=storage, study_name="on a GPU").ask()
        words = ("top", "--once", "--json", "--interval", "0.1", folder)
        (worker,) = json.loads(run(*words, LD_LIBRARY_PATH=str(NVML_DOUBLE)).out)["workers"]
        assert worker["gpus"] == [
            {
                "uuid": "GPU-00000002-0000-4000-8000-000000000000",
                "name": "NVIDIA Double",
                "index": 1,
                "busy_percent": 41,
                "memory_used_bytes": 10 << 30,
                "memory_bytes": 80 << 30,
            }
        ]
        with top(folder, 80, 24, LD_LIBRARY_PATH=str(NVML_DOUBLE)) as screen:
            screen.wait_for("1 41% 10/80G")


def test_in_a_pipe(storage: optjournal.JournalStorage, folder: Path) -> None:
    answer = run("top", "--once", "--interval", "0.1", folder)
    assert answer.code == 0, answer
    assert "\x1b" not in answer.out
    assert "two goals" in answer.out
    picture = json.loads(run("top", "--once", "--json", "--interval", "0.1", folder).out)
    assert [study["name"] for study in picture["studies"]] == ["digits", "two goals"]
    assert picture["workers"][0]["pid"] == os.getpid()
    assert picture["daemon"]["lag_records"] == 0
    assert run("top", folder).code == 1
    assert "--once" in run("top", folder).err
    assert run("top", "--interval", "0", folder).code == 2


def test_at_rest(offline_folder: Path) -> None:
    picture = json.loads(run("top", "--once", "--json", "--interval", "0.1", offline_folder).out)
    assert picture["daemon"] is None
    assert "no" in picture["daemon_text"]
    assert picture["workers"] == []
