"""What a user's Python does in his container.

usage: study.py make | ask FILE | fork | optimize COUNT | judge

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from pathlib import Path

import optuna

import optjournal

LOCATION = "optjournal://hpo"
NAME = "contained"
CHILDREN, TRIALS = 4, 50


def study() -> optuna.Study:
    return optuna.load_study(study_name=NAME, storage=optjournal.JournalStorage(LOCATION))


def make() -> None:
    storage = optjournal.JournalStorage(LOCATION, orphans="retry:1")
    optuna.create_study(study_name=NAME, storage=storage, load_if_exists=True)
    print(f"study {NAME}")


def ask(said: Path) -> None:
    """Asks for a trial, says so in the file, and waits to be killed."""
    storage = optjournal.JournalStorage(LOCATION, orphans="retry:1")
    trial = optuna.load_study(study_name=NAME, storage=storage).ask()
    trial.suggest_float("x", 0, 1)
    said.write_text(str(trial.number))
    threading.Event().wait()


def fork() -> None:
    """Children go on with the study that their parent opened, while it does."""
    inherited = study()

    def work() -> None:
        for _ in range(TRIALS):
            trial = inherited.ask()
            inherited.tell(trial, trial.suggest_float("x", 0, 1))

    before = len(inherited.trials)
    children = []
    for _ in range(CHILDREN):
        child = os.fork()
        if child == 0:
            work()
            os._exit(0)
        children.append(child)
    work()
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * CHILDREN
    made = [trial for trial in inherited.trials[before:] if trial.state.is_finished()]
    assert len(made) == (CHILDREN + 1) * TRIALS, len(made)
    print(f"{len(made)} trials of a parent and {CHILDREN} children")


def optimize(count: int) -> None:
    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0, 1)
        trial.report(x, 0)
        return x**2

    study().optimize(objective, n_trials=count)
    print(f"{count} trials")


def judge() -> None:
    """Numbered without a gap, all finished, and what died was tried again once."""
    trials = study().trials
    assert [trial.number for trial in trials] == list(range(len(trials)))
    states = Counter(trial.state.name for trial in trials)
    retried = [trial for trial in trials if "failed_trial" in trial.system_attrs]
    assert states == {"COMPLETE": len(trials) - 1, "FAIL": 1}, states
    assert [trial.state.name for trial in retried] == ["COMPLETE"]
    assert trials[retried[0].system_attrs["failed_trial"]].state.name == "FAIL"
    print(f"{dict(states)}, the one that failed was tried again once, by another user")


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    verb, *rest = sys.argv[1:]
    if verb == "ask":
        ask(Path(rest[0]))
    elif verb == "optimize":
        optimize(int(rest[0]))
    else:
        {"make": make, "fork": fork, "judge": judge}[verb]()
