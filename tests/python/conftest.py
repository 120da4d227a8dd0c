"""A journal of its own for each test, and a watchdog that ends a test that hangs.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import faulthandler
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest

import optjournal

HANGS_AFTER_S = 600


@pytest.fixture(autouse=True)
def _watchdog() -> Iterator[None]:
    faulthandler.dump_traceback_later(HANGS_AFTER_S, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(scope="session", autouse=True)
def _quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture
def location(tmp_path: Path) -> Path:
    """A folder that does not exist yet."""
    return tmp_path / "journal"


@pytest.fixture
def storage(location: Path) -> Iterator[optjournal.JournalStorage]:
    with optjournal.JournalStorage(location, idle_exit=0) as opened:
        yield opened


@pytest.fixture
def study_id(storage: optjournal.JournalStorage) -> int:
    return storage.create_new_study([optuna.study.StudyDirection.MINIMIZE], "study")


@pytest.fixture
def trial_id(storage: optjournal.JournalStorage, study_id: int) -> int:
    return storage.create_new_trial(study_id)
