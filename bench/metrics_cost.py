"""What metrics cost: appends a second of 4 processes, with metrics off and on in turns.

With metrics on, they are scraped once a second. Prints the median of the ratios on : off of
neighbouring turns.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import re
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna

import optjournal

ROOT = Path(__file__).resolve().parents[1]
PRODUCERS = 4
WATCHDOG_S = 120


def produce(folder: Path, seconds: float, barrier: Any, counts: Any) -> None:
    storage = optjournal.JournalStorage(folder)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(storage=storage, study_name="metered", load_if_exists=True)
    trial = study.ask()._trial_id
    barrier.wait(WATCHDOG_S)
    count, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        for step in range(100):
            storage.set_trial_intermediate_value(trial, step, 0.5)
        count += 100
    counts.put(count)
    storage.close()


@contextlib.contextmanager
def daemon(folder: Path, metrics: bool) -> Iterator[str | None]:
    told = folder.with_suffix(".txt")
    options = ["--metrics", "0"] if metrics else []
    with told.open("wb") as file:
        process = subprocess.Popen(
            [ROOT / "build/release/bin/optjournald", *options, folder], stderr=file
        )
    try:
        last = "metrics at " if metrics else "serving "
        end = time.monotonic() + WATCHDOG_S
        while last not in told.read_text():
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit(told.read_text())
            time.sleep(0.01)
        found = re.search(r"metrics at (\S+)", told.read_text())
        yield found[1] if found else None
    finally:
        process.terminate()
        process.wait(WATCHDOG_S)


def scrape(url: str, stop: threading.Event, took: list[float]) -> None:
    while not stop.wait(1):
        began = time.perf_counter()
        with urllib.request.urlopen(url, timeout=WATCHDOG_S) as answer:
            answer.read()
        took.append(time.perf_counter() - began)


def turn(metrics: bool, seconds: float, took: list[float]) -> float:
    """Appends a second."""
    context = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as place,
        daemon(Path(place) / "runs", metrics) as url,
    ):
        barrier, counts = context.Barrier(PRODUCERS), context.Queue()
        arguments = (Path(place) / "runs", seconds, barrier, counts)
        producers = [context.Process(target=produce, args=arguments) for _ in range(PRODUCERS)]
        for process in producers:
            process.start()
        stop = threading.Event()
        scraper = threading.Thread(target=scrape, args=(url, stop, took)) if url else None
        if scraper:
            scraper.start()
        total = sum(counts.get(timeout=WATCHDOG_S) for _ in producers)
        stop.set()
        for waiting in (*producers, *([scraper] if scraper else [])):
            waiting.join(WATCHDOG_S)
    return float(total / seconds)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    took: list[float] = []
    ratios = []
    for number in range(options.rounds):
        # Who comes first changes, so that a drift of the machine favours nobody.
        order = (False, True) if number % 2 == 0 else (True, False)
        rates = {metrics: turn(metrics, options.seconds, took) for metrics in order}
        ratios.append(rates[True] / rates[False])
        print(
            f"off {rates[False]:9.0f}/s  on {rates[True]:9.0f}/s  ratio {ratios[-1]:.3f}",
            flush=True,
        )
    print(f"appends of {PRODUCERS} processes, metrics on : off = {statistics.median(ratios):.3f}")
    if took:
        print(f"a scrape took {statistics.median(took) * 1e3:.1f} ms (median of {len(took)})")


if __name__ == "__main__":
    main()
