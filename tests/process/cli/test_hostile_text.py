"""What others wrote, in every place that is shown, does nothing to a terminal.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import optuna
import pyte
import pytest
from test_tables import on_a_terminal

from conftest import open_storage, run

HOSTILE = "\x1b[2J\x1b]0;title\x07\x9b31m\x85\r\n\b\x7f\u202e\u2066\u200f\ufeff\ud800end"
WIDE = "日本語の研究"
SHOWING = {
    "tail": ("tail", "--from", "start"),
    "status": ("status",),
    "studies": ("studies",),
    "trials": ("trials", "--attrs"),
    "orphans": ("orphans",),
    "top": ("top", "--once", "--interval", "0.1"),
}


@pytest.fixture(scope="module")
def hostile_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Served, with a worker of such a name attached."""
    folder = tmp_path_factory.mktemp("hostile") / "runs"
    with open_storage(folder, name="\x1b[31mworker\n\x9b") as storage:
        study = optuna.create_study(storage=storage, study_name=HOSTILE)
        study.set_user_attr(HOSTILE, {HOSTILE: [HOSTILE]})
        storage.set_study_system_attr(study._study_id, HOSTILE, HOSTILE)
        choices = optuna.distributions.CategoricalDistribution([HOSTILE, "x" + HOSTILE])
        trial = study.ask({HOSTILE: choices})
        trial.set_user_attr(HOSTILE, HOSTILE)
        storage.set_trial_system_attr(trial._trial_id, HOSTILE, HOSTILE)
        yield folder
    run("stop", folder)


def disturbing(text: str) -> set[str]:
    marks = {*range(0x200E, 0x2010), *range(0x2028, 0x202F), *range(0x2066, 0x206A), 0xFEFF}
    return {
        c for c in text if ord(c) < 0x20 or 0x7F <= ord(c) <= 0x9F or ord(c) in marks
    } - {"\n"}  # fmt: skip


@pytest.mark.parametrize("verb", SHOWING)
def test_no_control_character_of_others_reaches_a_terminal(hostile_folder: Path, verb: str) -> None:
    words = (*SHOWING[verb], hostile_folder)
    study = (HOSTILE.encode("utf-8", "surrogatepass"),) if verb == "trials" else ()
    for seen in (
        on_a_terminal(*words, *study, NO_COLOR="1").replace("\r\n", "\n"),
        run(*words, *study).out,
    ):
        assert disturbing(seen) == set(), repr(seen)
        if verb != "status":
            assert r"\x1b[2J" in seen
        if verb in ("tail", "status", "top"):
            assert r"\x1b[31" in seen  # the worker's name


def test_nor_in_an_error(hostile_folder: Path) -> None:
    for words in (("trials", hostile_folder, "\x1b[2J\n\x9b"), ("\x1b[2J",), ("tail", "\x1b[2J")):
        answer = run(*words)
        assert answer.code != 0
        assert disturbing(answer.err) == set(), repr(answer.err)
        assert r"\x1b[2J" in answer.err


def test_columns_line_up_beside_wide_characters(folder: Path) -> None:
    with open_storage(folder) as storage:
        for name in (WIDE, "narrow", "e\u0301" * 6, "🙂🙂"):
            optuna.create_study(storage=storage, study_name=name)
        for words in (("studies", folder), ("top", "--once", "--interval", "0.1", folder)):
            screen = pyte.Screen(120, 30)
            pyte.Stream(screen).feed(on_a_terminal(*words, NO_COLOR="1"))
            rows = [line for line in screen.display if "minimize" in line or " 0.0" in line]
            column = "minimize" if words[0] == "studies" else "-    "
            cells = [
                min(i for i in range(120) if line_at(screen, y).startswith(column, i))
                for y, line in enumerate(screen.display)
                if line in rows and column in line and "python" not in line
            ]
            assert len(cells) == 4, screen.display
            assert len(set(cells)) == 1, screen.display


def line_at(screen: pyte.Screen, row: int) -> str:
    """One character a column: a wide one's second column is a space."""
    return "".join((screen.buffer[row][x].data or " ")[:1] for x in range(screen.columns))
