"""Judges what the Python workers of a run did: usage: judge_trials.py FOLDER DIARY=ID[:killed] ...

Reads the journal from disk alone.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import sys
from pathlib import Path

from trials import STUDY, judge

import optjournal


def main() -> int:
    storage = optjournal.JournalStorage(sys.argv[1], mode="offline")
    diaries, killed = {}, set()
    for word in sys.argv[2:]:
        path, _, name = word.rpartition("=")
        worker = int(name.split(":")[0])
        diaries[worker] = Path(path)
        if name.endswith(":killed"):
            killed.add(worker)
    verdict = judge(storage, storage.get_study_id_from_name(STUDY), diaries, killed)
    figures = (
        f"{verdict.operations} operations returned to {len(diaries)} Python workers, "
        f"{len(killed)} of them killed; {verdict.trials} trials, {verdict.finished} finished, "
        f"{verdict.unanswered} creations unanswered"
    )
    if verdict.broken or verdict.operations == 0:
        print(f"FAILED trials: {verdict.text()}; {figures}")
        return 1
    print(f"ok trials: {figures}; found {verdict.text()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
