"""The completions, each in its own shell.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from conftest import PROGRAMS, ROOT


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


def test_fish_completes_verbs_options_values_and_study_names(offline_folder: Path) -> None:
    script = f"source {ROOT / 'cli/completion/optjournal.fish'}; complete -C $argv[1]"

    def complete_in_fish(line: str) -> list[str]:
        done = subprocess.run(
            [find_shell("fish"), "--no-config", "-c", script, line],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PATH": f"{PROGRAMS}:{os.environ['PATH']}"},
        )
        return sorted(found.split("\t")[0] for found in done.stdout.splitlines())

    assert complete_in_fish("optjournal st") == ["status", "stop", "studies"]
    assert complete_in_fish("optjournal tail --fr") == ["--from"]
    assert complete_in_fish("optjournal trials --state p") == ["pruned"]
    assert complete_in_fish(f"optjournal orphans {offline_folder} digits ke") == ["keep"]
    assert complete_in_fish("optjournal tail --op endO") == ["endOrphan"]
    assert "digits" in complete_in_fish(f"optjournal trials {offline_folder} d")


def test_zsh_completes_verbs_options_values_and_study_names(offline_folder: Path) -> None:
    """Types into an interactive zsh, on a terminal, and looks at what Tab makes of it."""
    shell = find_shell("zsh")
    child, terminal = pty.fork()
    if child == 0:
        os.execve(
            shell,
            ["zsh", "-f", "-i"],
            {**os.environ, "PATH": f"{PROGRAMS}:{os.environ['PATH']}", "TERM": "dumb"},
        )

    def type_and_wait(text: str, wanted: str) -> None:
        os.write(terminal, text.encode())
        seen, deadline = "", time.monotonic() + 60
        while wanted not in seen:
            assert time.monotonic() < deadline, seen
            if select.select([terminal], [], [], 1)[0]:
                seen += os.read(terminal, 4096).decode(errors="replace")

    try:
        setup = f"unset zle_bracketed_paste; PROMPT='$ '; fpath=({ROOT / 'cli/completion'} $fpath)"
        type_and_wait(f"{setup}; autoload -Uz compinit; compinit -D -u; echo rea''dy\r", "ready")
        for typed, completed in [
            ("stu", "studies "),
            ("tail --fr", "tail --from "),
            ("tail --op endO", "tail --op endOrphan"),
            ("trials --state p", "trials --state pruned"),
            (f"orphans {offline_folder} digits k", f"orphans {offline_folder} digits keep"),
            (f"trials {offline_folder} d", f"trials {offline_folder} digits"),
        ]:
            type_and_wait(f"optjournal {typed}\t", completed)
            type_and_wait("\x15echo ne''xt\r", "next")
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(terminal)
