"""Counts the checks of `tools/verify.sh`, says which failed, and writes them as a JUnit file.

Reads RESULTS/parts (one line a part: name, exit status, seconds) and RESULTS/PART.txt, in which a
check is a line `ok NAME: figures`, `FAILED NAME: why` or `skipped NAME: reason`. Exits with 1 if a
check failed, or a part ended with an error or without a check.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import argparse
import re
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

CHECK = re.compile(r"(ok|FAILED|skipped) ([^:]+)(?:: (.*))?")


def checks_of(results: Path, part: str, status: str) -> list[tuple[str, str, str]]:
    """(ok | FAILED | skipped, name, text) of each check of a part."""
    lines = (results / f"{part}.txt").read_text(errors="replace").splitlines()
    checks = [(m[1], m[2], m[3] or "") for m in map(CHECK.fullmatch, lines) if m]
    failed = any(outcome == "FAILED" for outcome, _, _ in checks)
    if status != "0" and not failed:
        checks.append(("FAILED", part, f"run.sh ended with status {status}"))
    if not checks:
        checks.append(("FAILED", part, "run.sh checked nothing"))
    return checks


def main(results: Path, junit: Path | None) -> int:
    suite = ET.Element("testsuite", name="verify")
    failures = []
    print(f"\n{'part':<14} {'ok':>6} {'failed':>6} {'skipped':>7} {'seconds':>8}")
    for line in (results / "parts").read_text().splitlines():
        part, status, seconds = line.split()
        checks = checks_of(results, part, status)
        count = Counter(outcome for outcome, _, _ in checks)
        print(
            f"{part:<14} {count['ok']:>6} {count['FAILED']:>6} {count['skipped']:>7} {seconds:>8}"
        )
        for outcome, name, text in checks:
            case = ET.SubElement(suite, "testcase", classname=f"verify.{part}", name=name)
            if outcome == "FAILED":
                ET.SubElement(case, "failure", message=text)
                failures.append(f"FAILED {part} {name}: {text}")
            elif outcome == "skipped":
                ET.SubElement(case, "skipped", message=text)
    print("\n".join(failures))
    if junit:
        ET.ElementTree(suite).write(junit, encoding="utf-8", xml_declaration=True)
    return 1 if failures else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("results", type=Path)
    parser.add_argument("--junit", type=Path)
    arguments = parser.parse_args()
    raise SystemExit(main(arguments.results, arguments.junit))
