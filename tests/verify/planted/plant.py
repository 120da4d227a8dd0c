"""Plants each fault of faults.py in a copy of its source, and wants its test to fail.

Only what the fault changes is compiled anew, without optimisation, with the commands that the
release build has for it, and put before the libraries when its program is linked again: what the
copy defines, the linker does not look for in the library. A header is found in the copy's folder
first, and the sources named with the fault are compiled with it.

A fault is found if the test that is named fails, or ends its program. So that a way of building
that breaks everything is not taken for that, every program is built once more with a source that
nothing was changed in, and then all tests named must pass.

usage: plant.py [--fast] [--targets] [NAME ...]

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from faults import FAULTS, Fault

ROOT = Path(__file__).resolve().parents[3]
BUILD = ROOT / "build/release"
JOBS = 2
WATCHDOG_SECONDS = 120
SCHEDULES = 50000  # at most; each fault is found after a few hundred, or a few thousand
SCHEDULES_RIGHT = 300
STARTS_DAEMON = "tests/process/daemon/daemon_under_test.cc"


class CannotPlantError(Exception):
    """The fault does not fit the source, or what came of it does not build."""


class SkippedError(Exception):
    """The test does not run here: those that do not say that they need root."""


@dataclass(frozen=True)
class Seen:
    failed: bool
    text: str


@cache
def compile_commands() -> tuple[tuple[str, str], ...]:
    entries = json.loads((BUILD / "compile_commands.json").read_text())
    return tuple((entry["file"], entry["command"]) for entry in entries)


@cache
def link_command(target: str) -> list[str]:
    """The words of the link, from the build folder."""
    asked = ["ninja", "-C", str(BUILD), "-t", "commands", target]
    lines = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()
    link = next(line for line in reversed(lines) if f" -o bin/{target} " in line)
    return shlex.split(link.split("&&")[1])


def run(words: list[str], what: str) -> None:
    done = subprocess.run(words, cwd=BUILD, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if "error" in line]
        raise CannotPlantError(f"{what} does not build: {(errors or [done.stderr[-200:]])[0]}")


def compile_source(source: str, target: str, copy: Path, *more: str) -> tuple[str, Path]:
    """The object of the release build for `target`, and the one made of the copy."""
    scheduled = target == "schedules"
    command = next(
        command
        for file, command in compile_commands()
        if file == str(ROOT / source)
        and ("oj_shm_scheduled" in command or "schedules.dir" in command) == scheduled
    )
    words = shlex.split(command)
    original = words[words.index("-o") + 1]
    made = copy / (source.replace("/", "-") + ".o")
    changed = copy / source
    words[words.index("-o") + 1] = str(made)
    words[-1] = str(changed if changed.exists() else ROOT / source)
    words.insert(1, f"-I{copy}")
    words += ["-O0", "-w", *more]
    if ccache := shutil.which("ccache"):
        words.insert(0, ccache)
    run(words, source)
    return original, made


def link(target: str, objects: list[tuple[str, Path]], copy: Path) -> Path:
    words = list(link_command(target))
    program = copy / target
    at = words.index("-o")
    words[at + 1] = str(program)
    for original, made in objects:
        if original in words:
            words[words.index(original)] = str(made)
        else:
            words.insert(at, str(made))
    run(words, target)
    return program


def plant(fault: Fault, copy: Path) -> None:
    source = ROOT / fault.file
    text = source.read_text()
    if text.count(fault.was) != 1:
        raise CannotPlantError(f"{fault.file} has {text.count(fault.was)} times: {fault.was}")
    changed = copy / fault.file
    changed.parent.mkdir(parents=True)
    changed.write_text(text.replace(fault.was, fault.now))


def build(fault: Fault, copy: Path) -> Path:
    plant(fault, copy)
    if fault.program != "daemon_test":
        objects = [compile_source(source, fault.program, copy) for source in fault.sources]
        return link(fault.program, objects, copy)
    # The fault is in the daemon that the test starts.
    objects = [compile_source(source, "optjournald", copy) for source in fault.sources]
    daemon = link("optjournald", objects, copy)
    header = copy / "daemon.h"
    header.write_text(f'#undef OJ_DAEMON\n#define OJ_DAEMON "{daemon}"\n')
    started = compile_source(STARTS_DAEMON, "daemon_test", copy, "-include", str(header))
    return link("daemon_test", [started], copy)


def run_schedules(program: Path, count: int) -> Seen:
    words = [str(program), "--count", str(count)]
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=WATCHDOG_SECONDS, check=False
    )
    said = (done.stdout.strip().splitlines() or [""])[-1]
    if done.returncode < 0:
        said = f"ended by signal {-done.returncode}"
    return Seen(done.returncode not in (0, 2), said[:150])


def run_gtest(program: Path, tests: str) -> Seen:
    words = [str(program), f"--gtest_filter={tests}"]
    done = subprocess.run(
        words,
        cwd=BUILD / "tests",
        capture_output=True,
        text=True,
        errors="replace",
        timeout=WATCHDOG_SECONDS,
        check=False,
        env={**os.environ, "OJ_KILLS": "20"},
    )
    ran = re.findall(r"^\[ RUN +\] (\S+)", done.stdout, re.MULTILINE)
    failed = re.findall(r"^\[  FAILED  \] (\S+?),? \(", done.stdout, re.MULTILINE)
    if not ran:
        raise CannotPlantError(f"no test {tests} in {program.name}")
    if "[  SKIPPED ]" in done.stdout:
        raise SkippedError
    if failed:
        return Seen(True, f"{failed[0]} fails")
    if done.returncode < 0:
        return Seen(True, f"{ran[-1]} ends by signal {-done.returncode}")
    return Seen(False, f"{len(ran)} passed")


def run_tests(fault: Fault, program: Path, right: bool) -> Seen:
    if fault.program == "schedules":
        return run_schedules(program, SCHEDULES_RIGHT if right else SCHEDULES)
    return run_gtest(program, fault.test)


def try_fault(fault: Fault) -> bool:
    """One line; false if it is a failure."""
    right = fault.was == fault.now
    name = fault.name if right else f"mutant {fault.name}"
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="oj-planted-") as folder:
        try:
            seen = run_tests(fault, build(fault, Path(folder)), right)
        except subprocess.TimeoutExpired:
            seen = Seen(False, f"not at its end after {WATCHDOG_SECONDS} s")
            right = False
        except SkippedError:
            print(f"skipped {name}: needs root: its test is skipped", flush=True)
            return True
        except (CannotPlantError, StopIteration) as error:
            print(f"FAILED {name}: {error}", flush=True)
            return False
    took = f"{time.monotonic() - begin:.1f} s"
    if right:
        good = not seen.failed
        figures = seen.text
    else:
        good = seen.failed and re.search(fault.says, seen.text) is not None
        where = f"{', '.join(fault.breaks)} in {fault.file}"
        figures = f"{where}: {'found' if good else 'not found as expected'}: {seen.text}"
    print(f"{'ok' if good else 'FAILED'} {name}: {figures}; {took}", flush=True)
    return good


def nothing_planted(faults: list[Fault]) -> list[Fault]:
    """For each program a fault that is none, with all the tests of its faults."""
    first: dict[str, Fault] = {}
    for fault in faults:
        tests = [other.test for other in faults if other.program == fault.program]
        first.setdefault(
            fault.program,
            replace(
                fault,
                name=f"nothing planted, {fault.program}",
                now=fault.was,
                test=":".join(dict.fromkeys(tests)),
            ),
        )
    return list(first.values())


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--targets", action="store_true")
    parser.add_argument("names", nargs="*")
    given = parser.parse_args()
    faults = [fault for fault in FAULTS if fault.fast or not given.fast]
    if given.names:
        faults = [fault for fault in FAULTS if fault.name in given.names]
    if given.targets:
        programs = {fault.program for fault in faults}
        print(*sorted(programs | ({"optjournald"} if "daemon_test" in programs else set())))
        return 0
    with ThreadPoolExecutor(JOBS) as pool:
        good = list(pool.map(try_fault, [*nothing_planted(faults), *faults]))
    return 0 if good and all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
