"""Threads, forks and pickles of one JournalStorage.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import os
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import FloatDistribution
from optuna.study import StudyDirection
from optuna.trial import TrialState

from optjournal import GoneError, JournalStorage
from processes import run_together

ROUNDS, CHILDREN, CREATES = 10, 6, 250


def _fork_round(storage: JournalStorage, study_id: int) -> list[int]:
    """The ids that CHILDREN forked children, who go on using `storage`, created."""
    pipes = []
    for _ in range(CHILDREN):
        ours, theirs = os.pipe()
        if os.fork() == 0:
            os.close(ours)
            ids = [storage.create_new_trial(study_id) for _ in range(CREATES)]
            with os.fdopen(theirs, "w") as stream:
                json.dump({"ids": ids, "seen": storage.get_n_trials(study_id)}, stream)
            os._exit(0)
        os.close(theirs)
        pipes.append(ours)
    ids = []
    for pipe in pipes:
        with os.fdopen(pipe) as stream:
            report = json.load(stream)
        assert len(report["ids"]) == CREATES
        assert report["seen"] >= CREATES
        ids += report["ids"]
    for _ in range(CHILDREN):
        _, status = os.wait()
        assert status == 0
    return ids


def _fork_rounds(location: Path) -> dict[str, Any]:
    with JournalStorage(location, durability="published", idle_exit=1) as storage:
        study_id = storage.create_new_study([StudyDirection.MINIMIZE])
        ids = [storage.create_new_trial(study_id)]
        for _ in range(ROUNDS):
            ids += _fork_round(storage, study_id)
            ids.append(storage.create_new_trial(study_id))  # the parent is none the worse
        trials = storage.get_all_trials(study_id, deepcopy=False)
        return {
            "created": ids,
            "listed": [t._trial_id for t in trials],
            "numbers": [t.number for t in trials],
            "digest": storage.digest(),
        }


def test_forked_children_neither_lose_nor_double_a_trial(location: Path) -> None:
    (report,) = run_together(_fork_rounds, [(location,)])
    count = ROUNDS * CHILDREN * CREATES + ROUNDS + 1
    assert len(report["created"]) == count
    assert sorted(report["created"]) == report["listed"] == list(range(count))
    assert report["numbers"] == list(range(count))


def _fork_with_cached_trials(location: Path) -> None:
    with JournalStorage(location, idle_exit=1) as storage:
        study_id = storage.create_new_study([StudyDirection.MINIMIZE])
        for value in range(20):
            trial_id = storage.create_new_trial(study_id)
            storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [value])
        before = storage.get_all_trials(study_id, deepcopy=False)
        child = os.fork()
        if child == 0:
            same = storage.get_all_trials(study_id, deepcopy=False) == before
            storage.close()
            os._exit(0 if same else 1)
        assert os.waitpid(child, 0)[1] == 0
        # The child's close() ended the child's session, not ours.
        storage.create_new_trial(study_id)
        assert storage.get_all_trials(study_id, deepcopy=False)[:-1] == before


def test_a_child_sees_what_was_cached_and_may_close(location: Path) -> None:
    run_together(_fork_with_cached_trials, [(location,)])


def test_threads_share_one_storage(storage: JournalStorage, study_id: int) -> None:
    def work(worker: int) -> list[int]:
        ids = []
        for i in range(100):
            trial_id = storage.create_new_trial(study_id)
            storage.set_trial_param(trial_id, "x", i, FloatDistribution(0, 100))
            storage.set_trial_user_attr(trial_id, "who", {"worker": worker})
            storage.get_all_trials(study_id, deepcopy=False, states=(TrialState.COMPLETE,))
            storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [float(i)])
            mine = storage.get_trial(trial_id)
            assert mine.values == [float(i)]
            assert mine.user_attrs == {"who": {"worker": worker}}
            listed = storage.get_all_trials(study_id, deepcopy=False)
            assert [t.number for t in listed] == list(range(len(listed)))
            assert mine in listed
            ids.append(trial_id)
        return ids

    with ThreadPoolExecutor(8) as pool:
        ids = [trial_id for result in pool.map(work, range(8)) for trial_id in result]
    assert sorted(ids) == list(range(800))
    assert storage.get_n_trials(study_id, TrialState.COMPLETE) == 800


def test_a_thread_that_waits_for_the_disk_lets_others_run(storage: JournalStorage) -> None:
    """Were the GIL kept while waiting, the counting thread would not get on meanwhile."""
    counted = [0]
    stop = threading.Event()

    def count() -> None:
        while not stop.is_set():
            counted[0] += 1

    counter = threading.Thread(target=count)
    counter.start()
    try:
        for _ in range(20):
            storage.create_new_study([StudyDirection.MINIMIZE])  # waits until it is synced
    finally:
        stop.set()
        counter.join()
    assert counted[0] > 20


def test_a_pickle_opens_the_same_journal(storage: JournalStorage, study_id: int) -> None:
    with JournalStorage(
        Path(storage.location), durability="published", timeout=5, name="pickled"
    ) as original:
        text = pickle.dumps(original)
        assert len(text) < 1000
        with pickle.loads(text) as copy:
            assert copy.location == original.location
            assert copy._options == original._options
            trial_id = copy.create_new_trial(study_id)
            assert original.get_trial(trial_id) == copy.get_trial(trial_id)
        original.close()
        with pickle.loads(pickle.dumps(original)) as copy:
            assert copy.get_n_trials(study_id) == 1


def _unpickle(text: bytes, folder: str, study_id: int) -> int:
    os.chdir(folder)
    with pickle.loads(text) as storage:
        return storage.create_new_trial(study_id)


def test_a_relative_location_means_the_same_folder_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with JournalStorage("here", idle_exit=0) as storage:
        study_id = storage.create_new_study([StudyDirection.MINIMIZE])
        assert storage.location == str(tmp_path / "here")
        run_together(_unpickle, [(pickle.dumps(storage), "/", study_id)])
        assert storage.get_n_trials(study_id) == 1


def test_a_closed_storage_says_so(storage: JournalStorage, study_id: int) -> None:
    storage.close()
    storage.close()
    for call in (
        lambda: storage.create_new_trial(study_id),
        lambda: storage.get_all_trials(study_id),
        lambda: storage.get_all_trials(study_id, deepcopy=False),
        storage.digest,
        storage.status,
        storage.sync,
    ):
        with pytest.raises(GoneError, match="closed") as caught:
            call()
        assert caught.value.code == "gone"
        assert pickle.loads(pickle.dumps(caught.value)).args == caught.value.args
