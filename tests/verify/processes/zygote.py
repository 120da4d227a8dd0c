"""Python workers at the price of a fork: usage: zygote.py FOLDER; then `DIARY ID` lines on stdin.

Opens the journal once, with Optuna loaded, and forks a worker for each line. A forked worker is a
process like any other: it gets a session of its own at its first call. Answers each line with the
worker's pid. Ends, and nobody else with it, at the end of stdin.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import NoReturn

import optuna
from trials import STUDY, Diary, Told, work

import optjournal

told = Told()  # a worker's; it may be told between its fork and its first line


def become_worker(
    storage: optjournal.JournalStorage, study: int, diary: str, worker: int
) -> NoReturn:
    die_with_parent()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    work(storage, study, Diary(diary), worker, told)
    storage.close()
    os._exit(0)


def answer(text: str) -> None:
    os.write(1, (text + "\n").encode())  # in one piece, however stdout is buffered


def die_with_parent() -> None:
    """An aborted run leaves nobody."""
    ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))  # PR_SET_PDEATHSIG


def main() -> None:
    die_with_parent()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    signal.signal(signal.SIGTERM, lambda *_: setattr(told, "to_end", True))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody here asks how they ended
    storage = optjournal.JournalStorage(sys.argv[1], name="zygote")
    study = optuna.create_study(storage=storage, study_name=STUDY, load_if_exists=True)._study_id
    answer("ready")
    for line in sys.stdin:
        diary, worker = line.split()
        storage.get_n_trials(study)  # what it has replayed, its children need not
        pid = os.fork()
        if pid == 0:
            become_worker(storage, study, diary, int(worker))
        answer(str(pid))
    storage.close()


if __name__ == "__main__":
    main()
