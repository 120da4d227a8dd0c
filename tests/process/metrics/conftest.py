"""A daemon with metrics, workers in processes of their own, and Prometheus' programs.

These are those of PATH, or of .venv/prometheus (tools/install_dependencies.sh --tests).

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = Path(os.environ.get("OPTJOURNAL_PROGRAMS", ROOT / "build" / "release" / "bin"))
WATCHDOG_S = 120.0


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Looks again and again; a watchdog ends it."""
    end = time.monotonic() + WATCHDOG_S
    while not condition():
        assert time.monotonic() < end, f"not within {WATCHDOG_S:.0f} s: {what}"
        time.sleep(0.05)


def prometheus_program(name: str) -> str:
    found = shutil.which(name, path=f"{ROOT}/.venv/prometheus/usr/bin:{os.environ['PATH']}")
    if found is None:
        pytest.skip(f"no {name}: run tools/install_dependencies.sh --tests")
    return found


@dataclass
class Daemon:
    folder: Path
    process: subprocess.Popen[bytes]
    url: str

    def page(self) -> str:
        with urllib.request.urlopen(self.url, timeout=WATCHDOG_S) as answer:
            return str(answer.read().decode())

    def value(self, series: str) -> float | None:
        found = re.search(rf"^optjournal_{re.escape(series)} (\S+)$", self.page(), re.MULTILINE)
        return float(found[1]) if found else None

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(WATCHDOG_S)


def start_daemon(folder: Path, *options: str, environment: dict[str, str] | None = None) -> Daemon:
    told = folder.parent / "daemon.txt"
    with told.open("wb") as file:
        process = subprocess.Popen(
            [PROGRAMS / "optjournald", "--metrics", "0", *options, folder],
            stdout=file,
            stderr=file,
            env={**os.environ, **(environment or {})},
        )
    wait_until(
        lambda: "metrics at " in told.read_text() or process.poll() is not None, "the daemon serves"
    )
    assert process.poll() is None, told.read_text()
    return Daemon(folder, process, re.findall(r"metrics at (\S+)", told.read_text())[0])


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    started = start_daemon(tmp_path / "runs")
    yield started
    if started.process.poll() is None:
        started.stop()


WORKER = """
import sys, optuna
from optjournal import JournalStorage
optuna.logging.set_verbosity(optuna.logging.ERROR)
storage = JournalStorage(sys.argv[1])
study = optuna.create_study(storage=storage, study_name="metered", load_if_exists=True)
for number in range(int(sys.argv[2])):
    trial = study.ask()
    x = trial.suggest_float("x", -1, 1)
    trial.report(x, 0)
    study.tell(trial, x * x)
if sys.argv[3] == "stays":
    study.ask()
    print("asked", flush=True)
    sys.stdin.read()
storage.close()
"""


def start_worker(folder: Path, trials: int, then: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, folder, str(trials), then],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


class Prometheus:
    def __init__(self, folder: Path, target: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        folder.mkdir()
        config = folder / "prometheus.yml"
        config.write_text(
            "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
            f"rule_files: ['{ROOT}/docs/prometheus/alerts.yml']\n"
            "scrape_configs:\n  - job_name: optjournal\n"
            f"    static_configs: [{{targets: ['{target}']}}]\n"
        )
        self.output = (folder / "output").open("wb")
        self.process = subprocess.Popen(
            [
                prometheus_program("prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={self.address}",
            ],
            stdout=self.output,
            stderr=subprocess.STDOUT,
        )
        wait_until(self.ready, "Prometheus answers")

    def ready(self) -> bool:
        assert self.process.poll() is None, "Prometheus ended"
        try:
            return bool(urllib.request.urlopen(f"http://{self.address}/-/ready", timeout=5))
        except OSError:
            return False

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """The samples of an instant query. An error of the query is one of the test."""
        query = urllib.parse.urlencode({"query": expression})
        try:
            url = f"http://{self.address}/api/v1/query?{query}"
            with urllib.request.urlopen(url, timeout=WATCHDOG_S) as answer:
                return list(json.load(answer)["data"]["result"])
        except urllib.error.HTTPError as refused:
            raise AssertionError(f"{expression}: {refused.read().decode()}") from refused

    def value(self, expression: str) -> float | None:
        samples = self.ask(expression)
        return float(samples[0]["value"][1]) if len(samples) == 1 else None

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(WATCHDOG_S)
        self.output.close()


@pytest.fixture
def prometheus(daemon: Daemon, tmp_path: Path) -> Iterator[Prometheus]:
    started = Prometheus(tmp_path / "prometheus", daemon.url.split("/")[2])
    yield started
    started.stop()
