"""Counts the checks of `tools/verify.sh`, says which failed, and writes them as a JUnit file.

Reads RESULTS/parts (one line a part: name, exit status, seconds) and RESULTS/PART.txt, in which a
check is a line `ok NAME: figures`, `FAILED NAME: why` or `skipped NAME: reason`. Exits with 1 if a
check failed, or was skipped without need, or a part ended with an error or without a check.

A reason for skipping is one of

    needs X, Y: text   X is root, x86_64, optjournal (in .venv), libFuzzer, a header or a program;
                       if all of them are here, the check could have run, and has failed
    tried: text        this machine refused; the text has its own words
    --fast: text       only with --fast

and any other has failed.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

CHECK = re.compile(r"(ok|FAILED|skipped) ([^:]+)(?:: (.*))?")
REASON = re.compile(r"(?:needs (?P<needs>[^:]+)|(?P<tried>tried)|(?P<fast>--fast)): .+")
FUZZER = "lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a"


def is_here(need: str) -> bool:
    if need == "root":
        return os.geteuid() == 0
    if need == "x86_64":
        return platform.machine() == need
    if need == "optjournal":
        python = Path(".venv/bin/python")
        asked = [python, "-c", "import optjournal, optuna"]
        return python.exists() and subprocess.run(asked, capture_output=True).returncode == 0
    if need == "libFuzzer":
        return any(Path("/usr").glob(FUZZER))
    if "/" in need:
        return (Path("/usr/include") / need).exists()
    return shutil.which(need) is not None


def needless(reason: str, fast: bool) -> str:
    """Why a check should not have been skipped for this reason; empty: it is a good one."""
    match = REASON.fullmatch(reason)
    if not match:
        return "no reason that can be judged"
    if match["fast"] and not fast:
        return "this is not --fast"
    if match["needs"] and all(map(is_here, match["needs"].split(", "))):
        return f"{match['needs']}: it is here"
    return ""


def checks_of(results: Path, part: str, status: str, fast: bool) -> list[tuple[str, str, str]]:
    """(ok | FAILED | skipped, name, text) of each check of a part."""
    lines = (results / f"{part}.txt").read_text(errors="replace").splitlines()
    checks = [(m[1], m[2], m[3] or "") for m in map(CHECK.fullmatch, lines) if m]
    for i, (outcome, name, text) in enumerate(checks):
        if outcome == "skipped" and (why := needless(text, fast)):
            checks[i] = ("FAILED", name, f"skipped without need ({why}): {text}")
    failed = any(outcome == "FAILED" for outcome, _, _ in checks)
    if status != "0" and not failed:
        checks.append(("FAILED", part, f"run.sh ended with status {status}"))
    if not checks:
        checks.append(("FAILED", part, "run.sh checked nothing"))
    return checks


def main(results: Path, junit: Path | None, fast: bool) -> int:
    suite = ET.Element("testsuite", name="verify")
    failures: list[str] = []
    skips: list[str] = []
    print(f"\n{'part':<14} {'ok':>6} {'failed':>6} {'skipped':>7} {'seconds':>8}")
    for line in (results / "parts").read_text().splitlines():
        part, status, seconds = line.split()
        checks = checks_of(results, part, status, fast)
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
                skips.append(f"skipped {part} {name}: {text}")
    print("\n".join(skips + failures))
    if junit:
        ET.ElementTree(suite).write(junit, encoding="utf-8", xml_declaration=True)
    return 1 if failures else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("results", type=Path)
    parser.add_argument("--junit", type=Path)
    parser.add_argument("--fast", action="store_true")
    arguments = parser.parse_args()
    raise SystemExit(main(arguments.results, arguments.junit, arguments.fast))
