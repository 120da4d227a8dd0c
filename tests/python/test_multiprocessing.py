"""A process that `multiprocessing` made ends its session as any other: it does not count as dead.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import multiprocessing
import subprocess
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from optuna.study import StudyDirection
from optuna.trial import TrialState

from optjournal import JournalStorage
from optjournal._programs import program_path

METHODS = ("fork", "spawn", "forkserver")


def _ask(location: Path) -> None:
    storage = JournalStorage(location)
    storage.create_new_trial(storage.get_study_id_from_name("study"))
    globals()["kept"] = storage  # as a module-level storage of a script: nobody lets it go


def _ask_with(storage: JournalStorage) -> None:
    storage.create_new_trial(storage.get_study_id_from_name("study"))


def _ends(location: Path) -> Counter[str]:
    """How the sessions of the journal ended."""
    tail = subprocess.run(
        [program_path("optjournal"), "tail", "--op", "sessionEnded", "--json", location],
        capture_output=True,
        text=True,
        check=True,
    )
    return Counter("died" if '"died"' in line else "closed" for line in tail.stdout.splitlines())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("inherited", [False, True], ids=["own", "inherited"])
def test_a_child_that_ends_has_closed(location: Path, method: str, inherited: bool) -> None:
    context = multiprocessing.get_context(method)
    with JournalStorage(location, idle_exit=5) as storage:
        study_id = storage.create_new_study([StudyDirection.MINIMIZE], "study")
        child = (
            context.Process(target=_ask_with, args=(storage,))
            if inherited
            else context.Process(target=_ask, args=(location,))
        )
        child.start()
        child.join()
        assert child.exitcode == 0
        storage.sync()
        # What it had begun between ask and tell is nobody's business but its own.
        assert [trial.state for trial in storage.get_all_trials(study_id)] == [TrialState.RUNNING]
    assert _ends(location) == Counter(closed=2)


def test_workers_of_a_pool_close(location: Path) -> None:
    with JournalStorage(location, idle_exit=5) as storage:
        storage.create_new_study([StudyDirection.MINIMIZE], "study")
        with ProcessPoolExecutor(2) as pool:
            list(pool.map(_ask, [location] * 4))
    ends = _ends(location)
    assert ends["died"] == 0
    assert ends["closed"] >= 2
