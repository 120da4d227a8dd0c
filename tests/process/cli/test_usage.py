"""Wrong flags, wrong places, help: every verb, every exit code that they have.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import optuna
import pytest

from conftest import PROGRAMS, ROOT, open_storage, run, wait_until

# Those that look at what is there, and refuse what is not.
LOOKING = ("tail", "status", "studies", "trials", "orphans", "stop", "dashboard", "top")
VERBS = (*LOOKING, "doctor", "version")


def test_help_of_the_program_names_every_verb_and_exit_code() -> None:
    answer = run("--help")
    assert answer.code == 0
    assert answer.err == ""
    for verb in VERBS:
        assert re.search(rf"^  {verb} +\S", answer.out, re.MULTILINE)
    assert "Examples:" in answer.out
    for code in range(10):
        assert re.search(rf"(^| ) {code}  \S", answer.out, re.MULTILINE), code


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_has_examples_that_parse(verb: str) -> None:
    answer = run(verb, "--help")
    assert answer.code == 0
    examples = re.findall(rf"^  optjournal ({verb}.*)$", answer.out, re.MULTILINE)
    assert examples
    for example in examples:
        words = re.split(r"\s{2,}| \| | > ", example)[0].split()
        if verb == "version":
            continue
        # A folder that is not there: whatever was wrong with the flags would be said first.
        words = [w.replace("./runs", "/nonexistent/runs") for w in words]
        if "optjournal://shared" in words:
            continue
        assert run(*words).code == 3, example


def test_version_is_the_same_as_flag_and_as_verb() -> None:
    assert run("version") == run("--version")
    version = re.search(r"project\(optjournal VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())
    assert version
    assert run("version").out.startswith(f"optjournal {version[1]}\n")
    assert re.search(r"^journal format \d+\.\d+$", run("version").out, re.MULTILINE)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "which verb"),
        (["tial", "x"], "did you mean `tail`"),
        (["frobnicate"], 'no verb "frobnicate"'),
        (["tail"], "LOCATION is required"),
        (["status"], "LOCATION is required"),
        (["studies"], "LOCATION is required"),
        (["trials"], "LOCATION is required"),
        (["stop"], "LOCATION is required"),
        (["status", "a", "b"], "not expected: b"),
        (["tail", "a", "b"], "not expected: b"),
        (["trials", "a", "b", "c"], "not expected: c"),
        (["orphans"], "LOCATION is required"),
        (["orphans", "a", "s", "retry:0"], "keep, fail"),
        (["orphans", "a", "s", "keep", "x"], "not expected: x"),
        (["version", "a"], "not expected: a"),
        (["status", "--frob", "a"], "--frob"),
        (["tail", "--from", "yesterday", "a"], '"yesterday" is neither'),
        (["tail", "--from", "-1", "a"], "--from"),
        (["tail", "--from", "99999999999999999999999", "a"], "--from"),
        (["tail", "--from", "3", "-n", "4", "a"], "excludes"),
        (["tail", "-n", "-3", "a"], '"-3" is no count'),
        (["tail", "-n", "many", "a"], '"many" is no count'),
        (["trials", "--json", "--csv", "a"], "excludes"),
        (["trials", "--limit", "-1", "a"], '"-1" is no count'),
        (["trials", "--limit", "1.5", "a"], '"1.5" is no count'),
        (["trials", "--state", "DONE", "a"], '"DONE" is no state'),
        (["trials", "--state", "", "a"], "--state"),
        (["stop", "--timeout", "soon", "a"], '"soon" is no number'),
        (["stop", "--timeout", "-1", "a"], '"-1" is no number'),
        (["stop", "--timeout", "nan", "a"], '"nan" is no number'),
        (["status", "--color", "sometimes", "a"], '"sometimes" is neither'),
        (["--color", "never"], "which verb"),
        (["status", ""], "location"),
        (["status", "optjournal://"], "name of a service"),
        (["status", "optjournal://../etc"], "name of a service"),
        (["tail", "redis://host"], "unknown scheme"),
    ],
)
def test_wrong_usage_is_code_2_and_names_what_is_wrong(words: list[str], said: str) -> None:
    answer = run(*words)
    assert answer.code == 2, answer
    assert answer.out == ""
    assert said in answer.err
    assert answer.err.startswith("optjournal: ")


@pytest.mark.parametrize("verb", LOOKING)
class TestBadPlaces:
    def check(self, verb: str, place: os.PathLike[str] | str, code: int, *said: str) -> None:
        answer = run(verb, place)
        assert answer.code == code, answer
        assert answer.out == ""
        assert str(place) in answer.err
        for words in said:
            assert words in answer.err

    def test_missing_folder(self, verb: str, tmp_path: Path) -> None:
        self.check(verb, tmp_path / "absent", 3)
        assert not (tmp_path / "absent").exists()

    def test_missing_parent(self, verb: str, tmp_path: Path) -> None:
        self.check(verb, tmp_path / "absent" / "runs", 3)
        assert list(tmp_path.iterdir()) == []

    def test_file(self, verb: str, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("text")
        self.check(verb, tmp_path / "file", 3)

    def test_empty_folder_stays_empty(self, verb: str, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        self.check(verb, tmp_path / "empty", 3)
        assert list((tmp_path / "empty").iterdir()) == []

    def test_folder_of_something_else_is_not_touched(self, verb: str, tmp_path: Path) -> None:
        (tmp_path / "photos").mkdir()
        (tmp_path / "photos" / "cat.jpg").write_bytes(b"\xff\xd8")
        self.check(verb, tmp_path / "photos", 3)
        assert [p.name for p in (tmp_path / "photos").iterdir()] == ["cat.jpg"]

    def test_newer_format(self, verb: str, tmp_path: Path) -> None:
        (tmp_path / "newer").mkdir()
        (tmp_path / "newer" / "FORMAT").write_text(
            "optjournal\nformat: 4711\njournal: 00000000-0000-0000-0000-000000000000\n"
        )
        self.check(verb, tmp_path / "newer", 6, "4711")

    def test_service_that_does_not_exist(self, verb: str, tmp_path: Path) -> None:
        roots = {
            "OPTJOURNAL_STATE_ROOT": str(tmp_path / "state"),
            "OPTJOURNAL_RUNTIME_ROOT": str(tmp_path / "run"),
        }
        answer = run(verb, "optjournal://nobody", **roots)
        assert answer.code == 3, answer
        assert "nobody" in answer.err
        assert list(tmp_path.iterdir()) == []

    def test_no_permission(self, verb: str, tmp_path: Path) -> None:
        locked = tmp_path / "locked"
        locked.mkdir()
        (locked / "FORMAT").write_text("optjournal\n")
        tmp_path.chmod(0o755)
        for parent in tmp_path.parents:
            if parent.owner() == "root" or parent == Path("/tmp"):
                break
        locked.chmod(0o000)
        command: list[str | os.PathLike[str]] = [PROGRAMS / "optjournal", verb, locked]
        if os.geteuid() == 0:  # root may everything: without its capabilities it is like anybody
            command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--", *command]
        try:
            answer = subprocess.run(
                command, capture_output=True, text=True, timeout=60, check=False
            )
        finally:
            locked.chmod(0o755)
        assert answer.returncode == 1, answer
        assert str(locked) in answer.stderr
        assert "ermission denied" in answer.stderr


def is_stopped(pid: int) -> bool:
    """All its threads: SIGSTOP takes effect a moment after kill() returned."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return all((task / "stat").read_text().rsplit(")", 1)[1].split()[0] == "T" for task in tasks)


