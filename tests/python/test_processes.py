"""Many processes on one journal: nothing is lost, doubled or seen differently.

Method: real processes that begin together (processes.py); each reports what it did and saw, and the
reports are held against each other and against the journal.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

import optjournal
from optjournal import JournalStorage
from processes import CONTEXT, run_together

AlreadyFinished: type[Exception] = getattr(
    optuna.exceptions, "UpdateFinishedTrialError", RuntimeError
)

WORKERS = 8
TRIALS_EACH = 500
REPORTS = 10


def _one_trial(storage: JournalStorage, study_id: int, worker: int, i: int) -> int:
    trial_id = storage.create_new_trial(study_id)
    storage.set_trial_param(trial_id, "worker", worker, IntDistribution(0, WORKERS))
    storage.set_trial_param(trial_id, "i", i, IntDistribution(0, TRIALS_EACH))
    storage.set_trial_param(trial_id, "x", i / 7, FloatDistribution(0, 1000))
    storage.set_trial_param(trial_id, "lr", 10.0**-worker, FloatDistribution(1e-9, 1, log=True))
    storage.set_trial_param(trial_id, "c", i % 3, CategoricalDistribution(("a", None, 2)))
    for step in range(REPORTS):
        storage.set_trial_intermediate_value(trial_id, step, worker + i * step)
    storage.set_trial_user_attr(trial_id, "who", {"worker": worker, "i": i})
    storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [worker * 1000.0 + i])
    return trial_id


def _work(location: Path, worker: int, all_done: Any, all_looked: Any) -> dict[str, Any]:
    with JournalStorage(location, idle_exit=1) as storage:
        study = optuna.create_study(storage=storage, study_name="shared", load_if_exists=True)
        began = time.monotonic()
        ids = [_one_trial(storage, study._study_id, worker, i) for i in range(TRIALS_EACH)]
        report: dict[str, Any] = {"ids": ids, "began": began, "ended": time.monotonic()}
        all_done.wait()  # from here to all_looked nobody writes
        report |= {"seq": storage.next_seq(), "digest": storage.digest()}
        if worker == 0:
            storage.sync()
            with JournalStorage(location, mode="offline") as disk:
                report["disk"] = (disk.next_seq(), disk.digest())
        all_looked.wait()
        return report


def _check_trial(trial: FrozenTrial) -> tuple[int, int]:
    who = trial.user_attrs["who"]
    worker, i = who["worker"], who["i"]
    assert trial.state == TrialState.COMPLETE
    assert trial.params == {
        "worker": worker,
        "i": i,
        "x": i / 7,
        "lr": 10.0**-worker,
        "c": ("a", None, 2)[i % 3],
    }
    assert list(trial.params) == ["worker", "i", "x", "lr", "c"]
    assert trial.distributions["x"] == FloatDistribution(0, 1000)
    assert trial.intermediate_values == {step: worker + i * step for step in range(REPORTS)}
    assert trial.values == [worker * 1000.0 + i]
    assert trial.datetime_start is not None
    assert trial.datetime_complete is not None
    assert trial.datetime_start <= trial.datetime_complete
    return worker, i


def test_eight_workers_share_a_study(location: Path) -> None:
    done, looked = CONTEXT.Barrier(WORKERS), CONTEXT.Barrier(WORKERS)
    reports = run_together(_work, [(location, worker, done, looked) for worker in range(WORKERS)])
    seconds = max(report["ended"] for report in reports) - min(r["began"] for r in reports)
    print(
        f"measured {WORKERS} processes on one study: {WORKERS * TRIALS_EACH} trials in "
        f"{seconds:.1f} s, {WORKERS * TRIALS_EACH / seconds:,.0f} a second"
    )
    assert len({report["digest"] for report in reports}) == 1
    assert len({report["seq"] for report in reports}) == 1
    assert reports[0]["disk"] == (reports[0]["seq"], reports[0]["digest"])

    with JournalStorage(location, idle_exit=0) as storage:
        (study,) = storage.get_all_studies()
        trials = storage.get_all_trials(study._study_id)
    assert [t.number for t in trials] == list(range(WORKERS * TRIALS_EACH))
    of_number = {t.number: t for t in trials}
    seen = {_check_trial(trial): trial._trial_id for trial in of_number.values()}
    assert seen == {
        (worker, i): trial_id
        for worker, report in enumerate(reports)
        for i, trial_id in enumerate(report["ids"])
    }


def _start(location: Path, all_open: Any) -> tuple[int, int, int]:
    with JournalStorage(location, idle_exit=1) as storage:
        study = optuna.create_study(storage=storage, study_name="one", load_if_exists=True)
        all_open.wait()
        status = storage.status()
        all_open.wait()
        return study._study_id, status["daemon_pid"], len(status["workers"])


def test_sixty_four_processes_start_on_an_absent_folder(location: Path) -> None:
    barrier = CONTEXT.Barrier(64)
    reports = run_together(_start, [(location, barrier)] * 64)
    assert {study_id for study_id, _, _ in reports} == {0}
    assert len({daemon for _, daemon, _ in reports}) == 1
    assert {workers for _, _, workers in reports} == {64}


def _pop(location: Path, study_id: int) -> list[int]:
    """As Optuna's Study does, until nothing waits."""
    popped = []
    with JournalStorage(location, idle_exit=1) as storage:
        while True:
            waiting = storage.get_all_trials(study_id, False, (TrialState.WAITING,))
            if not waiting:
                return popped
            for trial in waiting:
                try:
                    if not storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING):
                        continue
                except AlreadyFinished:
                    continue
                popped.append(trial.params["x"])
                storage.set_trial_state_values(trial._trial_id, TrialState.COMPLETE, [0.0])
                break


