"""`optjournal doctor`: each trouble is planted for real, and found by name.

A network file system and a full disk come from a preloaded library (fake_world.c): neither can be
had in a test without a mount.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest

import optjournal
from conftest import PROGRAMS, open_storage, run, wait_until

OK, NOT_THERE, WARNING, PROBLEM = 0, 3, 8, 9
NOBODY = 65534


def doctor(
    place: Path | str, prepare: Callable[[], None] | None = None, **environment: str
) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """The exit code, and the findings by check."""
    done = subprocess.run(
        [PROGRAMS / "optjournal", "doctor", "--json", place],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=prepare,
        env={**os.environ, **environment},
    )
    assert done.stdout, done.stderr
    answer = json.loads(done.stdout)
    worst = {"ok": OK, "warning": WARNING, "problem": PROBLEM}[answer["verdict"]]
    assert done.returncode == worst
    found: dict[str, list[dict[str, Any]]] = {}
    for one in answer["findings"]:
        found.setdefault(one["check"], []).append(one)
    return done.returncode, found


def trouble(found: dict[str, list[dict[str, Any]]], check: str, verdict: str, said: str) -> None:
    """The check has one such finding, and it says what to do."""
    assert any(
        one["verdict"] == verdict and said in one["what"] and one["advice"] for one in found[check]
    ), found[check]


def verdicts(found: dict[str, list[dict[str, Any]]], check: str) -> set[str]:
    return {one["verdict"] for one in found[check]}


@pytest.fixture(scope="module")
def fake_world(tmp_path_factory: pytest.TempPathFactory) -> str:
    library = tmp_path_factory.mktemp("world") / "fake_world.so"
    source = Path(__file__).with_name("fake_world.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return str(library)


@pytest.fixture
def journal(offline_folder: Path, tmp_path: Path) -> Path:
    """A copy of a journal at rest, to be spoilt."""
    copy = tmp_path / "copy"
    shutil.copytree(offline_folder, copy)
    (copy / "LOCK").unlink()
    return copy


@pytest.fixture
def as_nobody() -> Callable[[], None]:
    if os.getuid() != 0:
        pytest.skip("only root can ask as another user")

    def become() -> None:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)

    return become


def opened_up(path: Path) -> None:
    """Every folder above lets others through."""
    for folder in [path, *path.parents]:
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)


def test_a_healthy_journal_has_no_problem(storage: optjournal.JournalStorage, folder: Path) -> None:
    code, found = doctor(folder)
    assert code in (OK, WARNING)  # a warning: this machine's own disk or shared memory is small
    for check in ("folder", "daemon", "region", "records", "limits", "clock"):
        assert verdicts(found, check) == {"ok"}, found[check]
    text = run("doctor", folder)
    assert "ok        records" in text.out
    assert "\x1b" not in text.out


def test_nothing_there_is_as_with_every_verb(tmp_path: Path) -> None:
    answer = run("doctor", tmp_path / "none")
    assert answer.code == NOT_THERE
    assert "none" in answer.err


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("dear")
    code, found = doctor(tmp_path)
    assert code == PROBLEM
    trouble(found, "folder", "problem", "not a journal")


def test_a_journal_of_a_newer_format(journal: Path) -> None:
    text = (journal / "FORMAT").read_text()
    (journal / "FORMAT").write_text(text.replace("format: 1", "format: 99"))
    code, found = doctor(journal)
    assert code == PROBLEM
    trouble(found, "folder", "problem", "format 99")


def test_a_format_file_that_was_zeroed(journal: Path) -> None:
    (journal / "FORMAT").write_bytes(bytes(20))
    trouble(doctor(journal)[1], "folder", "problem", "damaged")


def test_a_damaged_segment_names_file_and_record(journal: Path) -> None:
    segment = min((journal / "segments").glob("*.seg"))
    with segment.open("r+b") as file:
        file.seek(8192 + 64 + 20)
        file.write(b"\xff\xff\xff")
    code, found = doctor(journal)
    assert code == PROBLEM
    trouble(found, "records", "problem", segment.name)


def test_a_folder_that_may_not_be_entered(journal: Path, as_nobody: Callable[[], None]) -> None:
    opened_up(journal)
    journal.chmod(0o770)
    code, found = doctor(journal, as_nobody)
    assert code == PROBLEM
    trouble(found, "folder", "problem", "Permission denied")
    assert "usermod -aG" in found["folder"][0]["advice"]


def test_a_folder_that_may_only_be_read(journal: Path, as_nobody: Callable[[], None]) -> None:
    opened_up(journal)
    for path in [*journal.rglob("*")]:
        path.chmod(0o755)
    journal.chmod(0o755)
    trouble(doctor(journal, as_nobody)[1], "folder", "warning", "not write")


def test_a_folder_that_everybody_writes(journal: Path) -> None:
    journal.chmod(0o777)
    trouble(doctor(journal)[1], "folder", "warning", "every user")


def test_a_network_file_system(journal: Path, fake_world: str) -> None:
    code, found = doctor(journal, LD_PRELOAD=fake_world, FAKE_FILE_SYSTEM="6969")
    assert code == PROBLEM
    trouble(found, "file system", "problem", "NFS")


def test_a_journal_on_a_tmpfs(journal: Path, fake_world: str) -> None:
    found = doctor(journal, LD_PRELOAD=fake_world, FAKE_FILE_SYSTEM="01021994")[1]
    trouble(found, "file system", "warning", "tmpfs")


@pytest.mark.parametrize(
    ("mebibytes", "disk", "memory"),
    [(1, "problem", "problem"), (100, "warning", "warning"), (4000, "ok", "ok")],
)
def test_disk_and_shared_memory_run_full(
    journal: Path, fake_world: str, mebibytes: int, disk: str, memory: str
) -> None:
    found = doctor(journal, LD_PRELOAD=fake_world, FAKE_BYTES_FREE=str(mebibytes << 20))[1]
    assert verdicts(found, "disk") == {disk}, found["disk"]
    assert verdicts(found, "shared memory") == {memory}, found["shared memory"]


def test_limits_of_this_user(journal: Path) -> None:
    def few_files() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    def little_memory() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (200 << 20, 200 << 20))

    trouble(doctor(journal, few_files)[1], "limits", "warning", "open files: 64")
    trouble(doctor(journal, little_memory)[1], "limits", "problem", "address space: 200 MiB")


def test_a_clock_that_was_set_back(journal: Path) -> None:
    segment = min((journal / "segments").glob("*.seg"))
    later = time.time() + 3600
    os.utime(segment, (later, later))
    trouble(doctor(journal)[1], "clock", "warning", segment.name)


def test_a_service_that_does_not_run(journal: Path, tmp_path: Path) -> None:
    roots = {
        "OPTJOURNAL_STATE_ROOT": str(tmp_path),
        "OPTJOURNAL_RUNTIME_ROOT": str(tmp_path / "run"),
    }
    code, found = doctor(f"optjournal://{journal.name}", **roots)
    assert code == PROBLEM
    assert "systemctl enable --now optjournald@copy" in found["daemon"][0]["advice"]


def test_a_service_whose_configuration_is_wrong(journal: Path, tmp_path: Path) -> None:
    roots = {
        "OPTJOURNAL_STATE_ROOT": str(tmp_path),
        "OPTJOURNAL_RUNTIME_ROOT": str(tmp_path / "run"),
        "OPTJOURNAL_CONFIG_ROOT": str(tmp_path),
    }
    place = f"optjournal://{journal.name}"
    assert verdicts(doctor(place, **roots)[1], "configuration") == {"ok"}
    (tmp_path / "copy.toml").write_text('log-level = "info"\npol = "8M"\n')
    code, found = doctor(place, **roots)
    assert code == PROBLEM
    trouble(found, "configuration", "problem", "copy.toml, line 2: pol: unknown")


def test_a_service_for_members_of_a_group(
    journal: Path, tmp_path: Path, as_nobody: Callable[[], None]
) -> None:
    roots = {
        "OPTJOURNAL_STATE_ROOT": str(tmp_path),
        "OPTJOURNAL_RUNTIME_ROOT": str(tmp_path / "run"),
    }
    place = f"optjournal://{journal.name}"
    opened_up(journal)
    journal.chmod(0o750)
    assert verdicts(doctor(place, **roots)[1], "group") == {"ok"}
    code, found = doctor(place, as_nobody, **roots)
    assert code == PROBLEM
    trouble(found, "group", "problem", "user nobody is not one")
    assert "usermod -aG" in found["group"][0]["advice"]


def test_a_service_that_never_was(tmp_path: Path) -> None:
    code, found = doctor("optjournal://none", OPTJOURNAL_STATE_ROOT=str(tmp_path))
    assert code == PROBLEM
    assert "systemctl enable --now optjournald@none" in found["folder"][0]["advice"]


@pytest.fixture
def daemon_pid(storage: optjournal.JournalStorage, folder: Path) -> int:
    return int(json.loads(run("status", "--json", folder).out)["daemon"]["pid"])


def test_a_stopped_daemon(daemon_pid: int, folder: Path) -> None:
    os.kill(daemon_pid, signal.SIGSTOP)
    try:
        code, found = doctor(folder)
    finally:
        os.kill(daemon_pid, signal.SIGCONT)
    assert code == PROBLEM
    assert verdicts(found, "daemon") == {"problem"}
    assert "kill -CONT" in found["daemon"][0]["advice"]
    assert verdicts(found, "records") == {"warning"}


def test_a_daemon_of_few_descriptors(daemon_pid: int, folder: Path) -> None:
    resource.prlimit(daemon_pid, resource.RLIMIT_NOFILE, (40, 4096))
    trouble(doctor(folder)[1], "limits", "problem", "open files of the daemon: 40")


def runtime_folder_of(folder: Path) -> Path:
    lines = (folder / "LOCK").read_text().splitlines()
    return Path(
        next(line for line in lines if line.startswith("runtime: ")).removeprefix("runtime: ")
    )


def test_stale_regions_beside_a_daemon(daemon_pid: int, folder: Path) -> None:
    runtime = runtime_folder_of(folder)
    (region,) = runtime.glob("region-*")
    header = bytearray(region.read_bytes()[:4096])
    size = region.stat().st_size

    def plant(name: str, at: int, value: bytes) -> Path:
        path = runtime / name
        with path.open("wb") as file:
            file.write(header[:at] + value + header[at + len(value) :])
            file.truncate(size)
        return path

    # Offsets of HeaderFields in shm/layout.h: format 8, boot id 24, journal id 40, generation 56.
    planted = [
        (plant("region-101", 24, bytes(16)), "warning", "another boot"),
        (plant("region-102", 40, bytes(16)), "warning", "another journal"),
        (plant("region-103", 56, (103).to_bytes(8, "little")), "warning", "stale"),
        (plant("region-104", 8, (99).to_bytes(4, "little")), "problem", "another version"),
        (plant("region-105", 64, bytes(8)), "problem", "region-105"),
    ]
    try:
        found = doctor(folder)[1]
        for path, verdict, said in planted:
            trouble(found, "region", verdict, said)
            assert any(str(path) in one["what"] for one in found["region"]), path
    finally:
        for path, _, _ in planted:
            path.unlink()


def test_a_runtime_folder_that_everybody_writes(daemon_pid: int, folder: Path) -> None:
    runtime = runtime_folder_of(folder)
    mode = runtime.stat().st_mode
    runtime.chmod(0o777)
    try:
        trouble(doctor(folder)[1], "runtime folder", "problem", "every user")
    finally:
        runtime.chmod(mode)


def test_a_socket_that_another_user_may_not_use(
    daemon_pid: int, folder: Path, as_nobody: Callable[[], None]
) -> None:
    opened_up(folder)
    for path in folder.rglob("*"):
        path.chmod(0o755)
    code, found = doctor(folder, as_nobody)
    assert code == PROBLEM
    trouble(found, "runtime folder", "problem", "may not enter")
    assert verdicts(found, "daemon") == {"problem"}


def test_published_records_without_a_daemon(folder: Path) -> None:
    """The daemon is stopped, a worker publishes, both are killed."""
    worker = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time, optjournal, optuna\n"
            "storage = optjournal.JournalStorage(sys.argv[1], daemon_path=sys.argv[2])\n"
            "study = optuna.create_study(storage=storage, study_name='s')\n"
            "trial = study.ask()\n"
            "print('ready', flush=True)\n"
            "sys.stdin.readline()\n"
            "trial.set_user_attr('late', 1)\n"
            "print('done', flush=True)\n"
            "time.sleep(600)\n",
            folder,
            PROGRAMS / "optjournald",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert worker.stdin is not None
    assert worker.stdout is not None
    assert worker.stdout.readline() == "ready\n"

    def status() -> Any:
        return json.loads(run("status", "--json", folder).out)

    wait_until(lambda: status()["lag_records"] == 0, "all synced")
    pid = status()["daemon"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    worker.stdin.write("\n")
    worker.stdin.flush()
    assert worker.stdout.readline() == "done\n"
    worker.kill()
    worker.wait()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not status()["served"], "the daemon is gone")
    code, found = doctor(folder)
    assert code == PROBLEM
    trouble(found, "region", "problem", "in memory only")
    open_storage(folder).close()  # the next daemon takes them over
    assert verdicts(doctor(folder)[1], "region") == {"ok"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4M", "optjournal-test", place]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"cannot mount a small disk: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_daemon_whose_disk_is_full(small_disk: Path) -> None:
    folder = small_disk / "runs"
    storage = open_storage(folder)
    study = optuna.create_study(storage=storage, study_name="s")
    trial = study.ask()
    junk = small_disk / "junk"
    with junk.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)) == 4096:
            pass

    def degraded() -> object:
        trial.set_user_attr("long", "x" * 60_000)
        return json.loads(run("status", "--json", folder).out)["degraded"]

    wait_until(degraded, "the daemon cannot sync")
    code, found = doctor(folder)
    assert code == PROBLEM
    trouble(found, "daemon", "problem", "cannot sync")
    trouble(found, "disk", "problem", "0 MiB free")
    junk.unlink()
    wait_until(
        lambda: json.loads(run("status", "--json", folder).out)["lag_records"] == 0, "all synced"
    )
    assert "problem" not in verdicts(doctor(folder)[1], "daemon")
    storage.close()
    run("stop", folder)
