"""status, studies, trials and stop on a journal that is served, and on one that is not.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

import optjournal
from conftest import PROGRAMS, end_daemon, open_storage, run, wait_until


def on_a_terminal(*words: str | os.PathLike[str], **environment: str) -> str:
    main, other = pty.openpty()
    child = subprocess.Popen(
        [PROGRAMS / "optjournal", *words],
        stdin=subprocess.DEVNULL,
        stdout=other,
        env={**os.environ, "TERM": "xterm", **environment},
    )
    os.close(other)
    out = b""
    while select.select([main], [], [], 60)[0]:
        try:
            more = os.read(main, 65536)
        except OSError:  # the terminal's other end was closed
            break
        out += more
    os.close(main)
    assert child.wait(60) == 0
    return out.decode()


def lives(pid: int) -> bool:
    """False also for a process that only waits to be reaped."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


class TestStatus:
    def test_says_who_is_attached(self, storage: optjournal.JournalStorage, folder: Path) -> None:
        status = json.loads(run("status", "--json", folder).out)
        assert status["served"] is True
        assert status["folder"] == str(folder)
        assert status["degraded"] is None
        os.kill(status["daemon"]["pid"], 0)
        (worker,) = status["workers"]
        assert worker["pid"] == os.getpid()
        assert worker["uid"] == os.getuid()
        assert worker["records"] > 20
        assert status["published"] >= status["synced"] > 20
        assert 0 < status["chunks_in_use"] <= status["chunk_count"]
        assert status["segments"] >= 1
        assert status["disk_bytes"] > 0
        assert 0 < status["sync_ns_p50"] <= status["sync_ns_p99"] <= status["sync_ns_max"]

        text = run("status", folder).out
        assert f"pid {status['daemon']['pid']}," in text
        assert re.search(rf"^ +{worker['slot']} +{os.getpid()} ", text, re.MULTILINE)
        assert "1 attached" in text
        assert "\x1b" not in text

    def test_without_a_daemon_says_so_and_what_is_there(self, offline_folder: Path) -> None:
        answer = run("status", offline_folder)
        assert answer.code == 0
        assert f"no daemon serves {offline_folder}" in answer.out
        assert "2 studies, 7 trials" in answer.out
        status = json.loads(run("status", "--json", offline_folder).out)
        assert status["served"] is False
        assert (status["studies"], status["trials"]) == (2, 7)
        assert status["records"] > 20
        assert not (offline_folder / "optjournald.pid").exists()

    def test_draws_bars_and_colour_on_a_terminal_only(
        self, storage: optjournal.JournalStorage, folder: Path
    ) -> None:
        text = on_a_terminal("status", folder)
        assert "\x1b[1m" in text
        assert "[" in text
        assert "····" in text
        assert "\x1b" not in on_a_terminal("status", folder, NO_COLOR="1")
        assert "\x1b" not in on_a_terminal("status", "--color=never", folder)
        assert "\x1b" in run("status", "--color=always", folder).out
        assert "\x1b" in run("--color", "always", "status", folder, NO_COLOR="1").out
        assert "····" not in run("status", folder).out


class TestStudies:
    @pytest.mark.parametrize("served", [True, False])
    def test_lists_all(
        self, served: bool, offline_folder: Path, request: pytest.FixtureRequest
    ) -> None:
        folder = offline_folder
        if served:
            request.getfixturevalue("storage")
            folder = request.getfixturevalue("folder")
        lines = run("studies", folder).out.splitlines()
        assert lines[0].split() == (
            "ID NAME DIRECTION TRIALS COMPLETE PRUNED FAIL RUNNING WAITING BEST".split()
        )
        assert lines[1].split() == "0 digits maximize 6 2 1 1 1 1 0.75 (#5)".split()
        assert lines[2].split() == '1 "two goals" minimize,maximize 1 1 0 0 0 0'.split()
        digits, both = json.loads(run("studies", "--json", folder).out)
        assert digits["name"] == "digits"
        assert digits["directions"] == ["maximize"]
        assert digits["states"] == {
            "COMPLETE": 2, "PRUNED": 1, "FAIL": 1, "RUNNING": 1, "WAITING": 1,
        }  # fmt: skip
        assert digits["best"] == {"number": 5, "value": 0.75, "params": {}}
        assert both["best"] is None

    def test_says_when_there_is_none(self, folder: Path) -> None:
        with open_storage(folder):
            answer = run("studies", folder)
            assert (answer.code, answer.out) == (0, f"{folder} has no studies\n")
            assert json.loads(run("studies", "--json", folder).out) == []

    def test_names_cannot_disturb_a_terminal(self, folder: Path) -> None:
        names = ["\x1b[31mred", "two\nlines", "", "tab\there", "a\u202eb", "lone \ud800", "é日本"]
        with open_storage(folder) as storage:
            for name in names:
                optuna.create_study(storage=storage, study_name=name)
            table = run("studies", folder).out
            assert len(table.splitlines()) == 1 + len(names)
            assert "\x1b" not in table
            for seen in (r"\x1b[31mred", r"two\nlines", r"a\u202eb", r'"lone \ud800"', "é日本"):
                assert seen in table
            found = [study["name"] for study in json.loads(run("studies", "--json", folder).out)]
            assert found == names


