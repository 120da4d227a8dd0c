"""Optuna's own storage tests, unmodified, none skipped.

Optuna ships them since 4.7. For an older Optuna the newest one's file is loaded as it is, named by
OPTJOURNAL_STORAGE_SUITE (tools/optuna_matrix.sh does that): the only names in it that such an
Optuna may lack are an exception's and a module that is for type checkers.

A case that is skipped, or left out, fails (test_conformance_is_whole.py plants both).

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import importlib.util
import inspect
import math
import os
from collections import Counter
from typing import Any

import optuna
import pytest

CASES_MIN = 59  # what Optuna 4.9 has


def load_suite() -> Any:
    path = os.environ.get("OPTJOURNAL_STORAGE_SUITE")
    if path is None:
        # Of an Optuna that has none this is an error, and no reason to go without.
        return importlib.import_module("optuna.testing.pytest_storages")
    if not hasattr(optuna.exceptions, "UpdateFinishedTrialError"):
        # What such an Optuna raises in its place.
        optuna.exceptions.UpdateFinishedTrialError = RuntimeError
    spec = importlib.util.spec_from_file_location("optuna_storage_suite", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


Suite = load_suite().StorageTestCase


@pytest.mark.never_skipped
class TestJournalStorage(Suite):
    """No overrides."""


def cases_of_the_suite() -> Counter[str]:
    """How many cases each of its tests has, as its parameters say."""
    cases = Counter()
    for name, test in inspect.getmembers(Suite, inspect.isfunction):
        if name.startswith("test"):
            marks = getattr(test, "pytestmark", [])
            cases[name] = math.prod(len(m.args[1]) for m in marks if m.name == "parametrize")
    return cases


def test_no_case_is_left_out(request: pytest.FixtureRequest) -> None:
    run = Counter(
        item.originalname for item in request.session.items if item.cls is TestJournalStorage
    )
    left_out = cases_of_the_suite() - run
    assert not left_out, f"not run, although this is: {dict(left_out)}"
    overridden = [name for name in vars(TestJournalStorage) if name.startswith("test")]
    assert not overridden


def test_the_suite_is_no_smaller_than_it_was() -> None:
    assert sum(cases_of_the_suite().values()) >= CASES_MIN
