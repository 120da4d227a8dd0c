"""docs/operations.md: its words for errors are the program's, its figures the daemon's.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from conftest import PROGRAMS, ROOT, run, wait_until

PAGE = (ROOT / "docs" / "operations.md").read_text()
# What the system says, and not we.
NOT_OURS = {"Permission denied", "No space left on device"}


def words_of_errors() -> list[str]:
    """The first column of each table of errors."""
    rows = re.findall(r"^\| (`[^|]*) \|", PAGE.split("## Errors", 1)[1], flags=re.MULTILINE)
    return [words for row in rows for words in re.findall(r"`([^`]+)`", row)]


def words_of_programs() -> str:
    """All literals, those joined that are broken over lines or around a value."""
    text = ""
    for layer in ("base", "shm", "journal", "schema", "replay", "libclient", "daemon", "cli"):
        for source in sorted((ROOT / layer).glob("*.cc")):
            text += re.sub(r'"\s*\n\s*"', "", source.read_text()) + "\n"
    return text


PROGRAM_WORDS = words_of_programs()


def said(words: str) -> bool:
    return all(part.strip() in PROGRAM_WORDS for part in words.split("..."))


def test_each_class_of_error_is_there() -> None:
    classes = re.findall(r"^### (\w+):.*`(\w+)Error`", PAGE, flags=re.MULTILINE)
    wanted = ["Busy", "Gone", "Invalid", "Refused", "Incompatible", "Corrupt", "Io", "Published"]
    assert classes == [(name, name) for name in wanted]
    assert len(words_of_errors()) > 40


@pytest.mark.parametrize("words", [w for w in words_of_errors() if w not in NOT_OURS])
def test_words_for_errors_are_those_of_the_program(words: str) -> None:
    assert said(words), words


def test_words_that_nobody_says_are_found() -> None:
    assert not said("the disc is on fire")


def test_the_example_of_sizing_is_what_a_daemon_takes(tmp_path: Path) -> None:
    daemon = subprocess.Popen(
        [PROGRAMS / "optjournald", "--pool", "64M", tmp_path / "runs"], stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: run("status", tmp_path / "runs").code == 0, "it serves")
        wait_until(
            lambda: json.loads(run("status", "--json", tmp_path / "runs").out)["served"], "served"
        )
        status = json.loads(run("status", "--json", tmp_path / "runs").out)
    finally:
        daemon.terminate()
        daemon.wait()
    slots, chunks = status["ring_slots"], status["chunk_count"]
    pool = chunks * status["chunk_bytes"]
    assert pool == 64 << 20
    assert status["region_bytes"] == pool + 8 * slots + 8 * chunks + 256 * 1024 + 2 * 4096
    for figure in (slots, chunks, status["region_bytes"]):
        assert f"{figure:,}" in PAGE
