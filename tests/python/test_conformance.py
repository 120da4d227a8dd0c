"""Optuna's own storage tests, unmodified, none skipped.

Optuna ships them since 4.7. For an older Optuna the newest one's file is loaded as it is, named by
OPTJOURNAL_STORAGE_SUITE (tools/optuna_matrix.sh does that): the only names in it that such an
Optuna may lack are an exception's and a module that is for type checkers.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import importlib.util
import os
from typing import Any

import optuna
import pytest


def load_suite() -> Any:
    path = os.environ.get("OPTJOURNAL_STORAGE_SUITE")
    if path is None:
        return pytest.importorskip(
            "optuna.testing.pytest_storages",
            reason=f"optuna {optuna.__version__} has no storage tests, and "
            "OPTJOURNAL_STORAGE_SUITE names none",
        )
    if not hasattr(optuna.exceptions, "UpdateFinishedTrialError"):
        # What such an Optuna raises in its place.
        optuna.exceptions.UpdateFinishedTrialError = RuntimeError
    spec = importlib.util.spec_from_file_location("optuna_storage_suite", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TestJournalStorage(load_suite().StorageTestCase):
    """No overrides: nothing is skipped."""
