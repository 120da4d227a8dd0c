"""A short study in several worker processes, one of which is killed: what a user's first day is.

usage: study.py LOCATION        Prints figures; the exit status says whether they are right.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys

import optuna

import optjournal

WORKERS = 4
TRIALS = 100
NAME = "packages"


def objective(trial: optuna.Trial) -> float:
    return trial.suggest_float("x", -1, 1) ** 2 + trial.suggest_int("k", 0, 3)


def work(location: str, victim: bool) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.load_study(study_name=NAME, storage=optjournal.JournalStorage(location))
    if victim:
        study.ask()
        os.kill(os.getpid(), signal.SIGKILL)
    stop = optuna.study.MaxTrialsCallback(TRIALS, states=(optuna.trial.TrialState.COMPLETE,))
    study.optimize(objective, callbacks=[stop])


def main(location: str) -> int:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optjournal.JournalStorage(location)
    study = optuna.create_study(study_name=NAME, storage=storage)
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=work, args=(location, i == 0)) for i in range(WORKERS + 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    exits = [worker.exitcode for worker in workers]
    done = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    print(f"{len(done)} trials by {WORKERS} workers, one more killed; best {study.best_value:.4f}")
    return 0 if exits == [-signal.SIGKILL] + [0] * WORKERS and len(done) >= TRIALS else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
