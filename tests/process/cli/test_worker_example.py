"""examples/worker.cc and Python share one study: each enqueued trial is run once, by either.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

import optjournal
from conftest import PROGRAMS, open_storage, wait_until


def rosenbrock(x: float, y: float) -> float:
    return (1 - x) ** 2 + 100 * (y - x * x) ** 2


def objective(trial: optuna.Trial) -> float:
    trial.set_user_attr("language", "Python")
    return rosenbrock(trial.suggest_float("x", -5, 5), trial.suggest_float("y", -5, 5))


@pytest.fixture
def storage(folder: Path) -> Iterator[optjournal.JournalStorage]:
    with open_storage(folder) as opened:
        yield opened


@pytest.fixture
def study(storage: optjournal.JournalStorage) -> optuna.Study:
    return optuna.create_study(
        storage=storage, study_name="rosenbrock", sampler=optuna.samplers.RandomSampler(seed=1)
    )


@pytest.fixture
def in_cpp(folder: Path, study: optuna.Study) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Two workers in C++, which wait for trials."""
    command = [PROGRAMS / "worker", "--follow", folder, study.study_name]
    environment = {**os.environ, "OPTJOURNALD": str(PROGRAMS / "optjournald")}
    with open(os.devnull, "wb") as nowhere:
        workers = [subprocess.Popen(command, env=environment, stdout=nowhere) for _ in range(2)]
    yield workers
    for worker in workers:
        worker.kill()
        worker.wait()


def test_each_enqueued_trial_is_run_once(
    study: optuna.Study, in_cpp: list[subprocess.Popen[bytes]]
) -> None:
    wanted = []

    def enqueue(count: int) -> None:
        for _ in range(count):
            point = {"x": len(wanted) / 10, "y": -len(wanted) / 20}
            wanted.append(point)
            study.enqueue_trial(point)

    def none_unfinished() -> bool:
        unfinished = (TrialState.WAITING, TrialState.RUNNING)
        return not study.get_trials(deepcopy=False, states=unfinished)

    enqueue(20)  # only C++ is there
    wait_until(none_unfinished, "C++ runs what Python enqueued")
    assert all(not trial.user_attrs for trial in study.trials)
    enqueue(20)  # whoever comes first
    study.optimize(objective, n_trials=20)
    wait_until(none_unfinished, "both have run what is enqueued")
    for worker in in_cpp:
        worker.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, worker.pid, os.WSTOPPED)
    enqueue(1)  # only Python is there
    study.optimize(objective, n_trials=1)

    trials = study.get_trials(deepcopy=False)
    enqueued = [t for t in trials if "fixed_params" in t.system_attrs]
    assert [t.params for t in enqueued] == wanted
    assert enqueued[-1].user_attrs == {"language": "Python"}
    for trial in trials:
        assert trial.state == TrialState.COMPLETE
        assert trial.value == pytest.approx(rosenbrock(**trial.params), rel=1e-12)
        assert len(trial.intermediate_values) == (0 if trial.user_attrs else 4)
    by_python = sum(bool(t.user_attrs) for t in trials)
    assert by_python == 21  # one each call
    assert all(worker.poll() is None for worker in in_cpp)
