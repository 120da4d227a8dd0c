"""Judges what the Python workers of a run did.

usage: judge_trials.py [--plant] FOLDER DIARY=ID[:killed] ...

Reads the journal from disk alone. With --plant the judge is then shown the same trials with a fault
of each kind in them, and must find it.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState
from trials import STUDY, judge

import optjournal

Trials = list[FrozenTrial]


class Shown:
    """A storage that shows these trials."""

    def __init__(self, trials: Trials) -> None:
        self.trials = trials

    def get_all_trials(self, study: int, deepcopy: bool = True) -> Trials:
        return self.trials


def tear(trials: Trials) -> None:
    trials[-1].params["x"] += 1e-9


def unfinish(trials: Trials) -> None:
    trials[-1].state = TrialState.RUNNING


def renumber(trials: Trials) -> None:
    trials[-1].number = trials[0].number


def exchange(trials: Trials) -> None:
    trials[0].number, trials[-1].number = trials[-1].number, trials[0].number


def invent(trials: Trials) -> None:
    stranger = copy.deepcopy(trials[-1])
    stranger._trial_id = stranger.number = 10**9
    stranger.user_attrs["who"] = [10**9, 0]
    trials.append(stranger)


FAULTS: dict[str, tuple[str, Callable[[Trials], object]]] = {
    "trial removed": ("lost", lambda trials: trials.pop()),
    "trial unfinished": ("lost", unfinish),
    "trial number doubled": ("doubled", renumber),
    "trials exchanged": ("overtaken", exchange),
    "parameter changed": ("torn", tear),
    "trial of nobody": ("uninvited", invent),
}


def plant(trials: Trials, diaries: dict[int, Path], killed: set[int]) -> int:
    """Faults go into finished trials, which their workers know of."""
    missed = 0
    finished = [t for t in trials if t.state == TrialState.COMPLETE]
    others = [t for t in trials if t.state != TrialState.COMPLETE]
    for name, (rule, fault) in FAULTS.items():
        shown = [copy.deepcopy(finished[0]), *finished[1:-1], copy.deepcopy(finished[-1])]
        fault(shown)
        verdict = judge(Shown(others + shown), 0, diaries, killed)  # type: ignore[arg-type]
        found = verdict.broken[rule] > 0
        missed += not found
        text = f"found as {verdict.text()}" if found else "not found"
        print(f"{'ok' if found else 'FAILED'} mutant {name}: {text}")
    return missed


def main() -> int:
    words = sys.argv[1:]
    planting = words[0] == "--plant"
    if planting:
        words.pop(0)
    storage = optjournal.JournalStorage(words[0], mode="offline")
    diaries, killed = {}, set()
    for word in words[1:]:
        path, _, name = word.rpartition("=")
        worker = int(name.split(":")[0])
        diaries[worker] = Path(path)
        if name.endswith(":killed"):
            killed.add(worker)
    study = storage.get_study_id_from_name(STUDY)
    verdict = judge(storage, study, diaries, killed)
    figures = (
        f"{verdict.operations} operations returned to {len(diaries)} Python workers, "
        f"{len(killed)} of them killed; {verdict.trials} trials, {verdict.finished} finished, "
        f"{verdict.unanswered} creations unanswered"
    )
    if verdict.broken or verdict.operations == 0:
        print(f"FAILED trials: {verdict.text()}; {figures}")
        return 1
    print(f"ok trials: {figures}; found {verdict.text()}")
    return plant(storage.get_all_trials(study), diaries, killed) if planting else 0


if __name__ == "__main__":
    sys.exit(main())
