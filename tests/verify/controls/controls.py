"""The same kills and the same judge, on other storages: is what is known of them found?

usage: controls.py [--seconds T] [--creates N] [--seed S] STORAGE ...     (file, sqlite, optjournal)

Goal: a harness that finds nothing in optjournal has to find something where something is known to
be. Three known faults of Optuna's own journal are provoked, and none of them is its design's
neighbour's: SQLite and optjournal undergo the same.

Method, for each storage:

    kills   four workers (section 4's), forked by this process with Optuna loaded; one after the
            other is killed at work, 20 to 80 ms after its predecessor, and replaced
    fork    six children use a storage that was opened before they were forked; on Optuna's own
            journal, where it takes chance, again until something is found, at most so many times
    holder  a process is killed while it holds the lock; how long does a bystander wait?
    torn    the last line is half written; what becomes of the next operation?

Prints one line `row {json}` for each storage; run.sh makes the table.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
from storages import STORAGES

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "processes"))
from trials import STUDY, Diary, Told, Verdict, judge, work

WORKERS = 4
CHILDREN = 6
FORK_ROUNDS_MAX = 10
STUCK_SECONDS = 6.0  # who waits longer when the run has ended is stuck


def fork(body: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            body()
            status = 0
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
        finally:
            os._exit(status)
    return pid


def ended_within(pid: int, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while os.waitpid(pid, os.WNOHANG)[0] == 0:
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def end_by_itself(pids: dict[int, int]) -> int:
    """SIGTERM to all; how many were still waiting for something and had to be killed."""
    for pid in pids.values():
        os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + STUCK_SECONDS
    stuck = 0
    for pid in pids.values():
        if not ended_within(pid, max(0.1, end - time.monotonic())):
            kill(pid)
            stuck += 1
    return stuck


def broken(verdict: Verdict) -> dict[str, int]:
    return dict(verdict.broken)


def judged(place: Any, diaries: dict[int, Path], killed: set[int]) -> Verdict:
    """A journal that cannot be read any more is a finding, too."""
    try:
        opened = place.open()
        return judge(opened, opened.get_study_id_from_name(STUDY), diaries, killed)
    except Exception as error:
        verdict = Verdict()
        verdict.complain("unreadable", f"{type(error).__name__}: {error}")
        return verdict


def prepare(storage: str, folder: Path) -> Any:
    """A study in a new place, made by a child, so that nothing is open here."""
    place = STORAGES[storage](folder)

    def body() -> None:
        optuna.create_study(storage=place.open(), study_name=STUDY)

    if not ended_within(fork(body), 60):
        raise TimeoutError(f"{storage}: no study after a minute")
    return place


def run_kills(storage: str, folder: Path, seconds: float, seed: int) -> dict[str, Any]:
    chance = random.Random(seed)
    place = prepare(storage, folder)
    diaries: dict[int, Path] = {}
    alive: dict[int, int] = {}
    killed: set[int] = set()

    def start() -> None:
        worker = len(diaries) + 1
        diaries[worker] = folder / f"diary-{worker}"

        def body() -> None:
            told = Told()
            signal.signal(signal.SIGTERM, lambda *_: setattr(told, "to_end", True))
            opened = place.open()
            study = opened.get_study_id_from_name(STUDY)
            work(opened, study, Diary(str(diaries[worker])), worker, told)

        alive[worker] = fork(body)

    for _ in range(WORKERS):
        start()
    begin = time.monotonic()
    while time.monotonic() - begin < seconds:
        time.sleep(chance.uniform(0.02, 0.08))
        begun = [worker for worker in sorted(alive) if diaries[worker].exists()]
        if not begun:
            continue  # opening some storages takes longer than that
        victim = chance.choice(begun)
        kill(alive.pop(victim))
        killed.add(victim)
        start()
    elapsed = time.monotonic() - begin
    kills = len(killed)
    stuck = end_by_itself(alive)
    if stuck > 0:
        killed |= set(alive)  # they were ended by us; what they were told counts all the same
    verdict = judged(place, diaries, killed)
    return {
        "kills": kills,
        "trials": verdict.trials,
        "finished_per_s": round(verdict.finished / elapsed, 1),
        "found": broken(verdict),
        "stuck": stuck,
        "wait_s_max": round(max(verdict.wait_ms, default=0) / 1e3, 2),
        "first": verdict.first_complaint,
    }


def run_fork(storage: str, folder: Path, creates: int) -> dict[str, Any]:
    place = prepare(storage, folder)
    opened = place.open()
    study = opened.get_study_id_from_name(STUDY)
    diaries = {worker: folder / f"diary-{worker}" for worker in range(1, CHILDREN + 1)}

    def create(worker: int) -> None:
        diary = Diary(str(diaries[worker]))
        for k in range(creates):
            diary.write(do="create", k=k)
            try:
                made = opened.create_new_trial(study)
            except Exception as error:
                diary.write(error=f"{type(error).__name__}: {error}")
                continue
            diary.write(did="create", k=k, got=made)
        diary.write(closed=True)

    pids = [fork(lambda w=worker: create(w)) for worker in diaries]
    stuck = 0
    for pid in pids:
        if not ended_within(pid, STUCK_SECONDS * 3):
            kill(pid)
            stuck += 1
    verdict = judged(place, diaries, set())
    return {"found": broken(verdict), "stuck": stuck, "trials": verdict.trials}


def run_forks(storage: str, folder: Path, creates: int) -> dict[str, Any]:
    rounds = FORK_ROUNDS_MAX if storage == "file" else 1
    for i in range(1, rounds + 1):
        place = folder / str(i)
        place.mkdir()
        row = {**run_fork(storage, place, creates), "rounds": i}
        if row["found"] or row["stuck"]:
            break
    return row


def one_trial(place: Any, seconds: float) -> str:
    """What a bystander meets: how long one creation takes, or how it fails."""
    begin = time.monotonic()
    reader, writer = os.pipe()

    def body() -> None:
        try:
            opened = place.open()
            made = opened.create_new_trial(opened.get_study_id_from_name(STUDY))
            found = opened.get_trial(made).number >= 0
            os.write(writer, b"" if found else b"not there")
        except Exception as error:
            os.write(writer, type(error).__name__.encode())

    pid = fork(body)
    os.close(writer)
    if not ended_within(pid, seconds):
        kill(pid)
        os.close(reader)
        return f"still waiting after {seconds:.0f} s"
    said = os.read(reader, 200).decode()
    os.close(reader)
    return said or f"{time.monotonic() - begin:.2f} s"


def run_holder(storage: str, folder: Path) -> str:
    place = prepare(storage, folder)
    reader, writer = os.pipe()

    def body() -> None:
        place.hold()
        os.write(writer, b"held")
        signal.pause()

    pid = fork(body)
    os.close(writer)
    os.read(reader, 4)
    os.close(reader)
    kill(pid)
    return one_trial(place, STUCK_SECONDS)


def run_torn(storage: str, folder: Path) -> str:
    place = prepare(storage, folder)
    if not place.tear():
        return "-"
    first, second = one_trial(place, STUCK_SECONDS), one_trial(place, STUCK_SECONDS)
    return f"{first}, then {second}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--creates", type=int, default=250)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("storages", nargs="+", choices=sorted(STORAGES))
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    for storage in given.storages:
        root = Path(tempfile.mkdtemp(prefix="oj-controls-"))
        try:
            for part in ("kills", "fork", "holder", "torn"):
                (root / part).mkdir()
            row: dict[str, Any] = {
                "storage": STORAGES[storage].name,
                "optuna": optuna.__version__,
                "seed": given.seed,
                "kills": run_kills(storage, root / "kills", given.seconds, given.seed),
                "fork": run_forks(storage, root / "fork", given.creates),
                "holder": run_holder(storage, root / "holder"),
                "torn": run_torn(storage, root / "torn"),
            }
            print("row " + json.dumps(row), flush=True)
        finally:
            shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
