"""Workers that do what Optuna does to a storage, and the judge of what the storage kept of it.

Goal: the same work and the same judgement for every storage, so that what is found in one can be
compared with another.

Method: a worker writes a line to its diary before each operation and one after it (one write(2)
each, so SIGKILL loses none). Values are functions of worker and trial. The judge reads all diaries
and the storage; it counts

    lost        an operation that returned, without its effect
    doubled     one trial, or one trial number, given to two creations
    uninvited   a trial, a parameter or a value that nobody meant to write
    torn        an effect with another value than was written
    overtaken   creation A returned before creation B began, but A's trial has the higher number
    errors      operations that raised in a process that nobody killed

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optuna.distributions import FloatDistribution
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

STUDY = "verify"
REPORTS = 2
RANGE = FloatDistribution(0.0, 1.0)


def value_of(worker: int, k: int, what: str) -> float:
    """In [0, 1), another one for each worker, trial and operation."""
    seed = worker * 1_000_003 + k * 7919 + sum(map(ord, what))
    return (seed * 0x9E3779B97F4A7C15 % 2**64) / 2**64


class Diary:
    def __init__(self, path: str) -> None:
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def write(self, **entry: Any) -> None:
        os.write(self.fd, (json.dumps({**entry, "t": time.monotonic_ns()}) + "\n").encode())


@dataclass
class Told:
    """Set by a signal handler: the worker ends after the trial that it is at."""

    to_end: bool = False


def work(
    storage: BaseStorage, study: int, diary: Diary, worker: int, told: Told, trials: int = 10**9
) -> None:
    """Creates trials, sets parameters, reports and finishes them, until told to end."""

    def do(what: str, k: int, call: Any) -> Any:
        diary.write(do=what, k=k)
        result = call()
        diary.write(did=what, k=k, got=result if isinstance(result, (int, bool)) else None)
        return result

    def trial(k: int) -> None:
        made = do("create", k, lambda: storage.create_new_trial(study))
        do("who", k, lambda: storage.set_trial_user_attr(made, "who", [worker, k]))
        for name in ("x", "y"):
            internal = value_of(worker, k, name)
            do(name, k, lambda n=name, v=internal: storage.set_trial_param(made, n, v, RANGE))
        for step in range(REPORTS):
            what = f"step{step}"
            reported = value_of(worker, k, what)
            do(
                what,
                k,
                lambda s=step, v=reported: storage.set_trial_intermediate_value(made, s, v),
            )
        values = [value_of(worker, k, "finish")]
        do(
            "finish",
            k,
            lambda: storage.set_trial_state_values(made, TrialState.COMPLETE, values),
        )

    k = 0
    while not told.to_end and k < trials:
        try:
            trial(k)
        except Exception as error:
            diary.write(error=f"{type(error).__name__}: {error}")
        k += 1
    diary.write(closed=True)


@dataclass
class Verdict:
    trials: int = 0
    finished: int = 0
    operations: int = 0  # that returned
    unanswered: int = 0  # creations whose worker died in them
    wait_ms: list[float] = field(default_factory=list)
    broken: Counter[str] = field(default_factory=Counter)
    first_complaint: str = ""

    def complain(self, rule: str, text: str) -> None:
        self.broken[rule] += 1
        self.first_complaint = self.first_complaint or f"{rule}: {text}"

    def text(self) -> str:
        if not self.broken:
            return "nothing"
        counts = ", ".join(f"{rule} {times}" for rule, times in sorted(self.broken.items()))
        return f"{counts} (first: {self.first_complaint})"


def entries(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_bytes().split(b"\n"):
        if line.endswith(b"}"):  # the last one may have been cut by a kill between two pages
            yield json.loads(line)


@dataclass
class Operation:
    worker: int
    k: int
    what: str
    called: int
    returned: int = 0
    got: int | None = None


def read_diary(path: Path, worker: int, killed: bool, verdict: Verdict) -> list[Operation]:
    operations: list[Operation] = []
    closed = False
    for entry in entries(path):
        if "do" in entry:
            operations.append(Operation(worker, entry["k"], entry["do"], entry["t"]))
        elif "did" in entry:
            last = operations[-1]
            last.returned, last.got = entry["t"], entry["got"]
            verdict.wait_ms.append((last.returned - last.called) / 1e6)
            verdict.operations += 1
        elif "error" in entry:
            verdict.complain("errors", f"worker {worker}: {entry['error']}")
        closed = closed or "closed" in entry
    if not killed and not closed:
        verdict.complain("errors", f"worker {worker} ended by itself, or never ended")
    return operations


def judge(storage: BaseStorage, study: int, diaries: dict[int, Path], killed: set[int]) -> Verdict:
    """`diaries`: by worker. `storage`: opened after all of them had ended."""
    verdict = Verdict()
    operations: list[Operation] = []
    for worker, path in diaries.items():
        if path.exists():
            operations += read_diary(path, worker, worker in killed, verdict)
    trials = {t._trial_id: t for t in storage.get_all_trials(study, deepcopy=False)}
    verdict.trials = len(trials)
    verdict.finished = sum(t.state == TrialState.COMPLETE for t in trials.values())
    judge_creations(trials, [o for o in operations if o.what == "create"], verdict)
    judge_effects(trials, operations, verdict)
    judge_uninvited(trials, operations, verdict)
    return verdict


def judge_creations(
    trials: dict[int, FrozenTrial], creations: list[Operation], verdict: Verdict
) -> None:
    seen: dict[int, Operation] = {}
    answered = []
    for creation in creations:
        if not creation.returned or creation.got is None:
            verdict.unanswered += 1
            continue
        who = f"worker {creation.worker} trial {creation.k}: id {creation.got}"
        if creation.got not in trials:
            verdict.complain("lost", who)
        elif creation.got in seen:
            verdict.complain("doubled", f"{who}, which worker {seen[creation.got].worker} has")
        else:
            seen[creation.got] = creation
            answered.append((trials[creation.got].number, creation))
    numbers = Counter(t.number for t in trials.values())
    for number, times in numbers.items():
        if times > 1:
            verdict.complain("doubled", f"number {number} of {times} trials")
    returned_min = 2**63
    for number, creation in sorted(answered, key=lambda a: -a[0]):
        if creation.called > returned_min:
            verdict.complain("overtaken", f"trial number {number}")
        returned_min = min(returned_min, creation.returned)


def effect_of(trial: FrozenTrial, what: str) -> Any:
    """What the trial has where the operation wrote; None: nothing."""
    if what == "who":
        return trial.user_attrs.get("who")
    if what.startswith("step"):
        return trial.intermediate_values.get(int(what[4:]))
    if what == "finish":
        return trial.values[0] if trial.state == TrialState.COMPLETE and trial.values else None
    return trial.params.get(what)


def judge_effects(
    trials: dict[int, FrozenTrial], operations: list[Operation], verdict: Verdict
) -> None:
    ids = {(o.worker, o.k): o.got for o in operations if o.what == "create" and o.returned}
    for o in operations:
        made = ids.get((o.worker, o.k))
        if o.what == "create" or made not in trials:
            continue
        found = effect_of(trials[made], o.what)
        wanted = [o.worker, o.k] if o.what == "who" else value_of(o.worker, o.k, o.what)
        if found is None:
            if o.returned:
                verdict.complain("lost", f"{o.what} of trial {made}, worker {o.worker}")
        elif found != wanted:
            verdict.complain("torn", f"{o.what} of trial {made}: {found}, not {wanted}")


def judge_uninvited(
    trials: dict[int, FrozenTrial], operations: list[Operation], verdict: Verdict
) -> None:
    intended = {(o.worker, o.k, o.what) for o in operations}
    known = {o.got for o in operations if o.what == "create" and o.returned}
    strangers = 0
    for made, trial in trials.items():
        if made not in known:
            strangers += 1
        who = trial.user_attrs.get("who")
        if who is None:
            continue
        whats = ["create", *trial.params, *(f"step{s}" for s in trial.intermediate_values)]
        whats += ["finish"] if trial.state == TrialState.COMPLETE else []
        for what in whats:
            if (who[0], who[1], what) not in intended:
                verdict.complain("uninvited", f"{what} of trial {made}")
    for _ in range(strangers - verdict.unanswered):
        verdict.complain("uninvited", "more trials than creations")
