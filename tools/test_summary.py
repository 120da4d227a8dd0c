"""Says what tests measured, how many passed and which failed: the last lines of `make test`.

A test reports a figure as a line `measured WHAT: FIGURES` of its stdout. Reads RESULTS/stages (one
line a stage: name, exit status, seconds) and RESULTS/*.xml. Exits with 1 if a test failed, a stage
ended with an error, or nothing was tested at all.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

MEASURED = re.compile(r"^measured (.*)$", re.MULTILINE)


def read_figures(file: Path) -> list[str]:
    """What the test cases in a JUnit file measured."""
    said = (output.text or "" for output in ET.parse(file).getroot().iter("system-out"))
    return [figures for text in said for figures in MEASURED.findall(text)]


def read_cases(file: Path) -> list[tuple[str, str, str]]:
    """(name, passed | failed | skipped, reason) of each test case in a JUnit file."""
    cases = []
    for case in ET.parse(file).getroot().iter("testcase"):
        name = ".".join(filter(None, (case.get("classname"), case.get("name"))))
        outcome, reason = "passed", ""
        for child in case:
            if child.tag in ("failure", "error"):
                outcome = "failed"
            elif child.tag == "skipped":
                outcome, reason = "skipped", child.get("message") or ""
        cases.append((name, outcome, reason))
    return cases


def main(results: Path) -> int:
    files = sorted(results.glob("*.xml"))
    for file in files:
        if figures := read_figures(file):
            print(f"{file.stem} measured")
            print("".join(f"  {line}\n" for line in figures))
    total: Counter[str] = Counter()
    for file in files:
        cases = read_cases(file)
        count = Counter(outcome for _, outcome, _ in cases)
        total += count
        print(
            f"{file.stem:<18} {count['passed']:>6} passed {count['failed']:>4} failed "
            f"{count['skipped']:>4} skipped"
        )
        for name, outcome, reason in cases:
            if outcome != "passed":
                print(f"  {outcome.upper()} {name}{': ' + reason if reason else ''}")

    broken = 0
    print("\nstage              seconds")
    for line in (results / "stages").read_text().splitlines():
        stage, status, seconds = line.split()
        print(f"{stage:<18} {seconds:>7}{'' if status == '0' else f'  exit status {status}'}")
        broken += status != "0"
    # A stage that broke without a failed test (it did not build, say) counts as one failure.
    failed = max(total["failed"], broken)
    skipped = f", {total['skipped']} skipped" if total["skipped"] else ""
    print(f"\n{total['passed']} passed, {failed} failed{skipped}")
    (results / "total").write_text(f"{total['passed']} {failed} {total['skipped']}\n")
    return 1 if failed or not total["passed"] else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python tools/test_summary.py RESULTS")
    sys.exit(main(Path(sys.argv[1])))
