"""Optuna's own loops over JournalStorage: samplers, pruners, threads, queue, callbacks.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import optuna
import pytest
from optuna.trial import TrialState

from optjournal import JournalStorage

SAMPLERS = {
    "random": lambda: optuna.samplers.RandomSampler(seed=1),
    "tpe": lambda: optuna.samplers.TPESampler(seed=1, multivariate=True, constant_liar=True),
    "nsga2": lambda: optuna.samplers.NSGAIISampler(seed=1, population_size=5),
}


def objective(trial: optuna.Trial) -> float:
    x = trial.suggest_float("x", -5, 5)
    n = trial.suggest_int("n", 1, 64, log=True)
    c = trial.suggest_categorical("c", [None, True, "three", 4.5])
    for step in range(5):
        trial.report(x * x + step, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    trial.set_user_attr("seen", {"n": n, "c": c})
    return x * x + n


@pytest.mark.parametrize("name", SAMPLERS)
def test_same_seed_same_trials_as_in_memory(storage: JournalStorage, name: str) -> None:
    values = []
    for kind in (optuna.storages.InMemoryStorage(), storage):
        study = optuna.create_study(
            storage=kind, sampler=SAMPLERS[name](), pruner=optuna.pruners.MedianPruner()
        )
        study.optimize(objective, n_trials=30)
        values.append([(t.state, t.params, t.values, t.user_attrs) for t in study.trials])
    assert values[0] == values[1]
    assert {t[0] for t in values[0]} <= {TrialState.COMPLETE, TrialState.PRUNED}


def test_attributes_in_pieces_come_back_whole(storage: JournalStorage) -> None:
    """Samplers that keep their own state store it in trials' system attributes, cut in pieces."""
    pytest.importorskip("cmaes", reason="the sampler of this test needs the package cmaes")
    results = []
    for kind in (optuna.storages.InMemoryStorage(), storage):
        study = optuna.create_study(
            storage=kind, sampler=optuna.samplers.CmaEsSampler(seed=1, n_startup_trials=2)
        )
        study.optimize(
            lambda t: sum(t.suggest_float(f"x{i}", -1, 1) ** 2 for i in range(20)), n_trials=40
        )
        results.append([t.params for t in study.trials])
    assert results[0] == results[1]


def test_threads_optimise_together(storage: JournalStorage) -> None:
    study = optuna.create_study(storage=storage, sampler=SAMPLERS["tpe"]())
    study.optimize(objective, n_trials=60, n_jobs=4)
    assert [t.number for t in study.trials] == list(range(60))
    assert all(t.state in (TrialState.COMPLETE, TrialState.PRUNED) for t in study.trials)
    best = min(t.value for t in study.get_trials(states=(TrialState.COMPLETE,)))
    assert study.best_value == best


def test_enqueued_trials_come_first(storage: JournalStorage) -> None:
    study = optuna.create_study(storage=storage)
    for i in range(3):
        study.enqueue_trial({"x": float(i)}, user_attrs={"memo": i})
    study.optimize(lambda t: t.suggest_float("x", 0, 10), n_trials=4)
    assert [t.params["x"] for t in study.trials][:3] == [0.0, 1.0, 2.0]
    assert [t.user_attrs.get("memo") for t in study.trials] == [0, 1, 2, None]


def test_ask_and_tell(storage: JournalStorage) -> None:
    study = optuna.create_study(storage=storage, directions=["minimize", "maximize"])
    for i in range(4):
        trial = study.ask({"x": optuna.distributions.FloatDistribution(0, 1)})
        study.tell(trial, [float(i), float(i)])
    assert len(study.best_trials) == 4
    with pytest.raises(ValueError, match="Cannot tell"):
        study.tell(0, [1.0, 1.0])
    study.tell(0, [1.0, 1.0], skip_if_finished=True)
    assert study.trials[0].values == [0.0, 0.0]


def test_failing_trials_are_kept(storage: JournalStorage) -> None:
    def fails(trial: optuna.Trial) -> float:
        trial.suggest_float("x", 0, 1)
        if trial.number % 2:
            raise RuntimeError("on purpose")
        return float("nan") if trial.number % 4 else 1.0

    study = optuna.create_study(storage=storage)
    study.optimize(fails, n_trials=8, catch=(RuntimeError,))
    assert [t.state for t in study.trials] == [
        TrialState.COMPLETE if n % 4 == 0 else TrialState.FAIL for n in range(8)
    ]


def test_studies_are_copied_loaded_and_deleted(storage: JournalStorage) -> None:
    study = optuna.create_study(storage=storage, study_name="a", direction="maximize")
    study.set_user_attr("k", [1, 2])
    study.optimize(objective, n_trials=10)
    optuna.copy_study(
        from_study_name="a", from_storage=storage, to_storage=storage, to_study_name="b"
    )
    copied = optuna.load_study(study_name="b", storage=storage)
    assert copied.user_attrs == {"k": [1, 2]}
    assert copied.direction == study.direction
    assert [t.params for t in copied.trials] == [t.params for t in study.trials]
    again = optuna.create_study(
        storage=storage, study_name="a", load_if_exists=True, direction="maximize"
    )
    assert again._study_id == study._study_id
    with pytest.raises(optuna.exceptions.DuplicatedStudyError):
        optuna.create_study(storage=storage, study_name="a")
    optuna.delete_study(study_name="a", storage=storage)
    assert [s.study_name for s in optuna.get_all_study_summaries(storage)] == ["b"]
    with pytest.raises(KeyError):
        optuna.load_study(study_name="a", storage=storage)


def test_summaries(storage: JournalStorage) -> None:
    study = optuna.create_study(storage=storage, study_name="s")
    study.optimize(objective, n_trials=5)
    (summary,) = optuna.get_all_study_summaries(storage)
    assert summary.n_trials == 5
    assert summary.best_trial is not None
    assert summary.best_trial.value == study.best_value
