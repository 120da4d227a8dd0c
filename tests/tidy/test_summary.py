"""The end of `make test`: every test is counted, every figure shown, no failure is overlooked.

Method: result folders as the stages leave them, written here, and the real tools/test_summary.py.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CTEST = """<?xml version="1.0"?>
<testsuite><testcase name="process.Crash.A" classname="process.Crash.A" status="run">
<system-out>[ RUN      ] Crash.A
measured worker killed: 300 times; longest wait 1.5 ms &lt; 2
not measured that: 7
[       OK ] Crash.A
</system-out></testcase></testsuite>
"""
PYTEST = """<?xml version="1.0"?>
<testsuites><testsuite><testcase classname="test_a" name="test_b">{outcome}
<system-out>--------------------------------- Captured Out ---------------------------------
measured trials: 12 a second
</system-out></testcase></testsuite></testsuites>
"""


def summary(results: Path, stages: str, **files: str) -> tuple[int, str]:
    (results / "stages").write_text(stages)
    for name, text in files.items():
        (results / f"{name}.xml").write_text(text)
    done = subprocess.run(
        [sys.executable, ROOT / "tools/test_summary.py", results],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_figures_are_shown(tmp_path: Path) -> None:
    code, said = summary(
        tmp_path, "cpp 0 3\npython 0 4\n", release=CTEST, python=PYTEST.format(outcome="")
    )
    assert code == 0, said
    figures = said.split("\n\n")[:2]
    assert figures == [
        "python measured\n  trials: 12 a second",
        "release measured\n  worker killed: 300 times; longest wait 1.5 ms < 2",
    ]
    assert said.endswith("\n2 passed, 0 failed\n")


def test_a_failed_test_fails_the_whole(tmp_path: Path) -> None:
    failed = PYTEST.format(outcome='<failure message="why"/>')
    code, said = summary(tmp_path, "python 1 4\n", python=failed, release=CTEST)
    assert code == 1
    assert "FAILED test_a.test_b" in said
    assert said.endswith("\n1 passed, 1 failed\n")


def test_a_skipped_test_is_named(tmp_path: Path) -> None:
    skipped = PYTEST.format(outcome='<skipped message="no mount namespace"/>')
    code, said = summary(tmp_path, "python 0 4\n", python=skipped, release=CTEST)
    assert code == 0
    assert "SKIPPED test_a.test_b: no mount namespace" in said
    assert said.endswith("\n1 passed, 0 failed, 1 skipped\n")


def test_a_stage_that_broke_fails_the_whole(tmp_path: Path) -> None:
    code, said = summary(tmp_path, "cpp 8 3\n", release=CTEST)
    assert code == 1
    assert said.endswith("\n1 passed, 1 failed\n")


def test_nothing_tested_is_no_success(tmp_path: Path) -> None:
    code, said = summary(tmp_path, "cpp 0 3\n")
    assert code == 1, said
