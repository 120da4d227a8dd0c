"""`optjournal top`: on a real (pseudo) terminal, and in a pipe.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
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
from conftest import PROGRAMS, run, wait_until


class Screen:
    """The program on a pseudo terminal, and what that shows."""

    def __init__(self, folder: Path, columns: int, rows: int) -> None:
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
            env={**os.environ, "TERM": "xterm-256color"},
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
def top(folder: Path, columns: int, rows: int) -> Iterator[Screen]:
    screen = Screen(folder, columns, rows)
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
        newest = optuna.load_study(study_name="digits", storage=storage).ask()
        screen.wait_for(f"#{newest.number} ")


def test_keys(storage: optjournal.JournalStorage, folder: Path) -> None:
    with top(folder, 80, 24) as screen:
        screen.wait_for("sorted by age")
        screen.press("s")
        screen.wait_for("sorted by rate")
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
