"""`study compare` with arms that fail, and with arms that give two optimizers what another gives one."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.test_compare import arms, compare

FAILS_AS_CONTROL = """
import os, sys
import torch
if '"jitter"' in os.environ["STUDY_WATCH"]:
    sys.exit("a weight isn't the one that was saved")
torch.manual_seed(int(sys.argv[1]))
weights = torch.nn.Parameter(torch.ones(3, 3))
optimizer = torch.optim.SGD([weights], lr=0.1)
for _ in range(5):
    loss = (weights ** 2).sum() * (2 if "twice" in sys.argv else 1)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


def read_look(folder: Path) -> dict[str, Any]:
    """Return the content of `look.json`."""
    found: dict[str, Any] = json.loads((folder / "comparison" / "look.json").read_text())
    return found


def run_arms(folder: Path, program: str, **arguments: str) -> subprocess.CompletedProcess[str]:
    """Compare a program with itself, by an arm for each name with arguments of its own."""
    (folder / "program.py").write_text(program)
    named = [
        part
        for name, own in arguments.items()
        for part in ("--arm", f"{name}={sys.executable} program.py {{seed}} {own}")
    ]
    return compare(folder, *named, "--steps", "12")


@pytest.mark.slow
def test_an_arm_that_fails_leaves_the_others_answers(tmp_path: Path) -> None:
    done = compare(tmp_path, *arms("twice", "fails", "renamed"), "--steps", "5")
    because = (
        "arm fails, seed 0 (plain): exit code 1: a checkpoint is missing; its output is in "
        "comparison/look/fails/s0-plain"
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"study: {because}")
    assert f"\nfails against old: failed: {because}\n" in done.stdout
    found = read_look(tmp_path)["arms"]
    assert {name: arm["reading"] for name, arm in found.items()} == {
        "twice": "real",
        "renamed": "identical",
        "fails": "failed",
    }
    assert (found["fails"]["exit_code"], found["fails"]["because"]) == (1, because)
    assert found["fails"].keys() - {"exit_code"} == found["twice"].keys()


@pytest.mark.slow
def test_a_failed_arm_is_exit_code_1_beside_an_identical_one(tmp_path: Path) -> None:
    done = compare(tmp_path, *arms("renamed", "fails"), "--steps", "5")
    assert (done.returncode, "renamed against old: identical" in done.stdout) == (1, True)


@pytest.mark.slow
def test_a_failed_first_arm_is_one_line_and_no_answer(tmp_path: Path) -> None:
    failing, old = arms("fails")[3], arms("fails")[1]
    done = compare(tmp_path, "--arm", failing, "--arm", old, "--steps", "5")
    assert (done.returncode, done.stdout) == (1, "")
    assert "study: arm fails, seed 0 (plain): exit code 1: a checkpoint is missing" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "comparison" / "look.json").exists()


@pytest.mark.slow
def test_a_failed_control_leaves_what_needs_none(tmp_path: Path) -> None:
    done = run_arms(tmp_path, FAILS_AS_CONTROL, old="", same="same", new="twice")
    found = read_look(tmp_path)["arms"]
    assert (done.returncode, found["same"]["reading"], found["new"]["reading"]) == (1, "identical", "failed")
    assert "arm old, seed 0 (jitter-1): exit code 1: a weight isn't the one that was saved" in found["new"]["because"]
