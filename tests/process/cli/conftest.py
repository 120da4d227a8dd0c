"""The real programs, and journals made by real workers.

The programs are those of the build: $OPTJOURNAL_PROGRAMS, else build/release/bin.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import optuna
import pytest

import optjournal

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = Path(os.environ.get("OPTJOURNAL_PROGRAMS", ROOT / "build" / "release" / "bin"))
WATCHDOG_S = 120.0

# A shell ignores it for what it runs in the background, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass
class Answer:
    code: int
    out: str
    err: str


def run(*words: str | os.PathLike[str], **environment: str) -> Answer:
    """Runs `optjournal` in a pipe, as a script would."""
    clean = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "TERM")}
    done = subprocess.run(
        [PROGRAMS / "optjournal", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=WATCHDOG_S,
        env={**clean, **environment},
        check=False,
    )
    return Answer(done.returncode, done.stdout.decode(), done.stderr.decode())


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Looks again and again; a watchdog ends it."""
    end = time.monotonic() + WATCHDOG_S
    while not condition():
        assert time.monotonic() < end, f"not within {WATCHDOG_S:.0f} s: {what}"
        time.sleep(0.01)


def open_storage(folder: Path, **options: object) -> optjournal.JournalStorage:
    options.setdefault("daemon_path", PROGRAMS / "optjournald")
    return optjournal.JournalStorage(folder, **options)  # type: ignore[arg-type]


def end_daemon(folder: Path) -> None:
    """So that a test leaves nothing behind; by itself the daemon would end a little later."""
    run("stop", folder)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "runs"
    yield path
    if path.is_dir():
        end_daemon(path)


def fill(storage: optjournal.JournalStorage) -> None:
    """Study "digits": trials 0 COMPLETE, 1 PRUNED, 2 FAIL, 3 RUNNING, 4 WAITING, 5 COMPLETE.

    Study "two goals": minimise and maximise, one trial.
    """
    digits = optuna.create_study(storage=storage, study_name="digits", direction="maximize")
    for value in (0.5, None, None):
        trial = digits.ask()
        trial.suggest_float("learning rate", 1e-5, 1.0, log=True)
        trial.suggest_int("hidden", 8, 64)
        trial.suggest_categorical("activation", ["relu", "tanh", None, True, 2.5])
        trial.report(0.25, step=3)
        trial.set_user_attr("note", f'trial "{trial.number}", so\nit goes')
        if value is not None:
            digits.tell(trial, value)
        elif trial.number == 1:
            digits.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            digits.tell(trial, state=optuna.trial.TrialState.FAIL)
    digits.ask()
    digits.enqueue_trial({"hidden": 11})
    digits.add_trial(optuna.trial.create_trial(value=0.75, user_attrs={"π": float("nan")}))
    both = optuna.create_study(
        storage=storage, study_name="two goals", directions=["minimize", "maximize"]
    )
    both.tell(both.ask(), [1.0, float("inf")])


@pytest.fixture
def storage(folder: Path) -> Iterator[optjournal.JournalStorage]:
    """A filled journal with its daemon, and this process attached."""
    opened = open_storage(folder)
    fill(opened)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def offline_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same at rest: no daemon serves it."""
    path = tmp_path_factory.mktemp("offline") / "runs"
    opened = open_storage(path)
    fill(opened)
    opened.close()
    stopped = run("stop", path)
    assert stopped.code in (0, 3), stopped  # 3: it had already ended by itself
    return path
