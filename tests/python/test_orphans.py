"""What becomes of the trials of processes that are killed: by the daemon, and by Optuna's
heartbeat over the deaths that the journal tells.

Method: real processes, forked from a clean server, which say that they have begun and wait for
their death. What a callback does is counted in a file: it may run in any process.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import RetryFailedTrialCallback
from optuna.storages._heartbeat import is_heartbeat_enabled
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from optjournal import JournalStorage
from processes import CONTEXT, run_together

pytestmark = [
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # RetryFailedTrialCallback's name
]

PATIENCE_S = 60  # a watchdog, not an expectation
RACERS = 16


def eventually(is_so: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


def _begin(connection: Connection, act: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    act(connection, *arguments)
    threading.Event().wait()  # its death


class Victim:
    """A process that runs `act(connection, *arguments)` up to where that says "begun"."""

    def __init__(self, act: Callable[..., None], *arguments: Any) -> None:
        ours, theirs = CONTEXT.Pipe()
        self.process = CONTEXT.Process(target=_begin, args=(theirs, act, arguments))
        self.process.start()
        theirs.close()
        assert ours.poll(PATIENCE_S)
        assert ours.recv() == "begun"

    def kill(self) -> None:
        self.process.kill()
        self.process.join()


@pytest.fixture
def victim() -> Iterator[Callable[..., Victim]]:
    victims: list[Victim] = []

    def make(act: Callable[..., None], *arguments: Any) -> Victim:
        victims.append(Victim(act, *arguments))
        return victims[-1]

    yield make
    for one in victims:
        one.kill()


def _ask(connection: Connection, location: Path, **options: Any) -> None:
    storage = JournalStorage(location, idle_exit=0, **options)
    study = optuna.load_study(study_name="study", storage=storage)
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    trial.set_user_attr("who", "victim")
    trial.report(0.5, step=3)
    connection.send("begun")
    threading.Event().wait()


def _ask_kept(connection: Connection, location: Path) -> None:
    _ask(connection, location, orphans="keep")


def _optimize(
    connection: Connection, location: Path, callback: Any, name: str = "failed_trial_callback"
) -> None:
    storage = JournalStorage(location, idle_exit=0, heartbeat_interval=1, **{name: callback})
    study = optuna.load_study(study_name="study", storage=storage)

    def objective(trial: optuna.Trial) -> float:
        trial.suggest_float("x", 0, 1)
        trial.set_user_attr("who", "victim")
        connection.send("begun")
        threading.Event().wait()
        return 0.0

    study.optimize(objective, n_trials=1)


def _states(storage: JournalStorage) -> list[TrialState]:
    study_id = storage.get_study_id_from_name("study")
    return [trial.state for trial in storage.get_all_trials(study_id, deepcopy=False)]


def _is_dead(location: Path, pid: int) -> bool:
    with JournalStorage(location, mode="monitor") as looking:
        return all(worker["pid"] != pid for worker in looking.status()["workers"])


class Counting:
    """Optuna's callback, with a line in a file for each call."""

    def __init__(self, path: Path, max_retry: int | None = None) -> None:
        self._path = path
        self._retry = RetryFailedTrialCallback(max_retry=max_retry)

    def __call__(self, study: optuna.Study, trial: FrozenTrial) -> None:
        with self._path.open("a") as file:
            file.write(f"{trial.number} {trial.state.name}\n")
        self._retry(study, trial)

    def calls(self) -> list[str]:
        return self._path.read_text().splitlines() if self._path.exists() else []


# By the daemon


def test_a_killed_asker_s_trial_fails(
    location: Path, storage: JournalStorage, study_id: int, victim: Callable[..., Victim]
) -> None:
    victim(_ask, location).kill()
    assert eventually(lambda: _states(storage) == [TrialState.FAIL])
    trial = storage.get_trial(0)
    assert trial.datetime_complete is not None
    assert trial.intermediate_values == {3: 0.5}


@pytest.mark.parametrize("through", ["study", "storage"])
def test_a_retry_is_what_optuna_s_callback_makes(
    location: Path,
    storage: JournalStorage,
    study_id: int,
    victim: Callable[..., Victim],
    through: str,
) -> None:
    study = optuna.load_study(study_name="study", storage=storage)
    study.enqueue_trial({"x": 0.25}, user_attrs={"memo": [1, None]})
    if through == "study":
        storage.set_orphan_policy(study, "retry:2")
        victim(_ask, location).kill()
    else:
        victim(_ask_retried, location).kill()
    assert eventually(lambda: len(_states(storage)) == 2)

    # The same death, given to Optuna's own callback in another study.
    optuna_study = optuna.create_study(storage=optuna.storages.InMemoryStorage())
    optuna_study.add_trial(storage.get_trial(0))
    RetryFailedTrialCallback()(optuna_study, optuna_study.trials[0])
    ours, theirs = storage.get_trial(1), optuna_study.trials[1]
    for field in (
        "number",
        "state",
        "values",
        "params",
        "distributions",
        "user_attrs",
        "system_attrs",
        "intermediate_values",
        "datetime_start",
        "datetime_complete",
    ):
        assert getattr(ours, field) == getattr(theirs, field), field
    assert RetryFailedTrialCallback.retried_trial_number(ours) == 0
    assert RetryFailedTrialCallback.retry_history(ours) == [0]

    # The retry is taken, with its parameters, and can be finished.
    trial = study.ask()
    assert trial.number == 1
    assert trial.suggest_float("x", 0, 1) == 0.25
    study.tell(trial, 1.0)
    assert _states(storage) == [TrialState.FAIL, TrialState.COMPLETE]


