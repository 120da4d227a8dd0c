"""A real Prometheus scrapes a daemon with real workers, one of them killed.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import (
    ROOT,
    WATCHDOG_S,
    Daemon,
    prometheus_program,
    start_daemon,
    start_worker,
    wait_until,
)

TRIALS = 20
WITHOUT_DATA_WHEN_WELL = ("refused_operations", "tombstones")


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


def expressions() -> list[str]:
    """Those of the dashboard, with its variables filled in."""
    dashboard = json.loads((ROOT / "docs/grafana/optjournal.json").read_text())
    return [
        target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")
        for panel in dashboard["panels"]
        for target in panel["targets"]
    ]


def test_prometheus_has_what_workers_did(daemon: Daemon, prometheus: Prometheus) -> None:
    workers = [start_worker(daemon.folder, TRIALS, "ends") for _ in range(3)]
    victim = start_worker(daemon.folder, 0, "stays")
    assert victim.stdout is not None
    assert victim.stdout.readline() == "asked\n"
    for worker in workers:
        assert worker.wait(WATCHDOG_S) == 0
    wait_until(lambda: prometheus.value("optjournal_sessions_attached") == 1, "one is attached")
    assert prometheus.value('optjournal_trials{state="running"}') == 1
    victim.kill()
    victim.wait()
    died = 'optjournal_sessions_ended_total{reason="died"}'
    wait_until(lambda: prometheus.value(died) == 1, "the death was scraped")
    wait_until(lambda: prometheus.value("optjournal_unsynced_records") == 0, "all is synced")
    expected = {
        "optjournal_sessions_attached": 0,
        "optjournal_sessions_started_total": 4,
        'optjournal_sessions_ended_total{reason="closed"}': 3,
        "optjournal_studies": 1,
        'optjournal_trials{state="complete"}': 3 * TRIALS,
        'optjournal_operations_total{operation="createTrial"}': 3 * TRIALS + 1,
        'optjournal_operations_total{operation="setTrialIntermediateValue"}': 3 * TRIALS,
        'sum(optjournal_trials{state=~"running|fail"})': 1,
        "optjournal_degraded": 0,
        "optjournal_sync_failures_total": 0,
        # Every record that was published is synced and counted.
        "optjournal_published_records_total - optjournal_synced_records_total": 0,
        "optjournal_records_total - optjournal_synced_records_total": 0,
    }
    for expression, value in expected.items():
        wait_until(
            lambda e=expression, v=value: prometheus.value(e) == v,  # type: ignore[misc]
            f"{expression} == {value}, not {prometheus.ask(expression)}",
        )
    syncs = prometheus.value("optjournal_sync_duration_seconds_count")
    assert syncs is not None
    assert syncs > 0
    assert prometheus.value("optjournal_flush_latency_seconds_count") == syncs
    assert prometheus.value("optjournal_sync_duration_seconds_sum") or 0 > 0
    # The dashboard: no expression is refused, and where there is data it finds it.
    for expression in expressions():
        if any(name in expression for name in WITHOUT_DATA_WHEN_WELL):
            prometheus.ask(expression)
        else:
            wait_until(lambda e=expression: prometheus.ask(e), expression)  # type: ignore[misc]
    # The disk of this machine is nobody's business here.
    assert prometheus.ask('ALERTS{alertstate="firing", alertname!="OptjournalDiskFull"}') == []


def test_counts_of_the_journal_go_on_over_a_restart(tmp_path: Path) -> None:
    name = 'operations_total{operation="createTrial"}'
    first = start_daemon(tmp_path / "runs")
    try:
        worker = start_worker(first.folder, 5, "ends")
        assert worker.wait(WATCHDOG_S) == 0
        wait_until(lambda: first.value(name) == 5, "five trials are counted")
    finally:
        assert first.stop() == 0
    second = start_daemon(tmp_path / "runs")
    try:
        # Never less: nothing is told before all that was there is counted.
        wait_until(lambda: second.value(name) is not None, "the journal is counted")
        assert second.value(name) == 5
    finally:
        assert second.stop() == 0
