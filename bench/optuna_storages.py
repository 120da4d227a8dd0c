"""Optuna's storages against JournalStorage, all in one run: what counts are the ratios.

A trial is what a small real one does: create, 5 parameters, 10 reports, a user attribute, finish,
then one get_all_trials(deepcopy=False, states=(COMPLETE, PRUNED)) and one get_trial, as a sampler
and a pruner would.

With --check: only what RATIOS_MIN names; the exit status is 1 if a ratio is not reached.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState

from optjournal import JournalStorage

# Trials per second, published, in the same run: of InMemoryStorage's in one process, and of
# JournalFileBackend's in several.
RATIOS_MIN = {"one process": 1.0, "several processes": 50.0}
READ_STATES = (TrialState.COMPLETE, TrialState.PRUNED)
PARAMS = [
    ("x", 0.5, FloatDistribution(0, 1)),
    ("lr", 1e-3, FloatDistribution(1e-6, 1, log=True)),
    ("layers", 3.0, IntDistribution(1, 9)),
    ("units", 64.0, IntDistribution(1, 1024, log=True)),
    ("kind", 1.0, CategoricalDistribution(("adam", "sgd", None))),
]


def run_trial(storage: BaseStorage, study_id: int) -> None:
    trial_id = storage.create_new_trial(study_id)
    for name, value, distribution in PARAMS:
        storage.set_trial_param(trial_id, name, value, distribution)
    for step in range(10):
        storage.set_trial_intermediate_value(trial_id, step, 1.0 / (step + 1))
    storage.set_trial_user_attr(trial_id, "host", "node-17")
    storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [0.25])
    storage.get_all_trials(study_id, deepcopy=False, states=READ_STATES)
    storage.get_trial(trial_id)


def trials_per_second(storage: BaseStorage, trials: int) -> float:
    study_id = storage.create_new_study([StudyDirection.MINIMIZE])
    begin = time.perf_counter()
    for _ in range(trials):
        run_trial(storage, study_id)
    return trials / (time.perf_counter() - begin)


def memory_storage(_: str) -> BaseStorage:
    return optuna.storages.InMemoryStorage()


def file_storage(folder: str) -> BaseStorage:
    path = os.path.join(folder, "optuna.journal")
    if hasattr(optuna.storages, "journal"):
        backend = optuna.storages.journal.JournalFileBackend(path)
    else:
        backend = optuna.storages.JournalFileStorage(path)
    return optuna.storages.JournalStorage(backend)


def published_storage(folder: str) -> BaseStorage:
    return JournalStorage(os.path.join(folder, "journal"), durability="published", idle_exit=0)


def default_storage(folder: str) -> BaseStorage:
    return JournalStorage(os.path.join(folder, "journal"), idle_exit=0)


class Folder:
    """A folder on disk for one measurement."""

    def __enter__(self) -> str:
        self._path = tempfile.mkdtemp(prefix="optjournal-bench-", dir=os.environ.get("BENCH_DIR"))
        return self._path

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._path, ignore_errors=True)


def close(storage: BaseStorage) -> None:
    if isinstance(storage, JournalStorage):
        storage.close()


def one_process(trials: int, rounds: int, check: bool) -> float:
    """Rounds in turn, so that a busy machine is busy for all of them. Of memory, published."""
    print(f"\none process, {trials} trials, median of {rounds} rounds      trials/s   of memory")
    kinds: list[tuple[str, Callable[[str], BaseStorage], int]] = [
        ("InMemoryStorage", memory_storage, trials),
        ("optjournal, published", published_storage, trials),
        ("optjournal, as Optuna asks", default_storage, max(trials // 4, 1)),
        ("JournalFileBackend", file_storage, max(trials // 40, 1)),
    ]
    if check:
        kinds = kinds[:2]
    rates: dict[str, list[float]] = {name: [] for name, _, _ in kinds}
    for _ in range(rounds):
        for name, make, count in kinds:
            with Folder() as folder:
                storage = make(folder)
                rates[name].append(trials_per_second(storage, count))
                close(storage)
    base = statistics.median(rates["InMemoryStorage"])
    for name, values in rates.items():
        rate = statistics.median(values)
        print(f"  {name:<48}{rate:>12,.0f}{rate / base:>12.2f}")
    return statistics.median(rates["optjournal, published"]) / base


def _measure_call(storage: BaseStorage, call: Callable[[BaseStorage, int, int], Any]) -> float:
    """Microseconds a call, on trials of the bench's size."""
    study_id = storage.create_new_study([StudyDirection.MINIMIZE])
    count, seconds = 2000, 0.0
    for i in range(0, count, 10):
        trial_id = storage.create_new_trial(study_id)
        for name, value, distribution in PARAMS:
            storage.set_trial_param(trial_id, name, value, distribution)
        begin = time.perf_counter()
        for step in range(10):
            call(storage, trial_id, i + step)
        seconds += time.perf_counter() - begin
    return seconds / count * 1e6