def test_each_waiting_trial_is_popped_once(storage: JournalStorage, study_id: int) -> None:
    for i in range(200):
        template = optuna.trial.create_trial(
            state=TrialState.WAITING,
            params={"x": i},
            distributions={"x": IntDistribution(0, 200)},
        )
        storage.create_new_trial(study_id, template)
    reports = run_together(_pop, [(Path(storage.location), study_id)] * 16)
    assert sorted(x for report in reports for x in report) == list(range(200))
    assert storage.get_n_trials(study_id, TrialState.COMPLETE) == 200


def _finish(location: Path, trial_id: int, worker: int) -> str:
    with JournalStorage(location, idle_exit=1) as storage:
        try:
            done = storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [float(worker)])
        except AlreadyFinished as error:
            return str(error)
        assert done is True
        return "won"


def test_one_of_sixteen_finishes_a_trial(
    storage: JournalStorage, study_id: int, trial_id: int
) -> None:
    location = Path(storage.location)
    reports = run_together(_finish, [(location, trial_id, worker) for worker in range(16)])
    winner = reports.index("won")
    lost = "Trial#0 has already finished and can not be updated."
    assert sorted(reports) == [lost] * 15 + ["won"]
    assert storage.get_trial(trial_id).value == float(winner)


def _create(location: Path) -> int | None:
    with JournalStorage(location, idle_exit=1) as storage:
        try:
            return storage.create_new_study([StudyDirection.MINIMIZE], "contested")
        except optuna.exceptions.DuplicatedStudyError:
            return None


def test_one_of_a_hundred_creates_a_name(storage: JournalStorage) -> None:
    reports = run_together(_create, [(Path(storage.location),)] * 100)
    (winner,) = [study_id for study_id in reports if study_id is not None]
    (study,) = storage.get_all_studies()
    assert (study._study_id, study.study_name) == (winner, "contested")


def test_a_study_deleted_under_its_workers_stays_deleted(
    storage: JournalStorage, study_id: int
) -> None:
    trials = [storage.create_new_trial(study_id) for _ in range(4)]
    reports = run_together(
        _write_until_gone,
        [(Path(storage.location), study_id, trial_id) for trial_id in trials]
        + [(Path(storage.location), study_id, None)],
    )
    assert reports == ["KeyError"] * 4 + ["deleted"]
    assert storage.get_all_studies() == []
    again = storage.create_new_study([StudyDirection.MINIMIZE], "study")
    assert storage.get_all_trials(again) == []


def _write_until_gone(location: Path, study_id: int, trial_id: int | None) -> str:
    with optjournal.JournalStorage(location, idle_exit=1) as storage:
        if trial_id is None:
            storage.delete_study(study_id)
            return "deleted"
        step = 0
        while True:
            try:
                storage.set_trial_intermediate_value(trial_id, step, 0.0)
            except KeyError:
                return "KeyError"
            step += 1


@pytest.mark.parametrize("durability", ["published", "synced"])
def test_what_another_process_wrote_is_seen_at_once(
    storage: JournalStorage, study_id: int, durability: str
) -> None:
    (written,) = run_together(_write_some, [(Path(storage.location), study_id, durability)])
    assert [t._trial_id for t in storage.get_all_trials(study_id)] == written


def _write_some(location: Path, study_id: int, durability: Any) -> list[int]:
    with JournalStorage(location, durability=durability, idle_exit=1) as storage:
        return [storage.create_new_trial(study_id) for _ in range(50)]