LAYOUT_HASH_OFFSET = 16  # docs/region-format.md


def test_a_region_of_another_layout_is_said_and_the_disk_is_read(folder: Path) -> None:
    """As after an upgrade, with workers of the former version still there."""
    worker = open_storage(folder)
    study = worker.create_new_study([optuna.study.StudyDirection.MINIMIZE], "kept")
    said = dict(line.split(": ", 1) for line in (folder / "LOCK").read_text().splitlines())
    (region,) = Path(said["runtime"]).glob("region-*")
    daemon = int(said["pid"])
    os.kill(daemon, signal.SIGSTOP)
    wait_until(lambda: is_stopped(daemon), "the daemon has stopped")

    def exchange_layout() -> None:
        with open(region, "r+b") as file:
            file.seek(LAYOUT_HASH_OFFSET)
            former = file.read(8)
            file.seek(LAYOUT_HASH_OFFSET)
            file.write(bytes(byte ^ 0xFF for byte in former))

    exchange_layout()
    os.kill(daemon, signal.SIGKILL)
    for verb in ("status", "tail", "studies", "trials", "orphans", "top --once"):
        answer = run(*verb.split(), folder)
        assert answer.code == 0, (verb, answer)
        assert "kept" in answer.out or verb in ("status", "trials"), (verb, answer)
    assert "no daemon serves" in run("status", folder).out
    assert run("stop", folder).code == 3
    doctor = run("doctor", folder)
    assert doctor.code == 8
    assert re.search(r"warning +region .* has layout 0x[0-9a-f]+, expected 0x", doctor.out)
    exchange_layout()
    assert worker.create_new_trial(study) == 0
    worker.close()


def option_lines(text: str) -> list[tuple[str, str]]:
    """(option, what it does) of a help text."""
    block = text.split("Options:\n", 1)[1].split("\n\n", 1)[0]
    joined = re.sub(r"\n {10,}", "  ", block)
    lines = [line.strip() for line in joined.split("\n") if line.strip()]
    pairs = [re.split(r"\s{2,}", line, maxsplit=1) for line in lines]
    return [(names, what) for names, what in pairs]


def rendered_man_page() -> str:
    page = subprocess.run(
        ["man", "-l", ROOT / "docs/man/optjournal.1"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "MANWIDTH": "1000", "LC_ALL": "C.UTF-8", "MAN_KEEP_FORMATTING": ""},
    )
    return re.sub(r"\s+", " ", page.stdout)


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_man_page_and_completions_know_every_option(verb: str) -> None:
    lines = option_lines(run(*([verb] if verb else []), "--help").out)
    assert lines
    page = rendered_man_page()
    completions = {
        name: (ROOT / "cli/completion" / name).read_text()
        for name in ("optjournal.bash", "_optjournal", "optjournal.fish")
    }
    for names, what in lines:
        assert what in page, (names, what)
        long_name = re.findall(r"--([a-z]+)", names)[0]
        for name in re.findall(r"--?[a-z]+", names):
            assert name in page, name
        assert f"--{long_name}" in completions["optjournal.bash"]
        assert f"--{long_name}" in completions["_optjournal"]
        assert f"-l {long_name} " in completions["optjournal.fish"]
    for name, text in completions.items():
        for word in VERBS:
            assert word in text, (name, word)


def test_man_page_has_the_exit_codes_of_help() -> None:
    page = rendered_man_page().split("EXIT STATUS", 1)[1]
    codes = re.findall(r"(?:^|  )(\d)  (.+?)(?=  +\d  |$)", run("--help").out, re.MULTILINE)
    assert sorted(int(code) for code, _ in codes) == list(range(10))
    for code, what in codes:
        sentence = what.strip().split(" (")[0]
        assert f" {code} {sentence[0].upper()}{sentence[1:]}" in page, (code, sentence)
