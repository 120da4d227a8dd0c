"""The main job, `make run`, in small: in a pipe, then on a terminal, where it continues the study.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import pyte
import pytest

import optjournal
from conftest import PROGRAMS, ROOT, run

SCRIPT = ROOT / "examples/tune_digits.py"


def environment(**more: str) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "MAKEFLAGS", "MAKELEVEL")}
    return {**clean, "OPTJOURNALD": str(PROGRAMS / "optjournald"), **more}


def tune(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """In a pipe."""
    return subprocess.run(
        [sys.executable, SCRIPT, "--folder", folder, *words],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=environment(),
    )


class OnTerminal:
    """A command on a pseudo terminal, to its end: all that it wrote, and what is seen of it then.

    `at_text` calls `then` with the process when the text was written for the first time.
    """

    COLUMNS, ROWS = 80, 60

    def __init__(
        self,
        command: list[str],
        at_text: str | None = None,
        then: Callable[[subprocess.Popen[bytes], int], object] | None = None,
        **more: str,
    ) -> None:
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", self.ROWS, self.COLUMNS, 0, 0))
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env=environment(TERM="xterm-256color", **more),
        )
        os.close(slave)
        written = b""
        while True:
            try:
                some = os.read(master, 65536)
            except OSError:  # nobody has it open any more
                break
            written += some
            if (
                at_text is not None
                and then is not None
                and at_text in written.decode("utf-8", "ignore")
            ):
                then(process, master)
                then = None
        self.code = process.wait()
        os.close(master)
        self.written = written.decode()
        screen = pyte.Screen(self.COLUMNS, self.ROWS)
        pyte.Stream(screen).feed(self.written)
        self.seen = "\n".join(line.rstrip() for line in screen.display).strip("\n")


def check_told(told: str, workers: int) -> None:
    """Whom it killed, that the study went on, and what came out."""
    assert len(re.findall(r"kill -9 \d+: a worker, in trial", told)) == 1
    assert len(re.findall(r"worker \d+ was killed by SIGKILL; \d+ takes its place", told)) == 1
    assert len(re.findall(r"kill -9 \d+: the daemon", told)) == 1
    assert re.search(r"daemon \d+, begun \d+ ms later, serves it\s+again", told)
    assert re.search(r"Best trial: #\d+, accuracy [01]\.\d+\s+hidden +\d+", told)
    assert re.search(rf"[\d.]+ trials per second in {workers}\s+processes", told)
    assert re.search(r"The journal holds \d+ trials: .* 1 FAIL|The journal holds .* 2 FAIL", told)


def test_kills_and_goes_on_and_continues(folder: Path) -> None:
    first = tune(folder, "--workers", "3", "--trials", "24", "--time-limit", "200")
    assert first.returncode == 0, first.stdout + first.stderr
    assert 'new study "digits"' in first.stdout
    check_told(first.stdout, 3)
    assert "\x1b" not in first.stdout
    assert "\r" not in first.stdout
    trials = json.loads(run("trials", "--json", folder, "digits").out)
    assert [t["number"] for t in trials] == list(range(len(trials)))
    assert sum(t["state"] in ("COMPLETE", "PRUNED") for t in trials) >= 24
    assert not any(t["orphan"] for t in trials)
    (failed,) = (t for t in trials if t["state"] == "FAIL")
    (again,) = (t for t in trials if t["system_attrs"].get("failed_trial") == failed["number"])
    assert again["state"] in ("COMPLETE", "PRUNED")

    # Every line that it gives to type works (but tail, which would go on for ever).
    typed = re.findall(
        r"^(?:List|Watch) its? .*?  (\S*optjournal \S+.*)$", first.stdout, re.MULTILINE
    )
    assert len(typed) == 3
    for line in typed:
        words = line.replace("tail -f", "tail").split()[1:]
        assert run(*words).code == 0, line

    # `make run`, on a terminal.
    words = f"--folder {folder} --workers 3 --trials 16 --time-limit 200"
    second = OnTerminal(["make", "-o", "build", "run", f"ARGS={words}"])
    assert second.code == 0, second.seen
    check_told(second.seen, 3)
    assert f'continuing study "digits" in {folder}: {len(trials)} trials so far' in re.sub(
        r"\s*\n", "", second.seen
    )
    bars = re.findall(
        r"\r\x1b\[K +[\d.]+ s  (█*░*) (\d+)/16 trials [^\r]*running \d", second.written
    )
    assert {len(bar) for bar, _ in bars} == {24}
    done = [int(count) for _, count in bars]
    assert done == sorted(done)
    assert len(set(done)) > 3, "the display moves"
    assert "█" not in second.seen, "the display is gone at the end"
    assert "\x1b[1mBest trial" in second.written
    more = json.loads(run("trials", "--json", folder, "digits").out)
    assert more[: len(trials)] == trials
    assert sum(t["state"] in ("COMPLETE", "PRUNED") for t in more[len(trials) :]) >= 16

    third = OnTerminal(
        [sys.executable, str(SCRIPT), *words.split()[:4], "--trials", "2", "--no-kill"],
        NO_COLOR="1",
    )
    assert third.code == 0, third.seen
    assert "kill -9" not in third.seen
    assert "\x1b[1m" not in third.written
    assert json.loads(run("trials", "--json", folder, "digits").out)[: len(more)] == more


def test_ctrl_c_ends_the_workers_and_keeps_the_study(folder: Path) -> None:
    told = OnTerminal(
        [sys.executable, str(SCRIPT), "--folder", str(folder), "--no-kill"],
        at_text="1/150 trials",
        then=lambda process, terminal: os.write(terminal, b"\x03"),
    )
    assert told.code == 130, told.seen
    assert "run it again to continue the study" in told.seen
    assert "Traceback" not in told.seen
    with optjournal.JournalStorage(folder, mode="monitor") as monitor:
        (study,) = monitor.get_all_studies()
        states = {t.state.name for t in monitor.get_all_trials(study._study_id)}
    assert "RUNNING" not in states
    assert states & {"COMPLETE", "PRUNED"}


@pytest.mark.parametrize(
    "words",
    [
        ["--trials", "0"],
        ["--workers", "0"],
        ["--workers", "1"],
        ["--time-limit", "nan"],
        ["--frob"],
    ],
)
def test_wrong_usage(folder: Path, words: list[str]) -> None:
    done = tune(folder, *words)
    assert done.returncode == 2
    assert "error:" in done.stderr
    assert not folder.exists()


def test_a_folder_of_something_else_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"\xff\xd8")
    done = tune(tmp_path / "photos")
    assert done.returncode == 1
    assert str(tmp_path / "photos") in done.stderr
    assert "Traceback" not in done.stderr
