"""The main job, `make run`, in small: twice, so that the second run continues the first.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import PROGRAMS, ROOT, run


def tune(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "examples/tune_digits.py", "--folder", folder, *words],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "OPTJOURNALD": str(PROGRAMS / "optjournald")},
    )


def test_kills_and_goes_on_and_continues(folder: Path) -> None:
    first = tune(folder, "--workers", "3", "--trials", "30", "--time-limit", "200")
    assert first.returncode == 0, first.stdout + first.stderr
    assert 'new study "digits"' in first.stdout
    assert len(re.findall(r"kill -9 \d+: a worker, in trial", first.stdout)) == 1
    assert len(re.findall(r"kill -9 \d+: the daemon", first.stdout)) == 1
    assert re.search(r"daemon \d+, begun \d+ ms later, serves it again", first.stdout)
    assert re.search(r"Best trial: #\d+, accuracy [01]\.\d+", first.stdout)
    assert re.search(r"[\d.]+ trials per second in 3 processes", first.stdout)
    assert "\x1b" not in first.stdout
    assert "\r" not in first.stdout
    trials = json.loads(run("trials", "--json", folder, "digits").out)
    assert [t["number"] for t in trials] == list(range(len(trials)))
    assert sum(t["state"] in ("COMPLETE", "PRUNED") for t in trials) >= 30
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

    second = tune(folder, "--workers", "2", "--trials", "3", "--no-kill", "--time-limit", "200")
    assert second.returncode == 0, second.stdout + second.stderr
    assert f'continuing study "digits" in {folder}: {len(trials)} trials so far' in second.stdout
    assert "kill -9" not in second.stdout
    more = json.loads(run("trials", "--json", folder, "digits").out)
    assert more[: len(trials)] == trials
    assert len(more) >= len(trials) + 3


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
