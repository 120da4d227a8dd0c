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
from pathlib import Path

import optuna

import optjournal
from conftest import PROGRAMS, open_storage, run

RECORDS = 200_000
ROUNDS = 7
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


def test_a_stopped_and_a_slow_monitor_cost_a_worker_nothing(folder: Path) -> None:
    """In turns, many times through ring and pool; the figures are printed, not judged."""
    rates: dict[str, list[float]] = {"alone": [], "stopped": [], "slow": []}
    with open_storage(folder, pool_bytes=4 << 20) as storage:
        optuna.create_study(storage=storage)
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
        published = json.loads(run("status", "--json", folder).out)["published"]
        assert published > 3 * ROUNDS * RECORDS  # every one of them
    alone = statistics.median(rates["alone"])
    for kind in ("stopped", "slow"):
        rate = statistics.median(rates[kind])
        print(
            f"measured worker beside a {kind} tail: {rate:,.0f} records/s, "
            f"{rate / alone:.3f} of {alone:,.0f} alone (medians of {ROUNDS})"
        )
