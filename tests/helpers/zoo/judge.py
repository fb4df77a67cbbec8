"""All planted changes, as `study compare` reads them."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.helpers.paths import ROOT
from tests.helpers.zoo.changes import CHANGES
from tests.helpers.zoo.trainers import ENVIRONMENTS, SCRIPTS

COLUMNS = ("trainer", "environment", "change", "is_bug", "reading", "step", "over_control", "threshold", "what")
ALLOWED = {True: ("real", "late", "unpaired"), False: ("identical", "round-off")}
"""Readings that are right, by whether a change is a bug."""


def compare(
    trainer: str, env_id: str, changes: Sequence[str], folder: Path, seed: int = 0, steps: int = 120
) -> list[dict[str, object]]:
    """Return a row for each change, as `study compare` reads it."""
    arms = []
    for change in ("none", *changes):
        command = f"{sys.executable} -m tests.helpers.zoo train {trainer} {change} {{seed}} {env_id}"
        arms += ["--arm", f"{change}={command}"]
    subprocess.run(
        [
            sys.executable,
            "-m",
            "study",
            "compare",
            *arms,
            "--seeds",
            str(seed),
            "--steps",
            str(steps),
            "-o",
            str(folder),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        check=False,
    )
    found = json.loads((folder / "look.json").read_text())
    assert found["deterministic"], (trainer, env_id)
    return [
        {
            "trainer": trainer,
            "environment": env_id,
            "change": change,
            "is_bug": CHANGES[change].is_bug,
            "reading": arm["reading"],
            "step": (arm["beyond_round_off"] or {}).get("step"),
            "over_control": arm["over_control"],
            "threshold": arm["threshold"],
            "what": "; ".join(arm["what"]),
        }
        for change, arm in found["arms"].items()
    ]


def is_right(row: dict[str, object]) -> bool:
    """Whether a reading is of what was planted."""
    return row["reading"] in ALLOWED[bool(row["is_bug"])]


def judge(folder: Path) -> None:
    """Compare all changes on all trainers and environments, and write docs/compare/zoo.csv."""
    rows = []
    for trainer, environments in ENVIRONMENTS.items():
        changes = [name for name, change in CHANGES.items() if trainer in change.trainers]
        for env_id in environments:
            rows += compare(trainer, env_id, changes, folder / f"{trainer}-{env_id}")
            with (SCRIPTS / "zoo.csv").open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, COLUMNS)
                writer.writeheader()
                writer.writerows(rows)
    for row in rows:
        if not is_right(row):
            print("wrong:", row)
