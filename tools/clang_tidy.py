"""Runs clang-tidy over all of our sources in a compilation database, two at a time by default.

A source that was clean is skipped until it, one of our headers, its command, .clang-tidy or
clang-tidy itself changes; the memory of that is BUILD/clang-tidy-clean.json. Exits with 1 if
anything was found.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def digest_of(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


GCC_ONLY = ("-mtls-dialect=gnu2", "-Wno-restrict")  # clang does not know these


def our_sources(build: Path, database: Path) -> dict[Path, str]:
    """Source -> its compile command, as clang may have it, without what is generated or not ours.

    The same goes to database/compile_commands.json.
    """
    entries = []
    for entry in json.loads((build / "compile_commands.json").read_text()):
        file = Path(entry["file"])
        if not file.is_relative_to(ROOT) or file.relative_to(ROOT).parts[0] in (".venv", "build"):
            continue
        for option in GCC_ONLY:
            entry["command"] = entry["command"].replace(f" {option}", "")
        entries.append(entry)
    database.mkdir(exist_ok=True)
    (database / "compile_commands.json").write_text(json.dumps(entries))
    return {Path(entry["file"]): entry["command"] for entry in entries}


def surroundings() -> str:
    """A digest of everything that the verdict on any source may depend on."""
    headers = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.h", "*.capnp"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    version = subprocess.run(["clang-tidy", "--version"], check=True, capture_output=True).stdout
    contents = [
        (ROOT / header).read_bytes() for header in sorted(headers) if (ROOT / header).exists()
    ]
    return digest_of(version, (ROOT / ".clang-tidy").read_bytes(), *contents)


def check(database: Path, source: Path) -> tuple[bool, str]:
    run = subprocess.run(
        [
            "clang-tidy",
            "-p",
            str(database),
            "--quiet",
            "--warnings-as-errors=*",
            "--extra-arg=-Wno-sign-conversion",  # as GCC, in which -Wconversion does not say it
            "--extra-arg=-Wno-dollar-in-identifier-extension",  # Relacy's macro
            str(source),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    # stderr is only "N warnings generated" unless something is badly wrong.
    return run.returncode == 0, run.stdout if run.returncode == 0 else run.stdout + run.stderr


def main(build: Path) -> int:
    database = build / "clang-tidy"
    sources = our_sources(build, database)
    around = surroundings()
    memory = build / "clang-tidy-clean.json"
    clean: dict[str, str] = json.loads(memory.read_text()) if memory.exists() else {}
    states = {
        file: digest_of(around.encode(), command.encode(), file.read_bytes())
        for file, command in sources.items()
    }
    todo = sorted(file for file, state in states.items() if clean.get(str(file)) != state)
    found = 0
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for file, (ok, text) in zip(todo, pool.map(lambda f: check(database, f), todo)):
            if ok:
                clean[str(file)] = states[file]
            else:
                found += 1
                print(text, end="", flush=True)
    memory.write_text(json.dumps({k: v for k, v in clean.items() if Path(k) in sources}))
    print(f"   clang-tidy: {len(sources)} sources, {len(todo)} looked at, {found} with findings")
    return 1 if found or not sources else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python tools/clang_tidy.py BUILD")
    sys.exit(main(Path(sys.argv[1]).resolve()))
