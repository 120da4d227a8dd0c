"""The storages that are compared, each under a name: how one is made, and what can be done to it.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

GRACE_SECONDS = 3  # the shortest that Optuna takes without a warning; its default is 30


class JournalFile:
    """Optuna's own journal: JSON lines in a file, a symbolic link as the lock."""

    name = "JournalFileBackend"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.txt"

    def lock(self) -> Any:
        try:
            return JournalFileSymlinkLock(str(self.path), grace_period=GRACE_SECONDS)
        except TypeError:  # before Optuna 4.2 it waits for ever
            return JournalFileSymlinkLock(str(self.path))

    def open(self) -> BaseStorage:
        return JournalStorage(JournalFileBackend(str(self.path), lock_obj=self.lock()))

    def hold(self) -> None:
        """Takes what others may have to wait for, as an operation does for a moment."""
        self.lock().acquire()

    def tear(self) -> bool:
        """Leaves what a writer leaves that was killed, or lost power, inside its write."""
        with self.path.open("ab") as file:
            file.write(b'{"op_code":5,"worker_id":"torn","study')
        return True


class Sqlite:
    name = "RDBStorage, SQLite"

    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite:///{folder}/study.db"

    def open(self) -> BaseStorage:
        return RDBStorage(self.url)

    def hold(self) -> None:
        import sqlite3

        self.held = sqlite3.connect(self.url.removeprefix("sqlite:///"))
        self.held.execute("BEGIN IMMEDIATE")

    def tear(self) -> bool:
        return False


class Optjournal:
    name = "optjournal"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal"

    def open(self) -> BaseStorage:
        import optjournal

        return optjournal.JournalStorage(self.path, idle_exit=0.5)

    def hold(self) -> None:
        """There is no lock. The nearest to one is the daemon: it dies with the holder."""
        pid = self.open().status()["daemon_pid"]  # type: ignore[attr-defined]
        os.kill(pid, signal.SIGKILL)

    def tear(self) -> bool:
        return False


STORAGES = {"file": JournalFile, "sqlite": Sqlite, "optjournal": Optjournal}
