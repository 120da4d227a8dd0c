"""docs/operations.md's backup of a journal that is served, while workers append.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import optuna

from conftest import PROGRAMS, open_storage, run, wait_until

WORKER = """
import sys, optjournal, optuna
optuna.logging.set_verbosity(optuna.logging.WARNING)
storage = optjournal.JournalStorage(sys.argv[1], daemon_path=sys.argv[2])
study = optuna.create_study(storage=storage, study_name="load", load_if_exists=True)
while True:
    trial = study.ask()
    for i in range(50):
        trial.set_user_attr(f"note{i}", "x" * 500)
"""
ROUNDS = 5


def copied_live(folder: Path, copy: Path, daemon_pid: int) -> None:
    """As the page has it: the daemon is stopped for the time of the copy."""
    os.kill(daemon_pid, signal.SIGSTOP)
    try:
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("LOCK"))
    finally:
        os.kill(daemon_pid, signal.SIGCONT)


def test_a_copy_of_a_live_journal_is_whole_and_can_be_worked_with(
    folder: Path, tmp_path: Path
) -> None:
    open_storage(folder).close()
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, folder, PROGRAMS / "optjournald"])
        for _ in range(2)
    ]
    figures = []
    try:

        def status() -> dict[str, object]:
            answer: dict[str, object] = json.loads(run("status", "--json", folder).out)
            return answer

        wanted = 2_000
        for number in range(ROUNDS):
            end = wanted
            wait_until(lambda: int(str(status().get("synced", 0))) > end, "records")  # noqa: B023
            before = status()
            daemon = before["daemon"]
            assert isinstance(daemon, dict)
            copy = tmp_path / f"copy{number}"
            copied_live(folder, copy, daemon["pid"])
            after = status()
            records = json.loads(run("status", "--json", copy).out)["records"]
            assert int(str(before["synced"])) <= records <= int(str(after["published"]))
            looked = json.loads(run("doctor", "--json", copy).out)["findings"]
            assert [f["verdict"] for f in looked if f["check"] == "records"] == ["ok"]
            figures.append(records)
            wanted = records + 1_000
        assert all(worker.poll() is None for worker in workers)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    storage = open_storage(copy)
    study = optuna.load_study(storage=storage, study_name="load")
    study.tell(study.ask(), state=optuna.trial.TrialState.FAIL)
    storage.close()
    run("stop", copy)
    print("records in each copy:", figures)
