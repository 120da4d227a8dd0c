"""Makes a table of the `row` lines on stdin, and says whether the harness found what is known.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import sys
from typing import Any

COLUMNS = ("storage", "kills", "trials/s", "found", "stuck", "longest wait", "fork after open")
COLUMNS += ("holder killed", "torn line")
KNOWN = ("fork after open", "holder killed", "torn line")  # of Optuna's own journal


def counts(found: dict[str, int]) -> str:
    return ", ".join(f"{rule} {times}" for rule, times in sorted(found.items())) or "nothing"


def cells(row: dict[str, Any]) -> list[str]:
    kills, forked = row["kills"], row["fork"]
    stuck = f", stuck {forked['stuck']}" if forked["stuck"] else ""
    return [
        f"{row['storage']} ({row['optuna']})",
        str(kills["kills"]),
        str(kills["finished_per_s"]),
        counts(kills["found"]),
        f"{kills['stuck']} of 4",
        f"{kills['wait_s_max']} s",
        counts(forked["found"]) + stuck,
        row["holder"],
        row["torn"],
    ]


def faults(row: dict[str, Any]) -> dict[str, str]:
    """What this row shows, by kind of fault."""
    kinds = {}
    if row["kills"]["found"]:
        kinds["kills"] = counts(row["kills"]["found"])
    if row["kills"]["stuck"]:
        kinds["stuck after a kill"] = f"{row['kills']['stuck']} processes"
    if row["fork"]["found"]:
        kinds["fork after open"] = counts(row["fork"]["found"])
    if row["fork"]["stuck"]:
        kinds["stuck after a fork"] = f"{row['fork']['stuck']} processes"
    if "waiting" in row["holder"] or "Error" in row["holder"]:
        kinds["holder killed"] = row["holder"]
    elif float(row["holder"].split()[0]) > 2:
        kinds["holder killed"] = f"others wait {row['holder']}"
    if "Error" in row["torn"]:
        kinds["torn line"] = row["torn"]
    return kinds


def main() -> int:
    rows = [json.loads(line[4:]) for line in sys.stdin if line.startswith("row ")]
    table = [list(COLUMNS), *(cells(row) for row in rows)]
    widths = [max(len(line[i]) for line in table) for i in range(len(COLUMNS))]
    for line in table:
        print("  " + "  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip())
    status = 0
    known = [row for row in rows if row["storage"].startswith("JournalFile")]
    for kind in KNOWN:
        found = [f"{row['optuna']}: {faults(row)[kind]}" for row in known if kind in faults(row)]
        if found:
            print(f"ok control {kind}: found in JournalFileBackend of Optuna {'; '.join(found)}")
        else:
            print(f"FAILED control {kind}: not found in {len(known)} of Optuna's journals")
            status = 1
    ours = [row for row in rows if row["storage"] == "optjournal"]
    for row in ours:
        kinds = faults(row)
        figures = (
            f"{row['kills']['kills']} kills, {row['fork']['trials']} trials by forked children"
        )
        print(f"{'FAILED' if kinds else 'ok'} optjournal: {figures}: {kinds or 'found nothing'}")
        status = status or int(bool(kinds))
    return status if ours else 1


if __name__ == "__main__":
    sys.exit(main())
