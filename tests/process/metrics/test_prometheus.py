"""A real Prometheus scrapes a daemon with real workers, one of them killed.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
from pathlib import Path

from conftest import (
    ROOT,
    WATCHDOG_S,
    Daemon,
    Prometheus,
    start_daemon,
    start_worker,
    wait_until,
)

TRIALS = 20
WITHOUT_DATA_WHEN_WELL = ("refused_operations", "tombstones")


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
        "sum(optjournal_failures_total)": 0,
        "count(optjournal_failures_total)": 7,
        "sum(optjournal_refused_connections_total)": 0,
        "sum(optjournal_orphans_ended_total)": 1,
        # Every record that was published is synced and counted.
        "optjournal_published_records_total - optjournal_synced_records_total": 0,
        "optjournal_records_total - optjournal_synced_records_total": 0,
        "optjournal_append_to_synced_seconds_count - optjournal_synced_records_total": 0,
        "optjournal_untimed_appends_total": 0,
    }
    for expression, value in expected.items():
        wait_until(
            lambda e=expression, v=value: prometheus.value(e) == v,  # type: ignore[misc]
            f"{expression} == {value}, not {prometheus.ask(expression)}",
        )
    syncs = prometheus.value("optjournal_sync_duration_seconds_count")
    assert syncs is not None
    assert syncs > 0
    assert (prometheus.value("optjournal_append_to_synced_seconds_sum") or 0) > 0
    assert (prometheus.value("optjournal_sync_duration_seconds_sum") or 0) > 0
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
