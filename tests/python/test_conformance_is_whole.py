"""Optuna's storage tests cannot be passed by leaving some out.

Method: a suite of three cases in the place of Optuna's, run by a pytest of its own as it is, and
with faults planted.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFORMANCE = Path(__file__).with_name("test_conformance.py")
PYTEST = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--rootdir", "."]
OF_ANY_SIZE = ["--deselect", f"{CONFORMANCE.name}::test_the_suite_is_no_smaller_than_it_was"]
SUITE = """
import pytest

class StorageTestCase:
    def test_one(self):
        pass

    @pytest.mark.parametrize("n", [1, 2])
    def test_two(self, n):
        pass
"""


def conform(folder: Path, suite: str, *words: str) -> tuple[int, str]:
    (folder / "suite.py").write_text(suite)
    done = subprocess.run(
        [*PYTEST, CONFORMANCE.name, *words],
        cwd=CONFORMANCE.parent,
        env={**os.environ, "OPTJOURNAL_STORAGE_SUITE": str(folder / "suite.py")},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_whole_run_passes(tmp_path: Path) -> None:
    code, said = conform(tmp_path, SUITE, *OF_ANY_SIZE)
    assert code == 0, said
    assert "4 passed" in said


@pytest.mark.parametrize(
    ("of_case", "in_case"),
    [
        ("", "pytest.skip('planted')"),
        ("@pytest.mark.skip('planted')", "pass"),
        ("@pytest.mark.skipif(True, reason='planted')", "pass"),
        ("@pytest.mark.xfail(reason='planted')", "assert False"),
    ],
)
def test_a_skipped_case_fails(tmp_path: Path, of_case: str, in_case: str) -> None:
    planted = f"    {of_case}\n    def test_three(self):\n        {in_case}\n"
    code, said = conform(tmp_path, SUITE + planted, *OF_ANY_SIZE)
    assert code == 1, said
    assert "may not be skipped" in said
    assert "planted" in said
    assert "4 passed" in said


@pytest.mark.parametrize(
    "words",
    [
        [*OF_ANY_SIZE, "--deselect", f"{CONFORMANCE.name}::TestJournalStorage::test_two[2]"],
        ["-k", "one or left_out"],
    ],
)
def test_a_case_left_out_fails(tmp_path: Path, words: list[str]) -> None:
    code, said = conform(tmp_path, SUITE, *words)
    assert code == 1, said
    assert "test_two" in said


def test_an_optuna_without_the_suite_fails(tmp_path: Path) -> None:
    code, said = conform(tmp_path, "import no_such_module")
    assert code not in (0, 5), said
    assert "skipped" not in said


def test_a_suite_of_fewer_cases_fails(tmp_path: Path) -> None:
    code, said = conform(tmp_path, SUITE)
    assert code == 1, said
    assert "FAILED test_conformance.py::test_the_suite_is_no_smaller" in said
