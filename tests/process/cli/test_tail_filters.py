"""`optjournal tail` with filters, live and at rest.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import optuna
import pytest
from test_tail import create, following, records

import optjournal
from conftest import PROGRAMS, fill, open_storage, run, wait_until


def kept(folder: Path, *words: str) -> list[tuple[int, str, Any, Any]]:
    """(seq, operation, study, trial) of what is printed."""
    found = records(folder, "--from", "start", *words)
    return [
        (r["seq"], op["operation"], op.get("study"), op.get("trial"))
        for r in found
        for op in r["operations"]
    ]


def daemon_pid(folder: Path) -> int:
    return int(json.loads(run("status", "--json", folder).out)["daemon"]["pid"])


class TestFilters:
    def test_each_keeps_what_it_says_and_all_of_it(self, offline_folder: Path) -> None:
        every = kept(offline_folder)
        assert kept(offline_folder, "--trial", "1,4") == [e for e in every if e[3] in (1, 4)]
        assert kept(offline_folder, "--op", "setTrialParam") == [
            e for e in every if e[1] == "setTrialParam"
        ]
        assert kept(offline_folder, "--study", "digits", "--trial", "0") == [
            e for e in every if e[2] == "digits" and e[3] == 0
        ]
        assert len(kept(offline_folder, "--trial", "0")) > len(
            kept(offline_folder, "--study", "digits", "--trial", "0")
        )
        assert [e[3] for e in kept(offline_folder, "--state", "fail,PRUNED")] == [1, 2]
        assert [e[1:] for e in kept(offline_folder, "--state", "waiting")] == [
            ("createTrial", "digits", 4)
        ]
        assert kept(offline_folder, "--state", "complete", "--study", "two goals")[0][3] == 0
        assert kept(offline_folder, "--trial", "4711") == []

    def test_the_last_lines_are_the_last_that_fit(self, offline_folder: Path) -> None:
        fit = records(offline_folder, "--from", "start", "--op", "setTrialParam")
        assert records(offline_folder, "-n", "2", "--op", "setTrialParam") == fit[-2:]

    def test_a_worker_by_pid_command_or_both(self, folder: Path) -> None:
        code = (
            "import sys, optuna, optjournal\n"
            "s = optjournal.JournalStorage(sys.argv[1], daemon_path=sys.argv[2])\n"
            "optuna.create_study(storage=s, study_name='of a child').ask()\n"
            "print(flush=True); sys.stdin.read()\n"
        )
        with open_storage(folder) as storage:
            create(storage, "of the parent")
            child = subprocess.Popen(
                [sys.executable, "-c", code, folder, PROGRAMS / "optjournald"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            assert child.stdout is not None
            child.stdout.readline()
            child.kill()
            child.communicate()
            wait_until(
                lambda: kept(folder, "--op", "sessionEnded"), "the death of the child is published"
            )
            of_child = records(folder, "--from", "start", "--worker", str(child.pid))
            names = [op["operation"] for r in of_child for op in r["operations"]]
            assert names[:3] == ["sessionStarted", "createStudy", "createTrial"]
            assert "sessionEnded" in names  # which the daemon wrote
            command = of_child[0]["command"]
            both = f"{command}[{child.pid}]"
            assert records(folder, "--from", "start", "--worker", both) == of_child
            parent = records(folder, "--from", "start", "--worker", str(os.getpid()))
            assert parent
            assert not any(r in of_child for r in parent)
            two = records(folder, "--from", "start", "--worker", str(os.getpid()), "--worker", both)
            assert [r["seq"] for r in two] == sorted(r["seq"] for r in parent + of_child)
            assert "sessionEnded" in [
                op["operation"]
                for r in records(folder, "--from", "start", "--worker", "optjournald")
                for op in r["operations"]
            ]

    def test_since_and_until_cut_by_the_time_that_records_show(self, offline_folder: Path) -> None:
        every = records(offline_folder, "--from", "start")
        middle = every[len(every) // 2]["time"]
        since = records(offline_folder, "--since", middle)
        until = records(offline_folder, "--from", "start", "--until", middle)
        assert since == [r for r in every if r["time"] >= middle]
        assert until == [r for r in every if r["time"] < middle]
        assert since
        assert until
        assert records(offline_folder, "-n", "1", "--since", middle) == every[-1:]
        assert records(offline_folder, "--since", "1d") == every
        assert records(offline_folder, "--since", "0s") == []
        here = datetime.datetime.fromisoformat(middle.replace("Z", "+00:00")).astimezone()
        local = here.strftime("%Y-%m-%dT%H:%M:%S.%f")
        assert records(offline_folder, "--since", local) == since

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (("--op", "setTrialParams"), "did you mean setTrialParam?"),
            (("--op", "zzz"), "setTrialIntermediateValue"),
            (("--state", "done"), "is no state"),
            (("--trial", "-1"), "is no count"),
            (("--trial", "1,x"), '"x" is no count'),
            (("--since", "yesterday"), '"yesterday" is no time'),
            (("--since", "1m", "--until", "2m"), "is not after --since"),
        ],
    )
    def test_what_is_no_filter_is_refused(
        self, offline_folder: Path, words: tuple[str, ...], says: str
    ) -> None:
        answer = run("tail", *words, offline_folder)
        assert answer.code == 2
        assert says in answer.err


class TestFollowingFiltered:
    def test_prints_only_what_fits_across_a_killed_daemon(
        self, storage: optjournal.JournalStorage, folder: Path
    ) -> None:
        with following("--from", "start", "--op", "createStudy", folder) as follower:
            follower.wait_for("two goals")
            os.kill(daemon_pid(folder), signal.SIGKILL)
            optuna.load_study(study_name="digits", storage=storage).ask()
            create(storage, "after the kill")
            follower.wait_for("after the kill")
            assert follower.names() == ["digits", "two goals", "after the kill"]
            assert {op["operation"] for r in follower.records for op in r["operations"]} == {
                "createStudy"
            }

    def test_goes_on_in_a_new_region(
        self, storage: optjournal.JournalStorage, folder: Path
    ) -> None:
        """What went with the old one is said; what it printed of that is followed by what is."""
        with following("--from", "start", folder) as follower:
            follower.wait_for("two goals")
            runtime = (folder / "LOCK").read_text().split("runtime: ")[1].strip()
            daemon = daemon_pid(folder)
            for region in Path(runtime).glob("region-*"):
                region.unlink()
            with contextlib.suppress(ProcessLookupError):  # it may have noticed, and ended
                os.kill(daemon, signal.SIGKILL)
            lost = 0
            while True:  # until one is kept
                try:
                    create(storage, f"in the new region, try {lost}")
                    break
                except optjournal.GoneError:
                    lost += 1
            follower.wait_for(f"in the new region, try {lost}")
            seqs = [r["seq"] for r in follower.records]
            told = [note for note in follower.notes if "were lost" in note]
            print(f"{lost} creations lost, the follower said: {follower.notes}")
            if seqs != list(range(len(seqs))):
                assert told, seqs
            # The history that stayed is printed whole, in its order, behind whatever was lost.
            offline = [r["seq"] for r in records(folder, "--from", "start")]
            assert sorted(set(seqs)) == offline[: len(set(seqs))]

    def test_until_ends_it(self, storage: optjournal.JournalStorage, folder: Path) -> None:
        until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=2)
        words = ("--from", "start", "--until", until.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
        with following(*words, folder) as follower:
            follower.wait_for("two goals")
            assert follower.process.wait(60) == 0
            assert datetime.datetime.now(datetime.timezone.utc) >= until

    def test_says_that_the_folder_was_removed(self, folder: Path) -> None:
        with open_storage(folder) as storage:
            create(storage, "before")
        with following(folder) as follower:
            follower.wait_for("before")
            run("stop", folder)
            folder.rename(folder.with_name("elsewhere"))
            assert follower.process.wait(60) == 3
            wait_until(lambda: any("was removed" in n for n in follower.notes), "it says why")


def test_a_damaged_record_passes_every_filter_but_time(folder: Path) -> None:
    with open_storage(folder) as storage:
        create(storage, "before")
        daemon = daemon_pid(folder)
        os.kill(daemon, signal.SIGSTOP)  # so that what follows is not written before it is damaged
        try:
            storage.set_study_user_attr(0, "scribble", "to be scribbled over")
            runtime = (folder / "LOCK").read_text().split("runtime: ")[1].strip()
            (region,) = Path(runtime).glob("region-*")
            with region.open("r+b") as file:
                place = file.read().index(b"to be scribbled over")
                file.seek(place)
                file.write(b"X")
        finally:
            os.kill(daemon, signal.SIGCONT)
        found = records(folder, "--from", "start", "--study", "before", "--op", "deleteStudy")
        assert len(found) == 1
        assert records(folder, "--since", "0s") == []


def nobody(*words: str | os.PathLike[str]) -> subprocess.CompletedProcess[str]:
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]
    return subprocess.run([*command, *words], capture_output=True, text=True, timeout=120)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
def test_a_monitor_needs_the_right_to_read_and_no_other() -> None:
    place = Path(tempfile.mkdtemp(prefix="optjournal-read-only-"))
    try:
        place.chmod(0o755)
        program = Path(shutil.copy(PROGRAMS / "optjournal", place))
        folder = place / "runs"
        folder.mkdir(mode=0o755)
        with open_storage(folder) as storage:
            fill(storage)
            runtime = Path((folder / "LOCK").read_text().split("runtime: ")[1].strip())
            refused = nobody(program, "tail", folder)
            assert refused.returncode == 1, refused  # as it is: the owner's alone
            assert "Permission denied" in refused.stderr
            runtime.chmod(0o755)
            (region,) = runtime.glob("region-*")
            region.chmod(0o644)
            # Only the region has it: an unsynced record, with the daemon stopped.
            daemon = daemon_pid(folder)
            os.kill(daemon, signal.SIGSTOP)
            try:
                storage.set_study_user_attr(0, "only in", "memory")
                done = nobody(program, "tail", "--from", "start", folder)
            finally:
                os.kill(daemon, signal.SIGCONT)
            assert done.returncode == 0, done
            assert "memory" in done.stdout
            assert nobody("sh", "-c", f"echo >> {region}").returncode != 0
        run("stop", folder)
    finally:
        shutil.rmtree(place)
