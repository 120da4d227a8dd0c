"""docs/operations.md: backup of a journal that is served, while workers append; restoring; moving.

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

from conftest import PROGRAMS, ROOT, open_storage, run, wait_until

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


def typed(block_with: str, **places: Path) -> subprocess.CompletedProcess[str]:
    """The commands of the block of the page that has this line, as they stand there."""
    page = (ROOT / "docs" / "operations.md").read_text()
    blocks = [block for block in page.split("\n\n") if block.startswith("    ")]
    (block,) = [block for block in blocks if block_with in block]
    for word, place in places.items():
        block = block.replace(word, str(place))
    # doctor ends with 8 for a warning, for instance that this machine's disk is small.
    return subprocess.run(
        ["bash", "-c", f"optjournal() {{ command optjournal $@ || [ $? = 8 ]; }}\n{block}"],
        env={**os.environ, "PATH": f"{PROGRAMS}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )


def names_in(folder: Path) -> list[str]:
    storage = open_storage(folder)
    names = optuna.study.get_all_study_names(storage)
    storage.close()
    return names


def test_a_backup_is_restored(folder: Path, tmp_path: Path) -> None:
    storage = open_storage(folder)
    optuna.create_study(storage=storage, study_name="before")
    copied_live(
        folder, tmp_path / "copy", json.loads(run("status", "--json", folder).out)["daemon"]["pid"]
    )
    optuna.create_study(storage=storage, study_name="after")
    storage.close()
    done = typed("mv DIR DIR.before", DIR=folder, COPY=tmp_path / "copy")
    assert "all whole" in done.stdout
    assert names_in(folder) == ["before"]
    assert names_in(Path(f"{folder}.before")) == ["before", "after"]
    run("stop", f"{folder}.before")


def test_a_journal_is_moved(folder: Path, tmp_path: Path) -> None:
    storage = open_storage(folder)
    optuna.create_study(storage=storage, study_name="moves")
    storage.close()
    done = typed("cp -a DIR NEW", DIR=folder, NEW=tmp_path / "new")
    assert "all whole" in done.stdout
    assert not folder.exists()
    assert names_in(tmp_path / "new") == ["moves"]
    run("stop", tmp_path / "new")