class TestTrials:
    def test_table_lines_up(self, storage: optjournal.JournalStorage, folder: Path) -> None:
        lines = run("trials", folder, "digits").out.splitlines()
        assert len(lines) == 7
        state = lines[0].index("STATE")
        for line, name in zip(
            lines[1:], ["COMPLETE", "PRUNED", "FAIL", "RUNNING", "WAITING", "COMPLETE"]
        ):
            assert line[state:].split()[0] == name
            assert line == line.rstrip()
        assert "hidden" in lines[0]
        assert "note" not in lines[0]
        attrs = run("trials", "--attrs", folder, "digits").out
        assert "user:note" in attrs
        assert r"so\nit goes" in attrs

    def test_json_has_everything(self, storage: optjournal.JournalStorage, folder: Path) -> None:
        wanted = optuna.load_study(storage=storage, study_name="digits").trials
        found = json.loads(run("trials", "--json", folder, "digits").out)
        assert [t["number"] for t in found] == list(range(6))
        for trial, frozen in zip(found, wanted):
            assert trial["state"] == frozen.state.name
            assert trial["values"] == frozen.values
            assert trial["params"] == frozen.params
            assert trial["intermediate_values"] == {
                str(step): value for step, value in frozen.intermediate_values.items()
            }
            assert trial["orphan"] is False
        assert found[0]["user_attrs"]["note"] == 'trial "0", so\nit goes'
        assert found[5]["user_attrs"] == {"π": "NaN"}
        (both,) = json.loads(run("trials", "--json", folder, "two goals").out)
        assert both["values"] == [1.0, "Infinity"]

    def test_csv_round_trips(self, storage: optjournal.JournalStorage, folder: Path) -> None:
        wanted = optuna.load_study(storage=storage, study_name="digits").trials
        text = run("trials", "--csv", "--attrs", folder, "digits").out
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        assert len(rows) == 6
        for row, frozen in zip(rows, wanted):
            assert int(row["number"]) == frozen.number
            assert row["state"] == frozen.state.name
            assert (float(row["value"]) if row["value"] else None) == frozen.value
            rate = row["params_learning rate"]
            assert (float(rate) if rate else None) == frozen.params.get("learning rate")
            assert row["user_attrs_note"] == frozen.user_attrs.get("note", "")
            assert bool(row["datetime_start"]) == (frozen.datetime_start is not None)
            assert (row["duration_s"] == "") == (frozen.duration is None)
            if frozen.duration is not None:
                assert float(row["duration_s"]) == frozen.duration.total_seconds()
        assert rows[5]["user_attrs_π"] == "nan"
        both = run("trials", "--csv", folder, "two goals").out.splitlines()
        assert both[0].startswith("number,state,values_0,values_1,datetime_start")
        assert both[1].startswith("0,COMPLETE,1.0,inf,")

    def test_csv_is_that_of_rfc_4180(self, folder: Path) -> None:
        """Any text comes back as it is; what a spreadsheet might take for a formula, too."""
        texts = [
            'say "so"', "a,b", "two\nlines", "two\r\nlines", "\r", "", '"', '","', "semi;colon",
            "=1+1", "+1", "-1", "@x", "\tx", "=HYPERLINK(\"x\")", "\x1b[31m", "日本", "'",
        ]  # fmt: skip
        with open_storage(folder) as storage:
            study = optuna.create_study(storage=storage, study_name="s")
            for text in texts:
                trial = study.ask({text: optuna.distributions.CategoricalDistribution([text])})
                trial.set_user_attr("key " + text, text)
        text = run("trials", "--csv", "--attrs", folder, "s").out
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
        assert len(rows) == 1 + len(texts)
        assert {len(row) for row in rows} == {len(rows[0])}
        for number, wanted in enumerate(texts):
            row = dict(zip(rows[0], rows[1 + number]))
            assert row["params_" + wanted] == wanted
            assert row["user_attrs_key " + wanted] == wanted
        # Quotes stand only where they must, and lines end in CR LF.
        assert ",=1+1," in text
        assert ',"say ""so""",' in text
        assert re.sub(r'"(?:[^"]|"")*"', "", text).count("\r\n") == len(rows)
        assert "\n" not in re.sub(r'"(?:[^"]|"")*"', "", text).replace("\r\n", "")

    def test_filters(self, storage: optjournal.JournalStorage, folder: Path) -> None:
        def numbers(*words: str) -> list[int]:
            return [
                t["number"]
                for t in json.loads(run("trials", "--json", *words, folder, "digits").out)
            ]

        assert numbers("--state", "complete") == [0, 5]
        assert numbers("--state=Running,WAITING") == [3, 4]
        assert numbers("--limit", "2") == [4, 5]
        assert numbers("--limit", "0") == []
        assert numbers("--limit", "99") == list(range(6))
        assert numbers("--state", "complete", "--limit", "1") == [5]

    def test_unknown_study_suggests_near_names(self, offline_folder: Path) -> None:
        answer = run("trials", offline_folder, "digts")
        assert answer.code == 3
        assert 'no study "digts"' in answer.err
        assert 'did you mean "digits"?' in answer.err
        answer = run("trials", offline_folder, "zebra")
        assert answer.code == 3
        assert 'it has "digits", "two goals"' in answer.err

    def test_without_a_name_takes_the_only_study(self, folder: Path, offline_folder: Path) -> None:
        answer = run("trials", offline_folder)
        assert answer.code == 3
        assert "2 studies" in answer.err
        with open_storage(folder) as storage:
            assert run("trials", folder).code == 3
            optuna.create_study(storage=storage, study_name="only").ask()
            assert len(json.loads(run("trials", "--json", folder).out)) == 1

    def test_huge_integers_are_exact(self, folder: Path) -> None:
        with open_storage(folder) as storage:
            trial = optuna.create_study(storage=storage).ask()
            trial.set_user_attr("big", 10**30)
            trial.set_user_attr("nested", {"a": [float("nan"), {"b": 'NaN, \\" Infinity'}]})
            trial.set_user_attr("lone", "\udfff")
            text = run("trials", "--json", folder).out
            attrs = json.loads(text)[0]["user_attrs"]
            assert attrs["big"] == 10**30
            assert attrs["nested"] == {"a": ["NaN", {"b": 'NaN, \\" Infinity'}]}
            assert attrs["lone"] == "\udfff"

    def test_marks_the_orphan_of_a_killed_worker(self, folder: Path) -> None:
        program = (
            "import sys, optuna, optjournal\n"
            f"s = optjournal.JournalStorage({str(folder)!r},"
            f" daemon_path={str(PROGRAMS / 'optjournald')!r}, orphans='keep')\n"
            "optuna.create_study(storage=s, study_name='s').ask()\n"
            "print('asked', flush=True)\n"
            "sys.stdin.read()\n"
        )
        worker = subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"asked\n"
        with open_storage(folder):
            worker.kill()
            worker.wait()
            wait_until(
                lambda: json.loads(run("trials", "--json", folder, "s").out)[0]["orphan"],
                "the worker's death is in the journal",
            )
            assert "RUNNING (orphan)" in run("trials", folder, "s").out
            row = next(csv.DictReader(io.StringIO(run("trials", "--csv", folder, "s").out)))
            assert (row["state"], row["orphan"]) == ("RUNNING", "true")


