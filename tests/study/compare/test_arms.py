"""`study compare` with arms that fail, and with arms that give two optimizers what another gives one."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from study.compare.arms import Arm, require_arms
from study.compare.gaps import measure_gaps
from study.compare.parts import align
from study.compare.recordings import Recording
from study.errors import ConfigError
from tests.helpers.comparing import arms, compare

FAILS_AS_CONTROL = """
import os, sys
if '"jitter"' in os.environ["STUDY_WATCH"]:
    sys.exit("a weight isn't the one that was saved")
import tests.helpers.uncompiled
import torch
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


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in a folder with a script, beside one with a program, where PATH has Python and env."""
    here, other, programs = tmp_path / "here", tmp_path / "other", tmp_path / "programs"
    files = here / "ppo_refactored.py", other / "train", other / "old" / "ppo.py"
    for path in (*files, *(programs / name for name in ("python", "python3.11", "env"))):
        path.parent.mkdir(exist_ok=True, parents=True)
        path.touch(mode=0o755)
    monkeypatch.chdir(here)
    monkeypatch.setenv("PATH", str(programs))
    return here


def begun(command: str, cwd: Path | None = None, shell: bool = False, **env: str) -> None:
    """Check an arm as `study compare` does before anything is run."""
    old = Arm(name="old", command="python ppo_refactored.py {seed}")
    require_arms([old, Arm(name="new", command=command, cwd=cwd, shell=shell, env=env)])


@pytest.mark.parametrize(
    ("command", "cwd", "words"),
    [
        ("python ppo_refactord.py {seed}", None, "no ppo_refactord.py in HERE. Did you mean 'ppo_refactored.py'?"),
        ("python3.11 -uB -W ignore -Xdev ppo.py {seed}", None, "no ppo.py in HERE"),
        ("python old/pp.py {seed}", "../other", "no old/pp.py in OTHER. Did you mean 'ppo.py'?"),
        ("python ppo_refactored.py {seed}", "../other", "no ppo_refactored.py in OTHER"),
        ("python /no/such.py {seed}", None, "no /no/such.py"),
        ("./train {seed}", None, "no ./train in HERE"),
        ("trainer {seed}", "../other", "program 'trainer' isn't on its PATH. Did you mean 'train'?"),
    ],
)
def test_an_arm_whose_file_does_not_exist_is_refused(folder: Path, command: str, cwd: str | None, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        begun(command, None if cwd is None else (folder / cwd).resolve())
    words = words.replace("HERE", str(folder)).replace("OTHER", str(folder.parent / "other"))
    assert str(error.value) == f"arm new: {'' if words.startswith('program') else 'there is '}{words}"


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("python -m package.train {seed}", {}),
        ("python -um package.train {seed}", {}),
        ("python -c 'print({seed})'", {}),
        ("python - {seed}", {}),
        ("python ppo_{seed}.py", {}),
        ("env python nowhere.py {seed}", {}),
        ("nowhere {seed} | tee log", {"shell": True}),
        ("ppo_refactored.py {seed}", {}),
        ("./train {seed}", {"cwd": "other"}),
        ("train {seed}", {"PATH": "../other"}),
        ("train {seed}", {"PATH": ".", "cwd": "other"}),
    ],
)
def test_an_arm_that_may_begin_is_not_refused(folder: Path, command: str, options: dict[str, Any]) -> None:
    folders = {"cwd": folder.parent / options["cwd"]} if "cwd" in options else {}
    env = {"PATH": options["PATH"]} if "PATH" in options else {}
    begun(command, shell=options.get("shell", False), **folders, **env)


@pytest.mark.slow
def test_an_arm_that_fails_is_named_leaves_the_others_answers_and_is_run_again(tmp_path: Path) -> None:
    because = (
        "arm fails, seed 0 (plain): exit code 1: a checkpoint is missing; its output is in "
        "comparison/look/fails/s0-plain"
    )
    failed = compare(tmp_path, *arms("fails"), "--steps", "5")
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1].startswith(f"study: {because}")
    done = compare(tmp_path, *arms("twice", "fails", "renamed"), "--steps", "5")
    assert done.returncode == 1
    assert ("old s0-plain" in done.stderr, "fails s0-plain" in done.stderr) == (False, True)
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


PARTED = """
import sys
import tests.helpers.uncompiled
import torch
seed, parts, *options = sys.argv[1:]
torch.manual_seed(int(seed))
net = torch.nn.ModuleDict({name: torch.nn.Linear(3, 4) for name in "abc"})
optimizers = [
    torch.optim.Adam(
        [tensor for name in part for tensor in net[name].parameters()],
        lr=1e-2 if "fast" in options and "b" in part else 1e-3,
    )
    for part in parts.split(",")
]
if "groups" in options:
    optimizers = [torch.optim.Adam([{"params": list(net[name].parameters())} for name in "abc"], lr=1e-3)]
    optimizers[0].param_groups[1]["lr"] = 1e-2
