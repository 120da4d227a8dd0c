"""`optjournal tail`: what it prints of every operation, where it begins, and that it is live.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna

import optjournal
from conftest import PROGRAMS, open_storage, run, wait_until


def records(folder: Path, *words: str) -> list[dict[str, Any]]:
    answer = run("tail", "--json", *words, folder)
    assert answer.code == 0, answer
    return [json.loads(line) for line in answer.out.splitlines()]


def operations(folder: Path, name: str) -> list[dict[str, Any]]:
    every = records(folder, "--from", "start")
    return [op for record in every for op in record["operations"] if op["operation"] == name]


class TestWhatItPrints:
    def test_every_record_once_in_order(
        self, storage: optjournal.JournalStorage, folder: Path
    ) -> None:
        every = records(folder, "--from", "start")
        assert [record["seq"] for record in every] == list(range(len(every)))
        assert all(record["operations"] for record in every)
        first = every[0]
        assert first["operations"][0]["operation"] == "sessionStarted"
        assert first["pid"] == os.getpid()
        lines = run("tail", "--from", "start", folder).out.splitlines()
        assert [int(line.split()[0]) for line in lines] == list(range(len(every)))
        for line, record in zip(lines, every):
            assert re.match(r" +\d+  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}  ", line)
            assert record["operations"][0]["operation"] in line
            assert line == line.rstrip()

    def test_names_and_numbers(self, storage: optjournal.JournalStorage, folder: Path) -> None:
        text = run("tail", "--from", "start", folder).out
        for wanted in (
            r"createStudy +digits  directions=maximize$",
            r'createStudy +"two goals"  directions=minimize,maximize$',
            r"createTrial +digits #0  state=RUNNING$",
            r'setTrialParam +digits #0  "learning rate"=\S+ \(1e-05\.\.1 log\)$',
            r"setTrialParam +digits #0  hidden=\d+ \(8\.\.64\)$",
            r"setTrialParam +digits #1  activation=\S+ \(\{relu, tanh, null, true, 2\.5\}\)$",
            r"setTrialIntermediateValue +digits #2  step=3  value=0\.25$",
            r'setTrialUserAttr +digits #0  note="trial \\"0\\", so\\nit goes"$',
            r"setTrialStateValues +digits #0  state=COMPLETE  values=0\.5$",
            r"setTrialStateValues +digits #1  state=PRUNED",
            r"createTrial +digits #4  state=WAITING  .*system_attrs=\{.*hidden",
            r"setTrialStateValues +\"two goals\" #0  state=COMPLETE  values=\[1, inf\]$",
        ):
            assert re.search(wanted, text, re.MULTILINE), wanted

    def test_json_of_a_parameter_is_complete(
        self, storage: optjournal.JournalStorage, folder: Path
    ) -> None:
        params = [op for op in operations(folder, "setTrialParam") if op["trial"] == 0]
        frozen = storage.get_all_trials(0)[0]
        assert {op["param"]: op["value"] for op in params} == frozen.params
        assert params[0]["study"] == "digits"
        assert params[0]["trial_id"] == 0
        assert params[0]["outcome"] == "done"
        assert params[0]["distribution"] == {
            "name": "FloatDistribution", "low": 1e-05, "high": 1.0, "log": True, "step": None,
        }  # fmt: skip

    def test_nan_and_infinity_are_strings(self, folder: Path) -> None:
        with open_storage(folder) as storage:
            trial = optuna.create_study(storage=storage).ask()
            for step, value in enumerate((float("nan"), float("inf"), -float("inf"), 1.0)):
                trial.report(value, step)
            values = [op["value"] for op in operations(folder, "setTrialIntermediateValue")]
            assert values == ["NaN", "Infinity", "-Infinity", 1.0]

    def test_sessions_come_and_go(self, offline_folder: Path) -> None:
        started = operations(offline_folder, "sessionStarted")
        ended = operations(offline_folder, "sessionEnded")
        assert started[0]["pid"] == os.getpid()
        assert ended[0]["reason"] == "closed"
        assert re.search(
            r"sessionEnded +session=\S+\[\d+\]  reason=closed$",
            run("tail", offline_folder).out,
            re.MULTILINE,
        )

    def test_a_deleted_study_keeps_its_name(self, folder: Path) -> None:
        with open_storage(folder) as storage:
            optuna.create_study(storage=storage, study_name="gone").ask()
            optuna.delete_study(storage=storage, study_name="gone")
            names = [
                op["study"] for r in records(folder, "--study", "gone") for op in r["operations"]
            ]
            assert set(names) == {"gone"}
            assert len(operations(folder, "deleteStudy")) == 1


class TestWhereItBegins:
    def test_the_last_ten_by_default(self, offline_folder: Path) -> None:
        end = len(records(offline_folder, "--from", "start"))
        assert [r["seq"] for r in records(offline_folder)] == list(range(end - 10, end))
        assert [r["seq"] for r in records(offline_folder, "-n", "3")] == list(range(end - 3, end))
        assert records(offline_folder, "--lines", "0") == []
        assert len(records(offline_folder, "-n", "100000")) == end
        assert records(offline_folder, "--from", "now") == []
        assert [r["seq"] for r in records(offline_folder, "--from", "7")] == list(range(7, end))

    def test_beyond_the_end_says_so(self, offline_folder: Path) -> None:
        answer = run("tail", "--from", "4711", offline_folder)
        assert (answer.code, answer.out) == (0, "")
        assert "ends before record 4711" in answer.err

    def test_only_one_study(self, offline_folder: Path) -> None:
        found = records(offline_folder, "--from", "start", "--study", "two goals")
        assert [op["operation"] for r in found for op in r["operations"]] == [
            "createStudy", "createTrial", "setTrialStateValues",
        ]  # fmt: skip
        assert records(offline_folder, "-n", "1", "--study", "two goals") == found[-1:]

    def test_unknown_study(self, offline_folder: Path) -> None:
        answer = run("tail", "--study", "Digit", offline_folder)
        assert (answer.code, answer.out) == (3, "")
        assert 'did you mean "digits"?' in answer.err


class Follower:
    """A running `optjournal tail -f --json`, and what it printed so far."""

    def __init__(self, *words: str | os.PathLike[str]) -> None:
        self.process = subprocess.Popen(
            [PROGRAMS / "optjournal", "tail", "-f", "--json", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.records: list[dict[str, Any]] = []
        self.notes: list[str] = []
        self._threads = [
            threading.Thread(target=self._read_records), threading.Thread(target=self._read_notes)
        ]  # fmt: skip
        for thread in self._threads:
            thread.start()

    def _read_records(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.records.append(json.loads(line))

    def _read_notes(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.notes.append(line)

    def names(self) -> list[str]:
        return [
            op["study"]
            for record in list(self.records)
            for op in record["operations"]
            if op["operation"] == "createStudy"
        ]

    def wait_for(self, study: str) -> None:
        wait_until(
            lambda: study in self.names() or self.process.poll() is not None, f"{study} is printed"
        )
        assert study in self.names(), self.notes

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        code = self.process.wait(60)
        for thread in self._threads:
            thread.join()
        return code


@contextmanager
def following(*words: str | os.PathLike[str]) -> Iterator[Follower]:
    follower = Follower(*words)
    try:
        yield follower
    finally:
        if follower.process.poll() is None:
            follower.end(signal.SIGKILL)


def create(storage: optjournal.JournalStorage, name: str) -> None:
    optuna.create_study(storage=storage, study_name=name)


class TestFollowing:
    def test_sees_records_as_they_are_published(
        self, storage: optjournal.JournalStorage, folder: Path
    ) -> None:
        with following("--from", "start", folder) as follower:
            follower.wait_for("two goals")
            for name in ("one", "two", "three"):
                create(storage, name)
                follower.wait_for(name)
            assert [r["seq"] for r in follower.records] == list(range(len(follower.records)))
            assert follower.end() == -signal.SIGINT
            assert follower.notes == []

    def test_does_not_count_as_a_worker(
        self, storage: optjournal.JournalStorage, folder: Path
    ) -> None:
        with following(folder) as follower:
            follower.wait_for("two goals")
            assert len(json.loads(run("status", "--json", folder).out)["workers"]) == 1

    def test_goes_on_when_the_daemon_is_killed(
        self, storage: optjournal.JournalStorage, folder: Path
    ) -> None:
        with following("--from", "start", folder) as follower:
            follower.wait_for("two goals")
            for round_number in range(3):
                pid = json.loads(run("status", "--json", folder).out)["daemon"]["pid"]
                os.kill(pid, signal.SIGKILL)
                name = f"after the kill {round_number}"
                create(storage, name)  # waits for *synced*, so for a new daemon
                follower.wait_for(name)
            assert [r["seq"] for r in follower.records] == list(range(len(follower.records)))

    def test_goes_on_when_the_daemon_ended_and_another_comes(self, folder: Path) -> None:
        with open_storage(folder) as storage:
            create(storage, "before")
        with following("--from", "start", folder) as follower:
            follower.wait_for("before")
            wait_until(lambda: run("stop", folder).code == 3, "no daemon serves")
            with open_storage(folder) as storage:
                create(storage, "after")
                follower.wait_for("after")
            assert [r["seq"] for r in follower.records] == list(range(len(follower.records)))

    def test_waits_for_a_daemon(self, folder: Path) -> None:
        with open_storage(folder) as storage:
            create(storage, "before")
        wait_until(lambda: run("stop", folder).code == 3, "no daemon serves")
        with following(folder) as follower:
            follower.wait_for("before")
            wait_until(lambda: follower.notes, "it says that it waits")
            assert "no daemon serves" in follower.notes[0]
            assert run("stop", folder).code == 3  # it started none
            with open_storage(folder) as storage:
                create(storage, "after")
                follower.wait_for("after")

    def test_waits_for_a_study(self, storage: optjournal.JournalStorage, folder: Path) -> None:
        with following("--study", "later", folder) as follower:
            wait_until(lambda: follower.notes, "it says that it waits")
            assert "waiting for it" in follower.notes[0]
            create(storage, "other")
            create(storage, "later")
            follower.wait_for("later")
            assert follower.names() == ["later"]

    def test_ends_by_the_signal_that_it_gets(
        self, storage: optjournal.JournalStorage, folder: Path
    ) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            with following("--from", "start", folder) as follower:
                follower.wait_for("two goals")
                assert follower.end(number) == -number


def memory_kib(pid: int) -> int:
    """Its own: without what it maps of the region and of the program."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^RssAnon:\s+(\d+) kB$", status, re.MULTILINE)
    assert found
    return int(found[1])


class Counter:
    """A running `optjournal tail -f`, of whose lines only the number is kept."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [PROGRAMS / "optjournal", "tail", "-f", "--from", "start", folder],
            stdout=subprocess.PIPE,
        )
        self.count = 0
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for _line in self.process.stdout:
            self.count += 1

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self._thread.join()


def test_memory_does_not_grow_with_the_length_of_the_journal(folder: Path) -> None:
    """Of what was printed it remembers a bounded part; of the state, what there is: its trials."""
    records, grown = 0, {}
    with open_storage(folder) as storage:
        create(storage, "followed")
        counter = Counter(folder)
        try:
            for target in (100_000, 200_000, 300_000):  # the first fills what is bounded
                while records < target:
                    storage.set_study_user_attr(0, "key", records)
                    records += 1
                wait_until(lambda end=target: counter.count >= end, "it has printed all")
                grown[target] = memory_kib(counter.process.pid)
        finally:
            counter.end()
    print(f"measured memory of tail -f after so many records: {grown} KiB")
    assert grown[300_000] - grown[100_000] < 2_000, grown  # 10 bytes a record
