"""Draws docs/top.png: `optjournal top` on a terminal, while workers tune a model.

Runs only with $OPTJOURNAL_SCREENSHOT set, which says where to; needs Debian's chromium.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import html
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from test_top import Screen, top

from conftest import PROGRAMS, open_storage, run, wait_until

WORKER = """
import sys, optuna, optjournal
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

images, digits = load_digits(return_X_y=True)
parts = train_test_split(images / 16, digits, random_state=0)

def objective(trial):
    model = MLPClassifier(
        trial.suggest_int("hidden", 8, 256, log=True),
        learning_rate_init=trial.suggest_float("learning rate", 1e-4, 1e-1, log=True),
        alpha=trial.suggest_float("alpha", 1e-7, 1e-1, log=True),
    )
    for epoch in range(30):
        model.partial_fit(parts[0], parts[2], classes=list(range(10)))
        score = model.score(parts[1], parts[3])
        trial.report(score, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    return score

optuna.logging.set_verbosity(optuna.logging.ERROR)
storage = optjournal.JournalStorage(sys.argv[1])
optuna.load_study(study_name=sys.argv[2], storage=storage).optimize(objective)
"""
STUDIES = {"digits": 3, "digits, wider net": 1, "digits, second seed": 2}
COLUMNS, ROWS = 100, 24


def page_of(screen: Screen) -> str:
    """What the terminal shows, with its attributes."""
    screen.read()
    lines = []
    for row in range(ROWS):
        line = ""
        for column in range(COLUMNS):
            char = screen.screen.buffer[row][column]
            text = html.escape(char.data)
            if char.bold:
                text = f"<b>{text}</b>"
            line += f"<i>{text}</i>" if char.reverse else text
        lines.append(line)
    style = (
        "body{margin:0;background:#1d1f21}pre{margin:0;padding:14px;display:inline-block;"
        "font:15px/1.25 'DejaVu Sans Mono','Liberation Mono',monospace;color:#c5c8c6}"
        "b{color:#fff}i{font-style:normal;background:#c5c8c6;color:#1d1f21}"
    )
    text = "\n".join(lines)
    return f"<meta charset=utf-8><style>{style}</style><body><pre>{text}</pre>"


def draw(page: str, picture: Path, scratch: Path) -> None:
    chromium = shutil.which("chromium")
    assert chromium, "apt-get install chromium"
    source = scratch / "top.html"
    source.write_text(page)
    subprocess.run(
        [
            chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--disable-dev-shm-usage", f"--user-data-dir={scratch / 'browser'}",
            "--force-device-scale-factor=1", "--window-size=932,480",
            f"--screenshot={picture}", source.as_uri(),
        ],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip


@pytest.mark.skipif(
    "OPTJOURNAL_SCREENSHOT" not in os.environ, reason="OPTJOURNAL_SCREENSHOT does not say where to"
)
def test_draws_the_picture_in_the_documentation(folder: Path, tmp_path: Path) -> None:
    workers = []
    with open_storage(folder) as storage:
        for name in STUDIES:
            optuna.create_study(storage=storage, study_name=name, direction="maximize")
    try:
        for name, count in STUDIES.items():
            words = [sys.executable, "-c", WORKER, folder, name]
            environment = {**os.environ, "OMP_NUM_THREADS": "1",
                           "OPTJOURNALD": str(PROGRAMS / "optjournald")}  # fmt: skip
            workers += [subprocess.Popen(words, env=environment) for _ in range(count)]
        with top(folder, COLUMNS, ROWS) as screen:
            finished = "top", "--once", "--json", "--interval", "1", folder

            def far_enough() -> bool:
                studies = json.loads(run(*finished).out)["studies"]
                counts = [study["states"] for study in studies]
                return (
                    all(states["COMPLETE"] >= 8 for states in counts)
                    and any(states["PRUNED"] for states in counts)
                    and screen.read().count("#") >= len(workers)
                )

            wait_until(far_enough, "every worker has a trial, every study has got somewhere")
            draw(page_of(screen), Path(os.environ["OPTJOURNAL_SCREENSHOT"]).resolve(), tmp_path)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
