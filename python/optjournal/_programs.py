"""The two programs that the package brings along, in ``optjournal/bin/``.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn


def program_path(name: str) -> Path:
    """Where the program is, or would be."""
    return Path(__file__).resolve().parent / "bin" / name


def _run(name: str) -> NoReturn:
    path = program_path(name)
    os.environ.setdefault("OPTJOURNAL_PYTHON", sys.executable)  # for its verb `dashboard`
    try:
        os.execv(path, [name, *sys.argv[1:]])
    except OSError as error:
        sys.exit(f"{name}: cannot run {path}: {error.strerror}")


def run_optjournal() -> NoReturn:
    """Becomes the command ``optjournal``."""
    _run("optjournal")


def run_optjournald() -> NoReturn:
    """Becomes the daemon ``optjournald``."""
    _run("optjournald")
