"""From kill -9 of a worker to the journal that says so, and to its trial that has failed.

Every figure is a time from the kill, in one run, on a journal that nobody else writes to:

    closed   the kernel has closed the process's files: from then on its death can be proven
    gone     the kernel has torn the process down (its pidfd says so to us)
    told     the record SessionEnded{died} is published: its time less `closed` is ours
    FAIL     the trial has failed, by the daemon

for a small worker, for one that has touched 8 GiB (or what there is), and for one in a study of
many trials. Then the same death through Optuna's own heartbeat: a survivor looks for stale trials
again and again, in RDBStorage with its smallest settings (SQLite, heartbeat_interval=1,
grace_period=2), and in ours.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import argparse
import mmap
import multiprocessing
import os
import select
import shutil
import signal
import statistics
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, RDBStorage
from optuna.storages._heartbeat import fail_stale_trials
from optuna.trial import TrialState

from optjournal import JournalStorage

CONTEXT = multiprocessing.get_context("spawn")
GIB = 2**30
STUDY = "study"
PATIENCE_S = 60.0
FIRST_HEARTBEAT_S = 1.5

Make = Callable[[str], BaseStorage]


def journal(folder: str) -> BaseStorage:
    return JournalStorage(os.path.join(folder, "journal"))


def journal_with_heartbeat(folder: str) -> BaseStorage:
    return JournalStorage(os.path.join(folder, "journal"), heartbeat_interval=1)


def sqlite_with_heartbeat(folder: str) -> BaseStorage:
    path = os.path.join(folder, "optuna.db")
    return RDBStorage(f"sqlite:///{path}", heartbeat_interval=1, grace_period=2)


def quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")


def worker(connection: Connection, make: Make, folder: str, touched: int) -> None:
    """In a trial, for ever."""
    quiet()
    memory = mmap.mmap(-1, touched) if touched else None
    for at in range(0, touched, mmap.PAGESIZE):
        memory[at] = 1  # type: ignore[index]
    study = optuna.load_study(study_name=STUDY, storage=make(folder))

    def objective(trial: optuna.Trial) -> float:
        connection.send(trial._trial_id)
        threading.Event().wait()
        return 0.0

    study.optimize(objective, n_trials=1)


class Victim:
    def __init__(self, make: Make, folder: str, touched: int = 0) -> None:
        ours, theirs = CONTEXT.Pipe()
        self.process = CONTEXT.Process(target=worker, args=(theirs, make, folder, touched))
        self.process.start()
        theirs.close()  # now the victim's end is the only one
        self.connection = ours
        self.trial_id: int = ours.recv()
        assert self.process.pid is not None
        self.pid = self.process.pid
        self.pidfd = os.pidfd_open(self.pid)

    def kill(self) -> float:
        at = time.monotonic()
        os.kill(self.pid, signal.SIGKILL)
        return at

    def bury(self) -> None:
        self.process.join()
        self.connection.close()
        os.close(self.pidfd)


def until(is_so: Callable[[], bool], pause: float = 0.0) -> float:
    end = time.monotonic() + PATIENCE_S
    while not is_so():
        if time.monotonic() > end:
            raise RuntimeError(f"not within {PATIENCE_S} s")
        if pause:
            time.sleep(pause)
    return time.monotonic()


def fill(study: optuna.Study, trials: int) -> None:
    done = optuna.trial.create_trial(value=0.0)
    study.add_trials([done] * trials)


Death = tuple[float, float, float, float]  # closed, gone, told, FAIL: seconds from the kill


def one_death(folder: str, touched: int, trials: int) -> Death:
    storage = journal(folder)
    assert isinstance(storage, JournalStorage)
    study = optuna.create_study(storage=storage, study_name=STUDY, load_if_exists=True)
    fill(study, trials - len(study.get_trials(deepcopy=False)))
    victim = Victim(journal, folder, touched)
    storage.sync()
    seq = storage.next_seq()
    seen: dict[int, float] = {}

    def watch(descriptor: int) -> None:
        select.select([descriptor], [], [])
        seen[descriptor] = time.monotonic()

    descriptors = (victim.connection.fileno(), victim.pidfd)
    watchers = [threading.Thread(target=watch, args=(one,)) for one in descriptors]
    for watcher in watchers:
        watcher.start()
    killed = victim.kill()
    # Between two looks others may run: the record is seen when it is there, not when we come.
    told = until(lambda: storage.next_seq() > seq, 0.0001)
    failed = until(lambda: storage.get_trial(victim.trial_id).state == TrialState.FAIL, 0.0001)
    for watcher in watchers:
        watcher.join()
    closed, gone = (seen[one] - killed for one in descriptors)
    victim.bury()
    storage.close()
    return closed, gone, told - killed, failed - killed


def through_heartbeat(make: Make, folder: str) -> float:
    storage = make(folder)
    study = optuna.create_study(storage=storage, study_name=STUDY, load_if_exists=True)
    victim = Victim(make, folder)
    # RDBStorage never finds the trial of a worker that dies before its first heartbeat.
    time.sleep(FIRST_HEARTBEAT_S)
    killed = victim.kill()

    def look() -> bool:
        fail_stale_trials(study)
        return storage.get_trial(victim.trial_id).state == TrialState.FAIL

    failed = until(look, 0.01)
    victim.bury()
    if isinstance(storage, JournalStorage):
        storage.close()
    return failed - killed


def in_folder(measure: Callable[[str], Any], rounds: int) -> list[Any]:
    folder = tempfile.mkdtemp(prefix="oj-bench-")
    try:
        return [measure(folder) for _ in range(rounds)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def ms(seconds: float) -> str:
    return f"{seconds * 1e3:>10.1f}"


def show(name: str, deaths: list[Death]) -> None:
    closed, gone, told, failed = (statistics.median(times) for times in zip(*deaths))
    ours = [told - closed for closed, _, told, _ in deaths]
    print(
        f"  {name:<34}{ms(closed)}{ms(gone)}{ms(told)}{ms(statistics.median(ours))}"
        f"{ms(max(ours))}{ms(failed)}"
    )


def summary(deaths: list[Death]) -> str:
    closed, gone, _, failed = (statistics.median(times) * 1e3 for times in zip(*deaths))
    longest = max(told - closed for closed, _, told, _ in deaths) * 1e3
    return (
        f"files closed after {closed:.1f} ms, gone after {gone:.1f}, told at most {longest:.1f} "
        f"after the former, FAIL after {failed:.1f}"
    )


def available_bytes() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--gib", type=float, default=8.0, help="that the large worker touches")
    parser.add_argument("--trials", type=int, default=20_000, help="of the large study")
    parser.add_argument("--line", action="store_true", help="nothing but the deaths, as one line")
    arguments = parser.parse_args()
    quiet()
    rounds = arguments.rounds
    touched = int(min(arguments.gib * GIB, available_bytes() / 2)) // mmap.PAGESIZE * mmap.PAGESIZE
    if arguments.line:
        small = summary(in_folder(lambda f: one_death(f, 0, 0), rounds))
        large = summary(in_folder(lambda f: one_death(f, touched, 0), rounds))
        print(f"small: {small}; {touched / GIB:.1f} GiB: {large}")
        return
    print(f"optuna {optuna.__version__}, {os.cpu_count()} processors, {rounds} deaths each")
    print(f"\nms from the kill; medians{'':<11}{'closed':>10}{'gone':>10}{'told':>10}", end="")
    print(f"{'- closed':>10}{'at most':>10}{'FAIL':>10}")
    show("a small worker", in_folder(lambda f: one_death(f, 0, 0), rounds))
    show(
        f"a worker with {touched / GIB:.1f} GiB touched",
        in_folder(lambda f: one_death(f, touched, 0), max(3, rounds // 4)),
    )
    show(
        f"in a study of {arguments.trials} trials",
        in_folder(lambda f: one_death(f, 0, arguments.trials), max(3, rounds // 2)),
    )
    print(f"\nms from the kill to FAIL, by a survivor's heartbeat{'median':>19}{'of SQLite':>12}")
    sqlite = statistics.median(
        in_folder(lambda f: through_heartbeat(sqlite_with_heartbeat, f), max(3, rounds // 2))
    )
    print(f"  {'RDBStorage, SQLite, interval 1, grace 2':<58}{ms(sqlite)}{1:>12.2f}")
    ours = statistics.median(
        in_folder(lambda f: through_heartbeat(journal_with_heartbeat, f), max(3, rounds // 2))
    )
    print(f"  {'optjournal, heartbeat_interval=1':<58}{ms(ours)}{ours / sqlite:>12.4f}")


if __name__ == "__main__":
    main()
