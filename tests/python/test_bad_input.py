"""What the constructor says to input that is no journal, or no sense.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any

import optuna
import pytest

import optjournal
from optjournal import InvalidError, JournalError, JournalStorage
from processes import run_together, stop_process


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("text")
    with pytest.raises(InvalidError, match=str(file)):
        JournalStorage(file)
    assert file.read_text() == "text"


def test_a_folder_of_something_else_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("text")
    with pytest.raises(InvalidError, match=str(tmp_path)):
        JournalStorage(tmp_path)
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_a_parent_that_does_not_exist(tmp_path: Path) -> None:
    location = tmp_path / "no" / "such" / "folder"
    with pytest.raises(JournalError, match=str(tmp_path / "no")):
        JournalStorage(location)
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize("mode", ["monitor", "offline"])
def test_reading_what_does_not_exist_creates_nothing(location: Path, mode: Any) -> None:
    with pytest.raises(JournalError, match=str(location)):
        JournalStorage(location, mode=mode)
    assert not location.exists()


def test_a_newer_format_asks_for_an_upgrade(location: Path) -> None:
    location.mkdir()
    (location / "FORMAT").write_text(
        "optjournal\nformat: 999\njournal: 00000000-0000-4000-8000-000000000000\n"
    )
    with pytest.raises(optjournal.IncompatibleError, match="999"):
        JournalStorage(location)


def test_a_service_that_does_not_exist() -> None:
    with pytest.raises(JournalError, match="no-such-service"):
        JournalStorage("optjournal://no-such-service", open_timeout=1)


def test_a_daemon_that_does_not_exist(location: Path, tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="no-such-daemon"):
        JournalStorage(location, daemon_path=tmp_path / "no-such-daemon")


def test_more_memory_than_there_is(location: Path) -> None:
    with pytest.raises(JournalError, match=r"\d") as caught:
        JournalStorage(location, pool_bytes=1 << 50)
    assert str(1 << 50) in str(caught.value).replace(",", "") or "1 PiB" in str(caught.value)


CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 0x40000


def _open_with_small(place: str, mounted_bytes: int, location: Path) -> str:
    """What opening says in a mount namespace in which `place` has so many bytes."""
    libc = ctypes.CDLL(None, use_errno=True)
    size = f"size={mounted_bytes}".encode()
    if (
        libc.unshare(CLONE_NEWNS)
        or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None)
        or libc.mount(b"tmpfs", place.encode(), b"tmpfs", 0, size)
    ):
        return f"no mount namespace: {os.strerror(ctypes.get_errno())}"
    os.environ.pop("XDG_RUNTIME_DIR", None)
    try:
        JournalStorage(location, idle_exit=0).close()
    except JournalError as error:
        return f"{error.code}: {error}"
    return "opened"


@pytest.mark.parametrize("short_of", ["memory", "disk"])
def test_too_little_room_is_told_in_bytes(tmp_path: Path, short_of: str) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    place = "/dev/shm" if short_of == "memory" else str(disk)
    ((said),) = run_together(_open_with_small, [(place, 512 << 10, disk / "journal")])
    if said.startswith("no mount namespace"):
        pytest.skip(said)
    assert said.startswith("busy: "), said
    assert {"memory": "not enough memory", "disk": "no room"}[short_of] in said
    assert place in said
    needed, available = sorted(map(int, re.findall(r"\b\d{5,8}\b", said)), reverse=True)
    assert needed > 512 << 10 >= available > 0


def test_a_full_region_says_who_holds_it_and_for_how_long(location: Path) -> None:
    options: dict[str, Any] = {"durability": "published", "pool_bytes": 256 << 10, "idle_exit": 0}
    with JournalStorage(location, timeout=0.2, **options) as storage:
        study = storage.create_new_study([optuna.study.StudyDirection.MINIMIZE])
        daemon = storage.status()["daemon_pid"]
        stop_process(daemon)
        written = 0
        try:
            while True:
                storage.set_study_user_attr(study, "key", [written + 1] * 1000)
                written += 1
        except optjournal.BusyError as error:
            said = f"{error.code}: {error}"
        finally:
            os.kill(daemon, signal.SIGCONT)
        assert said.startswith(f"busy: {location}: the chunk pool is ")
        assert re.search(r"; synced stands at \d+ for \d+\.\d s; session \d+ ", said), said
        assert re.search(
            rf" \(pid {os.getpid()}, uid {os.getuid()}, .*\) filled \d+ that wait", said
        ), said
        assert re.search(rf"; waited 0\.\d s for daemon {daemon}$", said), said
        assert storage.get_study_user_attrs(study) == {"key": [written] * 1000}
        storage.sync()
        storage.set_study_user_attr(study, "key", "there is room again")
        assert storage.get_study_user_attrs(study) == {"key": "there is room again"}


@pytest.mark.parametrize(
    "options",
    [
        {"durability": "fsync"},
        {"mode": "reader"},
        {"timeout": -1},
        {"timeout": float("nan")},
        {"open_timeout": -0.5},
        {"pool_bytes": 0},
        {"pool_bytes": -1},
        {"idle_exit": -1},
    ],
    ids=repr,
)
def test_options_without_sense(location: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        JournalStorage(location, **options)
    assert not location.exists()


@pytest.mark.parametrize("bad", [None, 7, b"bytes"])
def test_a_location_must_be_a_path(bad: Any) -> None:
    with pytest.raises(TypeError):
        JournalStorage(bad)


def test_an_empty_location() -> None:
    with pytest.raises(ValueError, match="empty"):
        JournalStorage("")


def _open_as_nobody(folder: str) -> str:
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    try:
        JournalStorage(Path(folder) / "journal").close()
    except JournalError as error:
        return f"{error.code}: {error}"
    return "opened"


def test_no_permission() -> None:
    # Not under tmp_path, whose parents are closed to others.
    folder = tempfile.mkdtemp(prefix="optjournal-test-")
    try:
        os.chmod(folder, 0o555)
        (said,) = run_together(_open_as_nobody, [(folder,)])
    finally:
        os.chmod(folder, 0o755)
        shutil.rmtree(folder)
    assert "ermission denied" in said
    assert folder in said


def test_a_monitor_refuses_to_write(storage: JournalStorage, study_id: int) -> None:
    with (
        JournalStorage(storage.location, mode="monitor") as monitor,
        pytest.raises(optjournal.RefusedError) as caught,
    ):
        monitor.create_new_trial(study_id)
    assert caught.value.code == "refused"
    assert storage.get_n_trials(study_id) == 0


LAYOUT_HASH_OFFSET = 16  # docs/region-format.md


def test_a_region_of_another_layout_is_kept_while_workers_use_it(location: Path) -> None:
    """As after an upgrade: the daemon and the region's layout changed under a living worker."""
    with JournalStorage(location, idle_exit=0) as worker:
        study = worker.create_new_study([optuna.study.StudyDirection.MINIMIZE], "study")
        said = dict(line.split(": ", 1) for line in (location / "LOCK").read_text().splitlines())
        [region] = Path(said["runtime"]).glob("region-*")
        # Stopped, so that it does not look at the header that it serves.
        stop_process(int(said["pid"]))
        with open(region, "r+b") as file:
            file.seek(LAYOUT_HASH_OFFSET)
            former = file.read(8)
            file.seek(LAYOUT_HASH_OFFSET)
            file.write(bytes(byte ^ 0xFF for byte in former))
        os.kill(int(said["pid"]), signal.SIGKILL)
        with pytest.raises(optjournal.IncompatibleError, match="layout.*workers of that version"):
            JournalStorage(location)
        # The worker of that version is where it was; a daemon of it finds everything.
        with open(region, "r+b") as file:
            file.seek(LAYOUT_HASH_OFFSET)
            file.write(former)
        trial = worker.create_new_trial(study)
        with JournalStorage(location) as other:
            assert other.get_trial(trial).number == 0
