"""`optjournal orphans`, and what `status` and `tail` say of workers and their deaths.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

import optjournal
from conftest import PROGRAMS, run, wait_until

ASKING = """
import sys, threading, optuna, optjournal
storage = optjournal.JournalStorage(sys.argv[1], daemon_path=sys.argv[2], name="asker")
trial = optuna.load_study(study_name="digits", storage=storage).ask()
print(trial.number, flush=True)
threading.Event().wait()
"""


def asker(folder: Path, **environment: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", ASKING, folder, PROGRAMS / "optjournald"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip().isdigit()
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_a_policy_is_shown_and_set(folder: Path, storage: optjournal.JournalStorage) -> None:
    assert run("orphans", folder, "digits").out == "digits: the daemon's, 0 orphans\n"
    for policy in ("keep", "retry:3", "optuna", "fail"):
        assert run("orphans", folder, "digits", policy) == run("orphans", folder, "digits", policy)
        assert run("orphans", folder, "digits").out == f"digits: {policy}, 0 orphans\n"
    study = optuna.load_study(study_name="digits", storage=storage)
    assert storage.get_study_system_attrs(study._study_id)["optjournal:orphans"] == "fail"
    assert run("orphans", folder, "digits", "unset").code == 0
    answer = run("orphans", folder, "digits", "--json")
    assert json.loads(answer.out) == [{"study": "digits", "policy": None, "orphans": []}]
    assert run("orphans", folder).out.splitlines() == [
        "digits: the daemon's, 0 orphans",
        '"two goals": the daemon\'s, 0 orphans',
    ]


def test_a_study_or_journal_that_is_not_there(folder: Path, offline_folder: Path) -> None:
    for words in (["keep"], []):
        answer = run("orphans", folder, "digits", *words)
        assert answer.code == 3, answer
        assert not folder.exists()
        answer = run("orphans", offline_folder, "nobody's", *words)
        assert answer.code == 3
        assert "has no study" in answer.err


@pytest.mark.parametrize("policy", ["keep", "retry:1"])
def test_deaths_are_shown(folder: Path, storage: optjournal.JournalStorage, policy: str) -> None:
    assert run("orphans", folder, "digits", policy).code == 0
    process = asker(folder, CUDA_VISIBLE_DEVICES="5,7")
    try:
        status = json.loads(run("status", folder, "--json").out)
        (worker,) = (one for one in status["workers"] if one["pid"] == process.pid)
        assert worker["cuda_visible_devices"] == "5,7"
        assert worker["command"] == "asker"
        assert {"container", "gpus", "user"} <= set(worker)
        assert "5,7" in run("status", folder).out
        (mine,) = (one for one in storage.status()["workers"] if one["pid"] == process.pid)
        assert mine["cuda_visible_devices"] == "5,7"
    finally:
        kill(process)

    def operations(name: str) -> list[dict[str, object]]:
        records = [json.loads(line) for line in run("tail", folder, "--json").out.splitlines()]
        return [op for record in records for op in record["operations"] if op["operation"] == name]

    if policy == "keep":
        wait_until(lambda: "1 orphan\n" in run("orphans", folder, "digits").out, "an orphan")
        (study,) = json.loads(run("orphans", folder, "digits", "--json").out)
        (orphan,) = study["orphans"]
        assert (orphan["pid"], orphan["policy"]) == (process.pid, "keep")
        assert not operations("endOrphan")
    else:
        wait_until(lambda: operations("endOrphan"), "the end of an orphan")
        (end,) = operations("endOrphan")
        (died,) = (one for one in operations("sessionEnded") if one["reason"] == "died")
        assert end["orphan_of"] == died["session"]
        assert end["outcome"] == "done"
        assert (end["retries_max"], end["retried_as"]) == (1, 6)
        assert "of=asker" in run("tail", folder).out
