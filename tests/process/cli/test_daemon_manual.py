"""docs/man/optjournald.1 says what the program says.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import re
import subprocess

from conftest import PROGRAMS, ROOT


def said(*words: str) -> str:
    done = subprocess.run(
        [PROGRAMS / "optjournald", *words], capture_output=True, text=True, check=True
    )
    return done.stdout


def manual() -> str:
    page = subprocess.run(
        ["man", "-l", ROOT / "docs/man/optjournald.1"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "MANWIDTH": "1000", "LC_ALL": "C.UTF-8", "MAN_KEEP_FORMATTING": ""},
    )
    return re.sub(r"\s+", " ", page.stdout)


def test_manual_has_every_option_of_help() -> None:
    page = manual()
    options = re.findall(r"^  (?:-h,)?(--[a-z-]+)", said("--help"), re.MULTILINE)
    assert "--pool" in options
    assert "--print-config" in options
    for option in options:
        assert option in page.split("CONFIGURATION A ", 1)[0], option


def test_manual_has_every_key_of_a_configuration_file() -> None:
    keys_paragraph = manual().split("Keys: ", 1)[1].split(". ", 1)[0]
    keys = re.findall(r"^#([a-z-]+) = ", said("--print-config"), re.MULTILINE)
    assert "pool" in keys
    for key in keys:
        assert key in re.findall(r"[a-z-]+", keys_paragraph), key