class TestStop:
    def test_refused_while_workers_are_attached(
        self, storage: optjournal.JournalStorage, folder: Path
    ) -> None:
        answer = run("stop", folder)
        assert answer.code == 5, answer
        assert str(os.getpid()) in answer.err
        assert json.loads(run("status", "--json", folder).out)["served"] is True

    def test_ends_the_daemon_with_everything_on_disk(self, folder: Path) -> None:
        storage = open_storage(folder, idle_exit=600)
        optuna.create_study(storage=storage, study_name="kept").ask()
        pid = json.loads(run("status", "--json", folder).out)["daemon"]["pid"]
        storage.close()
        answer = run("stop", folder)
        assert answer.code == 0, answer
        assert f"(pid {pid}) has synced everything and ended" in answer.out
        wait_until(lambda: not lives(pid), "the process has gone")
        assert len(json.loads(run("trials", "--json", folder, "kept").out)) == 1

    def test_without_a_daemon_there_is_nothing_to_stop(self, offline_folder: Path) -> None:
        answer = run("stop", offline_folder)
        assert answer.code == 3
        assert f"no daemon serves {offline_folder}" in answer.err


def test_a_full_disk_behind_standard_output_is_an_error(offline_folder: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [PROGRAMS / "optjournal", "studies", offline_folder],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert "standard output" in done.stderr


@pytest.mark.parametrize("ignored", [True, False])
def test_a_reader_that_goes_away_is_no_error(offline_folder: Path, ignored: bool) -> None:
    read, write = os.pipe()
    os.close(read)
    how = signal.SIG_IGN if ignored else signal.SIG_DFL
    done = subprocess.run(
        [PROGRAMS / "optjournal", "studies", offline_folder],
        stdout=write, stderr=subprocess.PIPE, timeout=60, check=False, restore_signals=False,
        preexec_fn=lambda: signal.signal(signal.SIGPIPE, how),
    )  # fmt: skip
    os.close(write)
    assert done.returncode in (141, -signal.SIGPIPE)
    assert done.stderr == b""


def test_a_killed_daemon_leaves_a_journal_that_can_be_read(folder: Path) -> None:
    storage = open_storage(folder)
    optuna.create_study(storage=storage, study_name="s")
    pid = json.loads(run("status", "--json", folder).out)["daemon"]["pid"]
    storage.close()
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pytest.fail("the daemon ended at once with its last client")
    wait_until(lambda: not json.loads(run("status", "--json", folder).out)["served"], "it is dead")
    assert [s["name"] for s in json.loads(run("studies", "--json", folder).out)] == ["s"]
    end_daemon(folder)