def _ask_retried(connection: Connection, location: Path) -> None:
    _ask(connection, location, orphans="retry:2")


def test_kept_ones_stay(
    location: Path, storage: JournalStorage, study_id: int, victim: Callable[..., Victim]
) -> None:
    victim(_ask_kept, location).kill()
    storage.set_orphan_policy(study_id, "keep")
    kept = victim(_ask, location)
    kept.kill()
    assert eventually(lambda: _is_dead(location, kept.process.pid or 0))
    storage.set_orphan_policy(study_id, None)
    victim(_ask, location).kill()
    # What counts is what the study said at the moment of each death.
    running, fail = TrialState.RUNNING, TrialState.FAIL
    assert eventually(lambda: _states(storage) == [running, running, fail])
    optuna.load_study(study_name="study", storage=storage).tell(1, state=fail)
    assert _states(storage) == [running, fail, fail]


def test_a_trial_that_is_told_by_another_process_after_a_clean_end_is_nobody_s(
    location: Path, storage: JournalStorage, study_id: int
) -> None:
    run_together(_ask_and_close, [(location,)])
    study = optuna.load_study(study_name="study", storage=storage)
    study.tell(0, 1.0)
    assert _states(storage) == [TrialState.COMPLETE]


def _ask_and_close(location: Path) -> None:
    with JournalStorage(location) as storage:
        optuna.load_study(study_name="study", storage=storage).ask()


def test_wrong_policies_are_refused(location: Path, storage: JournalStorage, study_id: int) -> None:
    for wrong in ("", "Fail", "retry", "retry:", "retry:0", "retry:-1", "retry:1001", "retry:1 "):
        with pytest.raises(ValueError, match="keep, fail"):
            storage.set_orphan_policy(study_id, wrong)
        with pytest.raises(ValueError, match="keep, fail"):
            JournalStorage(location, orphans=wrong)
    with pytest.raises(ValueError, match="heartbeat_interval"):
        JournalStorage(location, orphans="fail", heartbeat_interval=1)
    with pytest.raises(KeyError):
        storage.set_orphan_policy(study_id + 1, "fail")


# By Optuna's heartbeat


@pytest.fixture
def counting(tmp_path: Path) -> Counting:
    return Counting(tmp_path / "calls")


# Every Optuna asks by one of two names; the storage takes and gives both.
CALLBACK_NAMES = ["failed_trial_callback", "heartbeat_stale_trial_callback"]


@pytest.mark.parametrize("name", CALLBACK_NAMES)
def test_optimize_fails_a_dead_process_s_trial_and_calls_back(
    location: Path, victim: Callable[..., Victim], counting: Counting, name: str
) -> None:
    with JournalStorage(
        location, idle_exit=0, heartbeat_interval=60, grace_period=1, **{name: counting}
    ) as storage:
        assert is_heartbeat_enabled(storage)
        study = optuna.create_study(storage=storage, study_name="study")
        killed = victim(_optimize, location, counting, name)
        killed.kill()
        study_id = study._study_id
        assert eventually(lambda: storage._get_stale_trial_ids(study_id) == [0])
        died = time.monotonic()
        assert _states(storage) == [TrialState.RUNNING]  # the daemon leaves it to Optuna
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
        after_s = time.monotonic() - died
        print(f"measured a dead worker's trial: failed {after_s:.3f} s after it was stale")
        assert counting.calls() == ["0 FAIL"]
        assert _states(storage) == [TrialState.FAIL, TrialState.COMPLETE]
        assert study.trials[1].user_attrs == {"who": "victim"}  # the retry was taken
        study.optimize(lambda trial: 0.0, n_trials=2)
        assert counting.calls() == ["0 FAIL"]
        assert storage._get_stale_trial_ids(study_id) == []


def test_the_callback_s_newest_name_in_optuna_works(
    location: Path, victim: Callable[..., Victim]
) -> None:
    retry = getattr(optuna.storages, "RetryHeartbeatStaleTrialCallback", RetryFailedTrialCallback)
    with JournalStorage(
        location, idle_exit=0, heartbeat_interval=1, heartbeat_stale_trial_callback=retry()
    ) as storage:
        study = optuna.create_study(storage=storage, study_name="study")
        victim(_optimize, location, None).kill()
        assert eventually(lambda: storage._get_stale_trial_ids(study._study_id) == [0])
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
        assert _states(storage) == [TrialState.FAIL, TrialState.COMPLETE]
        assert study.trials[1].system_attrs["failed_trial"] == 0


