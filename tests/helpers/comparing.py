"""`study compare` as a process, and the small trainer's command."""

import os
import subprocess
import sys
from pathlib import Path

from tests.helpers.paths import ROOT

TRAINER = f"{sys.executable} {ROOT / 'tests' / 'helpers' / 'small_trainer.py'} {{seed}}"


def compare(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `study compare` in a folder."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "study", "compare", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def arms(*differences: str) -> list[str]:
    """Return options for arms of the small trainer, the first of them unchanged."""
    return [
        "--arm",
        f"old={TRAINER}",
        *(part for name in differences for part in ("--arm", f"{name}={TRAINER} {name}")),
    ]
