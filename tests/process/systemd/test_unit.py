"""The unit file: what systemd itself says of it, and that each relaxation has its reason.

That it works is tried by a real boot: tests/verify/boot.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = Path(os.environ.get("OPTJOURNAL_PROGRAMS", ROOT / "build" / "release" / "bin"))
UNIT = ROOT / "systemd" / "optjournald@.service"
EXPOSURE_MAX = 1.0

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="no systemd-analyze on this machine"
)


def analyze(*words: str | Path) -> str:
    done = subprocess.run(
        ["systemd-analyze", "--no-pager", *words], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def exposure(folder: Path, text: str) -> float:
    unit = folder / UNIT.name
    unit.write_text(text)
    said = analyze("security", "--offline=yes", unit)
    figure = re.search(r"Overall exposure level for .*: ([0-9.]+)", said)
    assert figure, said
    return float(figure.group(1))


def test_exposure_is_low(tmp_path: Path) -> None:
    figure = exposure(tmp_path, UNIT.read_text())
    print(f"measured exposure of the systemd unit: {figure}")
    assert figure <= EXPOSURE_MAX


def test_exposure_without_a_setting_is_found_to_be_higher(tmp_path: Path) -> None:
    text = UNIT.read_text()
    weaker = re.sub(r"^(PrivateNetwork|CapabilityBoundingSet)=.*\n", "", text, flags=re.MULTILINE)
    assert exposure(tmp_path, weaker) > EXPOSURE_MAX


def complaints(folder: Path, text: str) -> str:
    """What `systemd-analyze verify` says, with the program of the build."""
    unit = folder / UNIT.name
    unit.write_text(text.replace("/usr/bin/optjournald", str(PROGRAMS / "optjournald")))
    return analyze("verify", "--man=no", unit)


def test_systemd_understands_every_line(tmp_path: Path) -> None:
    assert complaints(tmp_path, UNIT.read_text()) == ""


def test_a_misspelt_line_is_found(tmp_path: Path) -> None:
    text = UNIT.read_text().replace("WatchdogSec=", "WatchdogSeconds=")
    assert "WatchdogSeconds" in complaints(tmp_path, text)


def test_each_relaxation_has_a_reason() -> None:
    relaxed = UNIT.read_text().split("# Relaxations", 1)[1].split("[Install]", 1)[0]
    lines = relaxed.split("\n")
    settings = [i for i, line in enumerate(lines) if re.match(r"[A-Z]\w+=", line)]
    assert settings
    for i in settings:
        assert lines[i - 1].startswith("# "), lines[i]