for turn in range(40):
    inputs = torch.randn(8, 3)
    net.zero_grad()
    loss = sum((net[name](inputs) ** 2).mean() for name in "abc")
    if "penalty" in options and turn >= 3:
        loss = loss + 0.1 * (net["b"].weight ** 2).sum()
    loss.backward()
    for optimizer in optimizers:
        if not ("sparing" in options and turn % 2 and optimizer is optimizers[-1]):
            optimizer.step()
"""

PARTS: dict[str, tuple[str, str, int | None, str]] = {
    "split": ("a,bc", "identical", None, ""),
    "fast": ("a,b,c fast", "real", 1, "lr 0.001 against 0.01; the step is 10 times as large: b.weight, b.bias"),
    "penalty": ("ac,b penalty", "late", 4, "b.weight"),
    "sparing": ("a,bc sparing", "unpaired", 0, ""),
}
"""By arm, its arguments, the reading, the step from which on it acts, and words that name it."""


@pytest.mark.slow
def test_optimizers_of_the_same_tensors_are_compared_by_parts(tmp_path: Path) -> None:
    done = run_arms(tmp_path, PARTED, joint="abc", **{name: arguments for name, (arguments, *_) in PARTS.items()})
    found = read_look(tmp_path)["arms"]
    for name, (_, reading, step, words) in PARTS.items():
        assert found[name]["reading"] == reading, found[name]
        assert (found[name]["beyond_round_off"] or {}).get("step") == step, found[name]
        assert words in "; ".join(found[name]["what"]), found[name]
    assert found["split"]["steps"] == 6
    assert "2 against 1, with the same tensors: compared part by part, turn by turn" in done.stdout
    assert "2 here against 1 of the first arm, with the same tensors in all; they don't step in turns" in done.stdout


@pytest.mark.slow
def test_a_split_reference_is_compared_with_a_joint_arm_and_its_groups(tmp_path: Path) -> None:
    run_arms(tmp_path, PARTED, split="a,b,c fast", joint="abc", groups="abc groups", two="ab,c")
    found = read_look(tmp_path)["arms"]
    assert {name: arm["reading"] for name, arm in found.items()} == {
        "joint": "real",
        "groups": "identical",
        "two": "real",
    }
    assert "lr 0.01 against 0.001; the step is 0.1 times as large: b.weight, b.bias" in "; ".join(
        found["joint"]["what"]
    )


def record(folder: Path, optimizers: Sequence[str], steps: int, stopped: bool, order: Sequence[int] = ()) -> Recording:
    """Write a recording of optimizers of tensors that have a letter each, and read it.

    Args:
        folder: Where.
        optimizers: The letters of each one's tensors.
        steps: Number of steps of all optimizers.
        stopped: Whether the probe ended the run.
        order: The optimizers' numbers in the order in which they step; by default they step in turns.
    """
    events: list[dict[str, Any]] = [
        {
            "kind": "optimizer",
            "number": number,
            "type": "Adam",
            "names": list(letters),
            "shapes": [[1]] * len(letters),
            "hashes": list(letters),
            "sketches": [[float(ord(letter))] for letter in letters],
            "groups": [1] * len(letters) if "grouped" in folder.name else [len(letters)],
        }
        for number, letters in enumerate(optimizers)
    ]
    counts = dict.fromkeys(range(len(optimizers)), 0)
    for step in range(1, steps + 1):
        number = order[step - 1] if order else (step - 1) % len(optimizers)
        counts[number] += 1
        bits = [f"{letter}{counts[number]}" for letter in optimizers[number]]
        sketches = [[1.0]] * len(bits)
        events.append(
            {"kind": "step", "step": step, "optimizer": number, "count": counts[number], "records": [],
             "gradients": bits, "gradient_sketches": sketches, "parameters": bits, "parameter_sketches": sketches,
             "settings": {f"lr of group {group}" if group else "lr": 0.1 for group in range(len(bits))}
             if "grouped" in folder.name else {"lr": 0.1}}
        )  # fmt: skip
    events.append({"kind": "end", "stopped": stopped, "steps": steps, "versions": {}, "sources": {}})
    folder.mkdir()
    (folder / "events-1.jsonl").write_text("\n".join(map(json.dumps, events)) + "\n")
    return Recording(folder)


@pytest.mark.parametrize(
    ("joint", "split", "last", "missing"),
    [
        ((12, True), (12, True), 6, None),
        ((12, True), (11, True), 5, None),
        ((6, False), (12, True), 6, None),
        ((5, False), (10, False), 5, None),
        ((4, False), (12, True), 4, 9),  # the number is that of the run which made the step
        ((12, True), (8, False), 4, 5),
        ((5, False), (9, False), 5, 5),
    ],
)
def test_steps_that_the_probe_cut_off_are_not_compared_and_others_are(
    tmp_path: Path, joint: tuple[int, bool], split: tuple[int, bool], last: int, missing: int | None
) -> None:
    one, other = record(tmp_path / "joint", ["abc"], *joint), record(tmp_path / "split", ["ca", "b"], *split)
    gaps = measure_gaps(*align(one, other))
    assert (gaps.last_step, gaps.missing, gaps.is_identical) == (last, missing, missing is None)
    turned = measure_gaps(*align(other, one))
    assert (turned.missing is None, turned.is_identical) == (missing is None, missing is None)


@pytest.mark.parametrize(
    ("one", "other", "order", "because"),
    [
        (["abc"], ["ab", "c"], [0, 0, 1, 1], "they don't step in turns"),
        (["abc"], ["ab", "c"], [0, 1, 0, 0], "they don't step in turns"),
        (["ab", "c"], ["a", "bc"], [], "none of two has all tensors of the other"),
        (["abc"], ["grouped", "abc"], [], "aren't of one group of parameters"),
        (["abc"], ["ab", "cd"], [], "2 optimizers were made, and 1 by the first arm"),
        (["abc"], ["ab", "bc"], [], "2 optimizers were made, and 1 by the first arm"),
    ],
)
def test_optimizers_that_cannot_be_paired_say_why(
    tmp_path: Path, one: list[str], other: list[str], order: list[int], because: str
) -> None:
    name, parts = ("grouped", ["ab", "c"]) if "grouped" in other else ("split", other)
    runs = record(tmp_path / "joint", one, 4, True), record(tmp_path / name, parts, 4, True, order)
    assert align(*runs) == runs
    gaps = measure_gaps(*runs)
    assert (because in gaps.unmatched, gaps.is_identical) == (True, False), gaps.unmatched


def test_what_has_made_no_whole_turn_is_not_identical(tmp_path: Path) -> None:
    many = ["a", "b", "c", "d"]
    runs = record(tmp_path / "joint", ["abcd"], 4, True), record(tmp_path / "split", many, 4, True)
    assert measure_gaps(*align(*runs)).last_step == 1
    stopped = record(tmp_path / "stopped", ["abcd"], 0, True), runs[1]
    assert not measure_gaps(*align(*stopped)).is_identical