CALLS: dict[str, Callable[[BaseStorage, int, int], Any]] = {
    "set_trial_param, float": lambda s, t, i: s.set_trial_param(t, "x", 0.25, PARAMS[0][2]),
    "set_trial_param, categorical": lambda s, t, i: s.set_trial_param(t, "kind", 2, PARAMS[4][2]),
    "set_trial_intermediate_value": lambda s, t, i: s.set_trial_intermediate_value(t, i % 10, 0.5),
    "set_trial_user_attr, text": lambda s, t, i: s.set_trial_user_attr(t, "host", "node-17"),
    "set_trial_user_attr, nested": lambda s, t, i: s.set_trial_user_attr(t, "n", {"a": [1, 2]}),
    "set_trial_system_attr, int": lambda s, t, i: s.set_trial_system_attr(t, "k", i),
    "get_trial, running": lambda s, t, i: s.get_trial(t),
    "get_n_trials": lambda s, t, i: s.get_n_trials(0),
}


def single_calls(rounds: int) -> None:
    print("\none call, microseconds                               memory  published   of memory")
    for name, call in CALLS.items():
        memory, published = [], []
        for _ in range(rounds):
            memory.append(_measure_call(optuna.storages.InMemoryStorage(), call))
            with Folder() as folder:
                storage = published_storage(folder)
                published.append(_measure_call(storage, call))
                close(storage)
        ours, theirs = statistics.median(published), statistics.median(memory)
        print(f"  {name:<48}{theirs:>9.2f}{ours:>11.2f}{ours / theirs:>12.2f}")


def _worker(make: Any, folder: str, study_id: int, trials: int, start: Any, done: Any) -> None:
    storage = make(folder)
    start.wait()
    for _ in range(trials):
        run_trial(storage, study_id)
    done.wait()
    close(storage)


def rate_of_processes(make: Any, processes: int, trials: int) -> float:
    context = multiprocessing.get_context("spawn")
    with Folder() as folder:
        storage = make(folder)
        study_id = storage.create_new_study([StudyDirection.MINIMIZE], "shared")
        start, done = context.Barrier(processes + 1), context.Barrier(processes + 1)
        workers = [
            context.Process(target=_worker, args=(make, folder, study_id, trials, start, done))
            for _ in range(processes)
        ]
        for worker in workers:
            worker.start()
        start.wait()
        begin = time.perf_counter()
        done.wait()
        seconds = time.perf_counter() - begin
        for worker in workers:
            worker.join()
        count = storage.get_n_trials(study_id)
        close(storage)
    assert count == processes * trials, f"{count} trials instead of {processes * trials}"
    return count / seconds


def several_processes(processes: int, trials: int, rounds: int) -> float:
    """Of the file, published."""
    print(
        f"\n{processes} processes, one study, median of {rounds} rounds            "
        "trials/s     of file"
    )
    kinds: list[tuple[str, Callable[[str], BaseStorage], int]] = [
        ("JournalFileBackend", file_storage, max(trials // 40, 5)),
        ("optjournal, as Optuna asks", default_storage, trials),
        ("optjournal, published", published_storage, trials),
    ]
    rates: dict[str, list[float]] = {name: [] for name, _, _ in kinds}
    for _ in range(rounds):
        for name, make, count in kinds:
            rates[name].append(rate_of_processes(make, processes, count))
    base = statistics.median(rates["JournalFileBackend"])
    for name, values in rates.items():
        rate = statistics.median(values)
        print(f"  {name:<48}{rate:>12,.1f}{rate / base:>12.1f}")
    return statistics.median(rates["optjournal, published"]) / base


def judge(ratios: dict[str, float]) -> int:
    """The exit status."""
    status = 0
    print()
    for name, ratio in ratios.items():
        reached = ratio >= RATIOS_MIN[name]
        status |= not reached
        print(
            f"{name}: {ratio:.2f} of at least {RATIOS_MIN[name]:.2f}"
            f"{'' if reached else '  NOT REACHED'}"
        )
    return status


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trials", type=int, default=1000, help="a round and process")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--check", action="store_true", help="fail below the ratios to be reached")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    load = os.getloadavg()[0]
    print(f"optuna {optuna.__version__}, {os.cpu_count()} processors, load {load:.1f}")
    ratios = {"one process": one_process(arguments.trials, arguments.rounds, arguments.check)}
    if not arguments.check:
        single_calls(arguments.rounds)
    ratios["several processes"] = several_processes(
        arguments.processes, arguments.trials, arguments.rounds
    )
    return judge(ratios) if arguments.check else 0


if __name__ == "__main__":
    sys.exit(main())
