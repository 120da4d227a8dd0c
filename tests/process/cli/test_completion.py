"""The completions, each in its own shell.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path

import pyte
import pytest

from conftest import PROGRAMS, ROOT, run


def complete(*words: str) -> list[str]:
    script = (
        f"source {ROOT / 'cli/completion/optjournal.bash'};"
        'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _optjournal; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", script, "bash", "optjournal", *words],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PATH": f"{PROGRAMS}:{os.environ['PATH']}"},
    )
    return done.stdout.split()


def test_bash_completes_verbs_options_values_and_study_names(offline_folder: Path) -> None:
    assert complete("st") == ["status", "studies", "stop"]
    assert complete("tail", "--fr") == ["--from"]
    assert complete("tail", "--from", "s") == ["start"]
    assert complete("tail", "--op", "setTrialI") == ["setTrialIntermediateValue"]
    assert complete("tail", "--state", "pr") == ["pruned"]
    assert complete("tail", "--un") == ["--until"]
    assert complete("top", "--o") == ["--once"]
    assert complete("--color", "n") == ["never"]
    assert complete("tail", "--op", "createT") == ["createTrial"]
    assert complete("tail", "--si") == ["--since"]
    assert complete("trials", "--state", "pr") == ["pruned"]
    assert complete("orphans", str(offline_folder), "digits", "ke") == ["keep"]
    assert complete("trials", str(offline_folder), "") == ["digits"]  # "two goals" is not one word
    assert complete("trials", str(offline_folder)[:-2]) == [str(offline_folder)]


def find_shell(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def complete_in_fish(line: str) -> list[str]:
    script = f"source {ROOT / 'cli/completion/optjournal.fish'}; complete -C $argv[1]"
    done = subprocess.run(
        [find_shell("fish"), "--no-config", "-c", script, line],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PATH": f"{PROGRAMS}:{os.environ['PATH']}"},
    )
    return sorted(found.split("\t")[0] for found in done.stdout.splitlines())


def test_fish_completes_verbs_options_values_and_study_names(offline_folder: Path) -> None:
    assert complete_in_fish("optjournal st") == ["status", "stop", "studies"]
    assert complete_in_fish("optjournal tail --fr") == ["--from"]
    assert complete_in_fish("optjournal trials --state p") == ["pruned"]
    assert complete_in_fish(f"optjournal orphans {offline_folder} digits ke") == ["keep"]
    assert complete_in_fish("optjournal tail --op endO") == ["endOrphan"]
    assert "digits" in complete_in_fish(f"optjournal trials {offline_folder} d")


class Zsh:
    """An interactive zsh on a terminal, into which is typed."""

    def __init__(self) -> None:
        shell = find_shell("zsh")
        self.lines = 0
        self.screen = pyte.Screen(160, 60)
        self.stream = pyte.ByteStream(self.screen)
        self.child, self.terminal = pty.fork()
        if self.child == 0:
            path = f"{PROGRAMS}:{os.environ['PATH']}"
            os.execve(shell, ["zsh", "-f", "-i"], {**os.environ, "PATH": path, "TERM": "xterm"})
        size = struct.pack("HHHH", 60, 160, 0, 0)
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, size)

    def __enter__(self) -> Zsh:
        setup = f"unset zle_bracketed_paste; PROMPT='$ '; fpath=({ROOT / 'cli/completion'} $fpath)"
        self.type(f"{setup}; autoload -Uz compinit; compinit -D -u; echo rea''dy\r", "ready")
        self.next_line()
        return self

    def shown(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display)

    def type(self, text: str, *wanted: str) -> str:
        """The screen once it shows all that is wanted."""
        os.write(self.terminal, text.encode())
        deadline = time.monotonic() + 60
        while not all(word in self.shown() for word in wanted):
            assert time.monotonic() < deadline, self.shown()
            if select.select([self.terminal], [], [], 1)[0]:
                self.stream.feed(os.read(self.terminal, 4096))
        return self.shown()

    def next_line(self) -> None:
        """Forgets what was typed, and clears the screen."""
        self.lines += 1
        self.type(f"\x15clear; echo ne''xt{self.lines}\r", f"next{self.lines}\n$")

    def __exit__(self, *_: object) -> None:
        os.kill(self.child, signal.SIGKILL)
        os.waitpid(self.child, 0)
        os.close(self.terminal)


def test_zsh_completes_verbs_options_values_and_study_names(offline_folder: Path) -> None:
    """Types into an interactive zsh, and looks at what Tab makes of it."""
    with Zsh() as zsh:
        for typed, completed in [
            ("stu", "studies"),
            ("tail --fr", "tail --from"),
            ("tail --op endO", "tail --op endOrphan"),
            ("trials --state p", "trials --state pruned"),
            (f"orphans {offline_folder} digits k", f"orphans {offline_folder} digits keep"),
            (f"trials {offline_folder} d", f"trials {offline_folder} digits"),
        ]:
            zsh.type(f"optjournal {typed}\t", completed)
            zsh.next_line()


def words_of_help(heading: str, pattern: str, *verb: str) -> set[str]:
    part = run(*verb, "--help").out.split(f"{heading}:\n")[1].split("\n\n")[0]
    return {word for line in part.splitlines() for word in re.findall(pattern, line)}


VERBS = words_of_help("Verbs", r"^  ([a-z]+) ")
OPTIONS = {verb: words_of_help("Options", r"^  (?:-\w,)?(--[a-z]+)", verb) for verb in VERBS}


class TestEveryVerbAndOptionOfHelp:
    """And no other."""

    def test_in_help(self) -> None:
        assert len(VERBS) >= 10
        assert {"--follow", "--from", "--help", "--json"} < OPTIONS["tail"]

    def test_in_bash(self) -> None:
        assert {word for word in complete("") if not word.startswith("-")} == VERBS
        for verb in VERBS:
            assert set(complete(verb, "--")) == OPTIONS[verb] | {"--color"}, verb

    def test_in_fish(self) -> None:
        assert set(complete_in_fish("optjournal ")) == VERBS
        for verb in VERBS:
            found = set(complete_in_fish(f"optjournal {verb} --"))
            assert found == OPTIONS[verb] | {"--color"}, verb

    def test_in_zsh(self) -> None:
        with Zsh() as zsh:
            seen = zsh.type("optjournal \t", *(f"\n{verb} " for verb in VERBS))
            assert set(re.findall(r"^([a-z]+) +-- ", seen, re.MULTILINE)) == VERBS
            for verb in sorted(VERBS):
                zsh.next_line()
                wanted = OPTIONS[verb] | {"--color"}
                seen = zsh.type(f"optjournal {verb} --\t", *(f"\n{word} " for word in wanted))
                # A long and a short form of one option stand in one line.
                found = set(re.findall(r"^(--[a-z]+) +(?:-\w +)?-- ", seen, re.MULTILINE))
                assert found == wanted, seen
