"""An Optuna storage over a shared-memory journal: many worker processes on one box share one study.

>>> import optuna, optjournal
>>> storage = optjournal.JournalStorage("./runs")
>>> study = optuna.create_study(storage=storage, study_name="first", load_if_exists=True)

Any number of processes may do the same at once; there is nothing to start before, and nothing to
stop after.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from optjournal._errors import (
    BusyError,
    CorruptError,
    GoneError,
    IncompatibleError,
    InvalidError,
    IoError,
    JournalError,
    PublishedError,
    RefusedError,
)
from optjournal._native import __version__
from optjournal._storage import JournalStorage

__all__ = [
    "BusyError",
    "CorruptError",
    "GoneError",
    "IncompatibleError",
    "InvalidError",
    "IoError",
    "JournalError",
    "JournalStorage",
    "PublishedError",
    "RefusedError",
    "__version__",
]
