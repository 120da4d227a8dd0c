"""The end of `make verify`: no failure is overlooked, nothing is skipped without need.

Method: result folders as tools/verify.sh leaves them, and the real tools/verify_summary.py.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def summary(results: Path, said: str, *options: str, status: int = 0) -> tuple[int, str]:
    (results / "parts").write_text(f"model {status} 7\n")
    (results / "model.txt").write_text(said)
    done = subprocess.run(
        [sys.executable, ROOT / "tools/verify_summary.py", results, *options],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_what_is_good_passes(tmp_path: Path) -> None:
    status, text = summary(tmp_path, "seed 1\nok ring: 5 states\nok wake: 6 states\n")
    assert status == 0, text
    assert "2      0       0        7" in text


@pytest.mark.parametrize(
    ("said", "exit_status"),
    [("ok ring: 5 states\nFAILED wake: found\n", 1), ("ok ring: 5\n", 1), ("", 0)],
)
def test_failures_fail(tmp_path: Path, said: str, exit_status: int) -> None:
    status, text = summary(tmp_path, said, status=exit_status)
    assert status == 1
    assert "FAILED model" in text


@pytest.mark.parametrize(
    "reason",
    [
        "needs no-such-program: it is not installed",
        "needs sh, no/such/header.h: of two, one is here",
        "tried: mount: permission denied",
    ],
)
def test_a_skip_with_a_good_reason_is_shown_and_passes(tmp_path: Path, reason: str) -> None:
    status, text = summary(tmp_path, f"skipped ring: {reason}\n")
    assert status == 0, text
    assert f"skipped model ring: {reason}" in text


@pytest.mark.parametrize(
    "reason",
    ["needs sh: not here", "needs sh, env: likewise", "not today", "tried: ", "--fast: long"],
)
def test_a_needless_skip_fails(tmp_path: Path, reason: str) -> None:
    status, text = summary(tmp_path, f"ok wake: 1\nskipped ring: {reason}\n")
    assert status == 1, text
    assert "skipped without need" in text


def test_root_is_asked_of_the_system(tmp_path: Path) -> None:
    status, _ = summary(tmp_path, "skipped boot: needs root: it boots a container\n")
    assert status == (1 if os.geteuid() == 0 else 0)


def test_what_is_skipped_for_speed_passes_only_with_fast(tmp_path: Path) -> None:
    said = "skipped packages: --fast: too long\n"
    assert summary(tmp_path, said, "--fast")[0] == 0
    assert summary(tmp_path, said)[0] == 1