def test_a_stopped_process_s_trial_is_not_stale(
    location: Path, victim: Callable[..., Victim], counting: Counting
) -> None:
    with JournalStorage(
        location, idle_exit=0, heartbeat_interval=1, failed_trial_callback=counting
    ) as storage:
        study = optuna.create_study(storage=storage, study_name="study")
        stopped = victim(_optimize, location, counting)
        assert stopped.process.pid is not None
        os.kill(stopped.process.pid, signal.SIGSTOP)
        dead = victim(_optimize, location, counting)
        dead.kill()
        assert eventually(lambda: storage._get_stale_trial_ids(study._study_id) == [1])
        study.optimize(lambda trial: 0.0, n_trials=1)
        assert counting.calls() == ["1 FAIL"]
        assert _states(storage) == [TrialState.RUNNING, TrialState.FAIL, TrialState.COMPLETE]


def test_only_processes_with_a_heartbeat_leave_their_trials_to_it(
    location: Path, victim: Callable[..., Victim], counting: Counting
) -> None:
    with JournalStorage(
        location, idle_exit=0, heartbeat_interval=1, failed_trial_callback=counting
    ) as storage:
        study = optuna.create_study(storage=storage, study_name="study")
        victim(_ask_kept, location).kill()
        victim(_ask, location).kill()
        assert eventually(lambda: _states(storage) == [TrialState.RUNNING, TrialState.FAIL])
        assert storage._get_stale_trial_ids(study._study_id) == []
        assert counting.calls() == []


def _race(location: Path, counting: Counting, barrier: Any) -> list[int]:
    with JournalStorage(
        location, idle_exit=1, heartbeat_interval=1, failed_trial_callback=counting
    ) as storage:
        study = optuna.load_study(study_name="study", storage=storage)
        barrier.wait()
        numbers = []

        def objective(trial: optuna.Trial) -> float:
            numbers.append(trial.number)
            return 0.0

        study.optimize(objective, n_trials=2)
        return numbers


def test_racing_processes_fail_and_retry_each_stale_trial_once(
    location: Path, victim: Callable[..., Victim], counting: Counting
) -> None:
    killed = 4
    with JournalStorage(location, idle_exit=0) as storage:
        optuna.create_study(storage=storage, study_name="study")
        victims = [victim(_optimize, location, counting) for _ in range(killed)]
        for one in victims:
            one.kill()
        assert eventually(lambda: all(_is_dead(location, one.process.pid or 0) for one in victims))
        manager = CONTEXT.Manager()
        try:
            barrier = manager.Barrier(RACERS)
            results = run_together(_race, [(location, counting, barrier)] * RACERS)
        finally:
            manager.shutdown()
        assert sorted(counting.calls()) == [f"{number} FAIL" for number in range(killed)]
        trials = storage.get_all_trials(0)
        failed = [trial for trial in trials if trial.state == TrialState.FAIL]
        retried = [trial for trial in trials if "failed_trial" in trial.system_attrs]
        assert [trial.number for trial in failed] == list(range(killed))
        assert sorted(t.system_attrs["failed_trial"] for t in retried) == list(range(killed))
        run = sorted(number for numbers in results for number in numbers)
        assert len(run) == len(set(run)) == 2 * RACERS


def test_the_heartbeat_is_off_unless_asked_for(storage: JournalStorage, study_id: int) -> None:
    assert not is_heartbeat_enabled(storage)
    assert storage.get_heartbeat_interval() is None
    assert storage.get_failed_trial_callback() is None
    assert storage.get_heartbeat_stale_trial_callback() is None
    assert storage._get_stale_trial_ids(study_id) == []
    with pytest.raises(KeyError):
        storage._get_stale_trial_ids(study_id + 1)


def test_heartbeat_arguments(location: Path, counting: Counting) -> None:
    with pytest.warns(optuna.exceptions.ExperimentalWarning, match="heartbeat_interval") as seen:
        opened = JournalStorage(
            location, idle_exit=0, heartbeat_interval=7, heartbeat_stale_trial_callback=counting
        )
    assert len(seen) == 1
    with opened, pickle.loads(pickle.dumps(opened)) as copy:
        for each in (opened, copy):
            assert each.get_heartbeat_interval() == 7
            assert isinstance(each.get_failed_trial_callback(), Counting)
            assert each.get_failed_trial_callback() is each.get_heartbeat_stale_trial_callback()
            each.record_heartbeat(0)
    for name in ("heartbeat_interval", "grace_period"):
        for wrong in (0, -1, 1.5, True):
            with pytest.raises(ValueError, match=name):
                JournalStorage(location, **{name: wrong})
    with pytest.raises(ValueError, match="only one"):
        JournalStorage(
            location,
            heartbeat_interval=1,
            heartbeat_stale_trial_callback=counting,
            failed_trial_callback=counting,
        )


def test_failing_a_finished_trial_still_raises(location: Path, storage: JournalStorage) -> None:
    study_id = storage.create_new_study([StudyDirection.MINIMIZE], "study")
    trial_id = storage.create_new_trial(study_id)
    storage._get_stale_trial_ids(study_id)
    assert storage.set_trial_state_values(trial_id, TrialState.FAIL)
    with pytest.raises(RuntimeError):
        storage.set_trial_state_values(trial_id, TrialState.FAIL)
