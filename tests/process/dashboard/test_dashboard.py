"""optuna-dashboard over a journal, in a real browser, while workers run.

The browser is Debian's chromium with chromium-driver; without them the test is skipped and says so.
With $OPTJOURNAL_SCREENSHOT set it leaves a picture there (docs/dashboard.png was made so).

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest

import optjournal

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = Path(os.environ.get("OPTJOURNAL_PROGRAMS", ROOT / "build" / "release" / "bin"))
WATCHDOG_S = 120.0
# A shell ignores it for what it runs in the background, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
NOTE = "seen by **every** worker"

WORKER = """
import sys, time, optuna, optjournal

def objective(trial):
    time.sleep(0.1)
    return (trial.suggest_float("x", -5, 5) - 1) ** 2

optuna.logging.set_verbosity(optuna.logging.ERROR)
storage = optjournal.JournalStorage(sys.argv[1])
optuna.load_study(study_name="browsed", storage=storage).optimize(objective)
"""


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    """What the condition gives, once it gives something; a watchdog ends it."""
    end = time.monotonic() + WATCHDOG_S
    while not (got := condition()):
        assert time.monotonic() < end, f"not within {WATCHDOG_S:.0f} s: {what}"
        time.sleep(0.1)
    return got


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "runs"
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optjournal.JournalStorage(path, daemon_path=PROGRAMS / "optjournald")
    study = optuna.create_study(storage=storage, study_name="browsed")
    for x in range(5):
        trial = study.ask({"x": optuna.distributions.FloatDistribution(-5, 5)})
        study.tell(trial, float(x))
    workers = [subprocess.Popen([sys.executable, "-c", WORKER, path]) for _ in range(2)]
    yield path
    for worker in workers:
        worker.kill()
        worker.wait()
    storage.close()
    subprocess.run([PROGRAMS / "optjournal", "stop", path], capture_output=True, check=False)


@pytest.fixture
def url(folder: Path) -> Iterator[str]:
    with serving(folder, Path.cwd()) as address:
        yield address


@contextmanager
def serving(folder: Path, current: Path) -> Iterator[str]:
    dashboard = subprocess.Popen(
        [PROGRAMS / "optjournal", "dashboard", "--port", "0", folder],
        stdout=subprocess.PIPE,
        text=True,
        cwd=current,
        env={**os.environ, "OPTJOURNAL_PYTHON": sys.executable},
    )
    assert dashboard.stdout is not None
    address = dashboard.stdout.readline().strip()
    try:
        assert address.startswith("http://127.0.0.1:"), address
        yield address
    finally:
        dashboard.send_signal(signal.SIGTERM)
        code = dashboard.wait(WATCHDOG_S)
    assert code == 0


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no chromium and chromedriver: apt-get install chromium chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (
        "headless",
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        "disable-dev-shm-usage",
        "window-size=1280,1000",
        f"user-data-dir={tmp_path / 'browser'}",
    ):
        options.add_argument(f"--{flag}")
    service = webdriver.ChromeService(executable_path=driver)
    with webdriver.Chrome(options=options, service=service) as started:
        yield started


def tail(folder: Path) -> str:
    words = ["tail", "--from", "start", "--json", folder]
    done = subprocess.run([PROGRAMS / "optjournal", *words], capture_output=True, check=True)
    return done.stdout.decode()


POINTS = """
const plots = [...document.querySelectorAll('.js-plotly-plot')].map(
    p => Math.max(0, ...p.data.map(d => (d.x || []).length)));
return Math.max(0, ...plots);
"""


def test_studies_history_and_a_note_in_a_browser(folder: Path, url: str, browser: Any) -> None:
    body = "return document.body.innerText"
    browser.get(url)
    wait_until(lambda: "browsed" in browser.execute_script(body), "the study is listed")
    browser.get(url + "studies/0")
    first = wait_until(lambda: browser.execute_script(POINTS), "the history plot has points")
    wait_until(lambda: browser.execute_script(POINTS) > first + 3, "the history plot moves")
    if picture := os.environ.get("OPTJOURNAL_SCREENSHOT"):
        browser.save_screenshot(picture)
    write_note(browser, url)
    written = wait_until(lambda: NOTE in tail(folder), "the note is in the journal")
    assert written
    # And every worker's storage has it.
    storage = optjournal.JournalStorage(folder, mode="monitor")
    attrs = storage.get_study_system_attrs(0)
    assert NOTE in json.dumps(attrs), attrs
    storage.close()


def write_note(browser: Any, url: str) -> None:
    """As people do: the trial's page, its editor, the button that saves."""
    from selenium.webdriver.common.by import By

    browser.get(url + "studies/0/trials?numbers=0")
    edit = wait_until(
        lambda: browser.find_elements(By.XPATH, "//button[.//*[@data-testid='EditIcon']]"),
        "the note can be edited",
    )
    browser.execute_script("arguments[0].click()", edit[0])
    area = wait_until(lambda: browser.find_elements(By.CSS_SELECTOR, "textarea"), "the editor")
    area[0].send_keys(NOTE)
    save = wait_until(
        lambda: [
            b
            for b in browser.find_elements(By.XPATH, "//button[normalize-space()='Save']")
            if b.is_enabled()
        ],
        "the note can be saved",
    )
    browser.execute_script("arguments[0].click()", save[0])


def test_without_a_journal_nothing_is_made(tmp_path: Path) -> None:
    words = [PROGRAMS / "optjournal", "dashboard", tmp_path / "none"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "none" in done.stderr
    assert not (tmp_path / "none").exists()


def test_nothing_is_imported_from_the_current_folder(folder: Path, tmp_path: Path) -> None:
    current = tmp_path / "current"
    current.mkdir()
    for name in ("optuna", "optuna_dashboard", "optjournal", "argparse", "signal"):
        (current / f"{name}.py").write_text(f"raise SystemExit('{name} of the current folder')\n")
    with serving(folder, current):
        pass


def test_a_python_without_the_package_is_told_what_to_type(folder: Path) -> None:
    done = subprocess.run(
        [PROGRAMS / "optjournal", "dashboard", folder],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "OPTJOURNAL_PYTHON": "/usr/bin/python3"},
    )
    assert done.returncode == 1
    assert "/usr/bin/python3 -m pip install 'optjournal[dashboard]'" in done.stderr
