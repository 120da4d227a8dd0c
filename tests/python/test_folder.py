"""What a journal's folder holds outlives daemons, regions and moves.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from optjournal import InvalidError, JournalStorage
from optjournal._programs import program_path
from processes import run_together, wait_for_end


def _fill(storage: JournalStorage) -> int:
    study_id = storage.create_new_study([StudyDirection.MINIMIZE], "kept")
    storage.set_study_user_attr(study_id, "a", {"b": [1, "\ud800"]})
    for i in range(100):
        storage.create_new_trial(study_id, create_trial(value=float(i), user_attrs={"i": i}))
    running = storage.create_new_trial(study_id)
    storage.set_trial_intermediate_value(running, 3, 0.25)
    return study_id


def _offline(location: Path) -> tuple[int, str, list[FrozenTrial]]:
    with JournalStorage(location, mode="offline") as storage:
        (study,) = storage.get_all_studies()
        return storage.next_seq(), storage.digest(), storage.get_all_trials(study._study_id)


def _daemon_pid(storage: JournalStorage) -> int:
    pid = storage.status()["daemon_pid"]
    assert isinstance(pid, int)
    return pid


def test_a_copy_of_the_folder_is_the_same_journal(location: Path, tmp_path: Path) -> None:
    with JournalStorage(location, idle_exit=0) as storage:
        study_id = _fill(storage)
        expected = storage.get_all_trials(study_id)
        daemon = _daemon_pid(storage)
    wait_for_end(daemon)
    original = _offline(location)
    assert original[2] == expected

    elsewhere = tmp_path / "elsewhere" / "copy"
    shutil.copytree(location, elsewhere)
    assert _offline(elsewhere) == original
    shutil.rmtree(location)
    with JournalStorage(elsewhere, idle_exit=0) as storage:
        assert storage.get_all_trials(study_id) == expected
        assert storage.create_new_trial(study_id) == 101


def _runtime_folder(location: Path) -> Path:
    lines = (location / "LOCK").read_text().splitlines()
    return Path(dict(line.split(": ", 1) for line in lines)["runtime"])


def _fill_and_vanish(location: Path) -> tuple[int, Any, int, str]:
    """Ends as on a machine that was switched off: worker and daemon killed, nothing closed."""
    storage = JournalStorage(location, orphans="keep")
    study_id = _fill(storage)
    storage.sync()
    report = (_daemon_pid(storage), storage.get_all_trials(study_id), study_id, storage.digest())
    os.kill(report[0], signal.SIGKILL)
    storage._finalizer.detach()
    return report


def test_without_its_region_everything_synced_is_there(location: Path) -> None:
    ((daemon, expected, study_id, digest),) = run_together(_fill_and_vanish, [(location,)])
    wait_for_end(daemon)
    shutil.rmtree(_runtime_folder(location))
    with JournalStorage(location, mode="offline") as storage:
        assert storage.digest() == digest
    with JournalStorage(location, idle_exit=0) as storage:
        assert storage.get_all_trials(study_id) == expected
        assert _daemon_pid(storage) != daemon
        running = expected[-1]
        storage.set_trial_state_values(running._trial_id, TrialState.COMPLETE, [0.0])
        assert storage.get_n_trials(study_id, TrialState.COMPLETE) == 101


def test_a_killed_daemon_is_replaced_and_nobody_notices(
    storage: JournalStorage, study_id: int
) -> None:
    killed = set()
    for i in range(5):
        storage.create_new_trial(study_id)
        daemon = _daemon_pid(storage)
        assert daemon not in killed
        os.kill(daemon, signal.SIGKILL)
        wait_for_end(daemon)
        killed.add(daemon)
        storage.create_new_trial(study_id)
        storage.sync()
        assert storage.get_n_trials(study_id) == 2 * (i + 1)


@pytest.mark.parametrize("mode", ["monitor", "offline"])
def test_reading_needs_no_daemon_and_starts_none(location: Path, mode: Any) -> None:
    with JournalStorage(location, idle_exit=0) as storage:
        study_id = _fill(storage)
        expected = storage.get_all_trials(study_id)
        daemon = _daemon_pid(storage)
        storage.sync()
        with JournalStorage(location, mode=mode) as reader:
            assert reader.get_all_trials(study_id) == expected
    wait_for_end(daemon)
    with JournalStorage(location, mode=mode) as reader:
        assert reader.get_all_trials(study_id) == expected
        assert reader.get_study_user_attrs(study_id) == {"a": {"b": [1, "\ud800"]}}


def test_a_folder_whose_name_is_not_utf8(tmp_path: Path) -> None:
    location = os.fsdecode(os.fsencode(tmp_path) + b"/r\xe4ume")  # Latin-1
    with JournalStorage(location, idle_exit=5) as storage:
        study_id = storage.create_new_study([StudyDirection.MINIMIZE], "study")
        assert storage.location == location
        with pickle.loads(pickle.dumps(storage)) as copy:
            assert copy.get_study_name_from_id(study_id) == "study"
        assert Path(location).is_dir()
        repr(storage)
        optjournal = program_path("optjournal")
        for verb in (["status", "--json"], ["studies", "--json"], ["tail"], ["doctor", "--json"]):
            done = subprocess.run([optjournal, *verb, location], capture_output=True, check=False)
            assert done.returncode == 0, (verb, done)
    with pytest.raises(InvalidError) as caught:
        JournalStorage(location + "/no/parent")
    assert "r\ufffdume" in str(caught.value)
