"""What a monitor that is stopped, or whose reader is slow, costs the worker beside it.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import optuna

import optjournal
from conftest import PROGRAMS, open_storage, run

RECORDS = 200_000
ROUNDS, ATTEMPTS = 5, 3
RATIO_MIN = 0.7  # of the rate alone; a worker that waits for a monitor has next to nothing of it
SLOW_BYTES, SLOW_S = 4096, 0.005  # a reader that takes so much, so often


def records_per_s(storage: optjournal.JournalStorage) -> float:
    began = time.monotonic()
    for number in range(RECORDS):
        storage.set_study_user_attr(0, "key", number)
    return RECORDS / (time.monotonic() - began)


def start_tail(folder: Path) -> subprocess.Popen[bytes]:
    """Its output is read only so far that it is known to be at work; then the pipe fills."""
    tail = subprocess.Popen(
        [PROGRAMS / "optjournal", "tail", "-f", "--from", "start", folder], stdout=subprocess.PIPE
    )
    assert tail.stdout is not None
    tail.stdout.readline()
    return tail


def read_slowly(tail: subprocess.Popen[bytes]) -> None:
    assert tail.stdout is not None
    while os.read(tail.stdout.fileno(), SLOW_BYTES):
        time.sleep(SLOW_S)


def measure(
    storage: optjournal.JournalStorage, folder: Path, rates: dict[str, list[float]]
) -> None:
    """In turns, each time once through ring and pool and further."""
    for _ in range(ROUNDS):
        rates["alone"].append(records_per_s(storage))
        for kind in ("stopped", "slow"):
            tail = start_tail(folder)
            try:
                if kind == "stopped":
                    os.kill(tail.pid, signal.SIGSTOP)
                else:
                    threading.Thread(target=read_slowly, args=(tail,), daemon=True).start()
                rates[kind].append(records_per_s(storage))
                # Nobody waited for it: it is where it was, and everything is published.
                assert tail.poll() is None
            finally:
                tail.kill()
                tail.wait()


def test_a_stopped_and_a_slow_monitor_cost_a_worker_nothing(
    folder: Path, record_property: Callable[[str, object], None]
) -> None:
    """By medians; where the machine had other things to do it is measured again, and added."""
    rates: dict[str, list[float]] = {"alone": [], "stopped": [], "slow": []}
    ratios: dict[str, float] = {}
    with open_storage(folder, pool_bytes=4 << 20) as storage:
        optuna.create_study(storage=storage)
        for _attempt in range(ATTEMPTS):
            measure(storage, folder, rates)
            alone = statistics.median(rates["alone"])
            ratios = {k: statistics.median(rates[k]) / alone for k in ("stopped", "slow")}
            if min(ratios.values()) >= RATIO_MIN:
                break
        published = json.loads(run("status", "--json", folder).out)["published"]
        assert published > sum(map(len, rates.values())) * RECORDS  # every one of them
    for kind, ratio in ratios.items():
        record_property(f"ratio_beside_a_{kind}_tail", round(ratio, 3))
        print(
            f"measured worker beside a {kind} tail: {statistics.median(rates[kind]):,.0f} records/s"
            f", {ratio:.3f} of {alone:,.0f} alone (medians of {len(rates[kind])})"
        )
    assert min(ratios.values()) >= RATIO_MIN, rates
