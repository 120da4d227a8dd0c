"""A journal of its own for each test, and a watchdog that ends a test that hangs.

A test marked `never_skipped` that skips itself, or is expected to fail, fails.

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


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "never_skipped: fails where it would be skipped")


@pytest.hookimpl(hookwrapper=True, tryfirst=True)  # sees what pytest made of marks
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    outcome = yield
    report = outcome.get_result()
    if report.skipped and item.get_closest_marker("never_skipped"):
        report.outcome = "failed"
        vars(report).pop("wasxfail", None)
        report.longrepr = f"may not be skipped: {report.longrepr}"


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
