"""`study compare` on real programs: what is planted is found, named and dated, and what is harmless isn't accused."""

import dataclasses
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from study.compare.arms import Arm
from study.compare.gaps import EPSILON, Gaps, StepGap, measure_gaps, relative_gap
from study.compare.launching import Job, Launcher
from study.compare.matching import Pair, match
from study.compare.reading import read
from study.compare.recordings import Optimizer, Recording
from tests.helpers.command_line import run
from tests.helpers.comparing import TRAINER, arms, compare

FOUND: dict[str, tuple[str, int | None, str]] = {
    "renamed": ("identical", None, ""),
    "product": ("round-off", None, ""),
    "twice": ("real", 1, "2 times as large: first.weight, first.bias, second.weight, second.bias"),
    "detached": ("real", 1, "none, where the first arm has one: first.weight"),
    "anneal": ("late", 51, "the optimizer: lr 0.001 against 0.00099"),
    "late": ("late", 334, ""),
    "wide": ("unpaired", 0, ""),
}
"""By difference, the reading, the optimizer step from which on it acts, and words that name it."""


@pytest.mark.slow
def test_what_is_planted_is_found_dated_and_named(tmp_path: Path) -> None:
    done = compare(tmp_path, *arms(*FOUND), "--steps", "400", "-o", "here")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr  # real before unpaired
    look = json.loads((tmp_path / "here" / "look.json").read_text())
    assert look["deterministic"]
    for difference, (reading, step, words) in FOUND.items():
        found = look["arms"][difference]
        # On some processors, the product of a number with itself has the bits of its square.
        readings = ("round-off", "identical") if reading == "round-off" else (reading,)
        assert found["reading"] in readings, (difference, found)
        assert (found["beyond_round_off"] or {}).get("step") == step, (difference, found)
        assert words in "; ".join(found["what"]), (difference, found)


@pytest.mark.slow
def test_an_arm_that_differs_from_itself_is_not_accused(tmp_path: Path) -> None:
    done = compare(tmp_path, *arms("unseeded"), "--steps", "5")
    assert (done.returncode, "new" in done.stdout) == (3, False)
    assert "two equal runs of unseeded differ by more than round-off: it isn't deterministic" in done.stdout


@pytest.mark.slow
def test_first_weights_are_shared_by_the_names_that_are_given(tmp_path: Path) -> None:
    share = ["--share-init", "--steps", "5", "--rename"]
    done = compare(tmp_path, *arms("unseeded-renamed"), *share, "body=first,head=second")
    assert (done.returncode, "the same bits" in done.stdout) == (0, True), done.stdout + done.stderr
    mistaken = compare(tmp_path, *arms("unseeded-renamed"), *share, "bodi=first,head=second")
    assert mistaken.returncode == 2
    assert "arm unseeded-renamed can't begin with the first arm's weights: body.weight takes nothing" in mistaken.stderr


@pytest.mark.slow
def test_ctrl_c_ends_all_and_leaves_nothing_running(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "study", "compare", *arms("hangs"), "-o", str(tmp_path / "here")]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    )
    deadline = time.monotonic() + 60
    while not list((tmp_path / "here").glob("look/hangs/s0-plain*/stdout.txt")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    running = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert f"{TRAINER.replace('{seed}', '0')} hangs" not in running
    assert not list((tmp_path / "here").glob("look/hangs/*"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "a comparison needs at least 2 arms, and has 0"),
        (["--arm", "a=x {seed}"], "a comparison needs at least 2 arms, and has 1"),
        (
            ["--arm", "a=x {seed}", "--arm", "b=x"],
            "arm b has no {seed}: put it into its command, or into an environment",
        ),
        (["--arm", "a=x {seed}", "--arm", "a=y {seed}"], "two arms have the same name"),
        (["--arm", "x {seed}", "--arm", "b=x {seed}"], "'x {seed}' isn't of the form --arm NAME=COMMAND"),
        (["--arm", "a/b=x {seed}", "--arm", "b=x {seed}"], "arm 'a/b': a name has letters, digits"),
        (["--arm", "a=x '{seed}", "--arm", "b=x {seed}"], "arm a: its command can't be read: No closing quotation"),
        ([*arms("b"), "--env", "c:A=1"], "there is no arm 'c'; choose from old, b"),
        ([*arms("b"), "--env", "b:A"], "'A' isn't of the form --env NAME:VARIABLE=VALUE"),
        ([*arms("b"), "--cwd", "b:/nowhere"], "arm b: folder /nowhere doesn't exist"),
        ([*arms("b"), "--seeds", "x"], "must be seeds such as 0-9"),
        ([*arms("b"), "--steps", "1"], "--steps must be at least 3, not 1"),
        (["--arm", "a=/dev/null {seed}", "--arm", "b=/dev/null {seed}"], "arm a can't be begun: Permission denied"),
        (["nowhere.yaml"], "nowhere.yaml: there is no such file"),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, said = run("compare", *arguments, capsys=capsys)
    assert code == 2
    assert words in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seeds: 0-3", "needs `arms:`, a command for each name"),
        ("arms: {a: {env: {}}}", "arm 'a' must be a command, or have `command:`"),
        ("arms: {a: {command: x, comand: y}}", "arm 'a' has an unknown key 'comand'. Did you mean 'command'?"),
        ("arms: {a: {command: x, env: 3}}", "arm 'a': env must be a mapping, not 3"),
        ("arms: {a: x}\nstep: 3", "has an unknown key 'step'. Did you mean 'steps'?"),
        ("arms: {a: x}\nsteps: many", "steps must be a whole number, not 'many'"),
        ("arms: {a: x}\ncontrol: none", "control must be one of jitter, one_ulp, rerun, not 'none'"),
        ("- a", "isn't a comparison: it needs `arms:`"),
        ("arms: {a: x, a: y}", "isn't YAML at line 1: 'a' is there twice"),
    ],
)
def test_a_mistake_in_a_file_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    (tmp_path / "compare.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert run("compare", "compare.yaml", capsys=capsys) == (2, "", f"study: compare.yaml: {words}\n")


def test_a_mistake_is_one_line_of_the_program_too(tmp_path: Path) -> None:
    refused = compare(tmp_path, "nowhere.yaml")
    assert (refused.returncode, refused.stderr) == (2, "study: nowhere.yaml: there is no such file\n")


@pytest.mark.slow
def test_a_file_is_the_same_comparison(tmp_path: Path) -> None:
    content = {
        "arms": {
            "old": TRAINER,
            "new": {"command": f"{TRAINER} $DIFFERENCE", "env": {"DIFFERENCE": "fails"}, "shell": True},
        },
        "seeds": 7,
        "steps": 5,
        "output": "here",
    }
    (tmp_path / "compare.yaml").write_text(json.dumps(content))
    assert compare(tmp_path, "compare.yaml").returncode == 1
    found = json.loads((tmp_path / "here" / "look.json").read_text())
    assert "arm new, seed 7 (plain): exit code 1: a checkpoint is missing" in found["arms"]["new"]["because"]
    assert (tmp_path / "here" / "look" / "old" / "s7-plain").is_dir()


@pytest.mark.slow
def test_a_run_whose_program_has_changed_is_repeated_or_refused(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(TRAINING)
    job = Job(arm=Arm(name="a", command=f"{sys.executable} {program} {{seed}}"), seed=0, kind="plain")
    ended: list[Any] = []
    launcher = Launcher(tmp_path / "runs", 1, ended.append, repeat=True)
    launcher.run([job])
    launcher.run([job])
    assert len(ended) == 1
    program.write_text(TRAINING + "\n")
    with pytest.raises(ValueError, match=r"has a run of another program\.py, which has changed since"):
        Launcher(tmp_path / "runs", 1).run([job])
    launcher.run([job])
    assert len(ended) == 2


TRAINING = """
import tests.helpers.uncompiled
import torch
weights = torch.nn.Parameter(torch.ones(3, 3))
optimizer = torch.optim.SGD([weights], lr=0.1)
for _ in range(5):
    (weights ** 2).sum().backward()
    optimizer.step()
"""


def optimizer(**tensors: list[float]) -> Optimizer:
    """Describe an optimizer by its tensors' initial values."""
    return Optimizer(
        number=0,
        type="Adam",
        names=list(tensors),
        shapes=[[len(values)] for values in tensors.values()],
        hashes=[str(values) for values in tensors.values()],
        sketches=list(tensors.values()),
    )


class Recorded(Recording):
    """A recording of optimizers alone."""

    def __init__(self, *optimizers: Optimizer) -> None:
        self.optimizers = dict(enumerate(optimizers))


@pytest.mark.parametrize(
    ("b", "order"),
    [
        ({"x": [1.0, 2.0], "y": [3.0, 4.0], "z": [5.0]}, [0, 1, 2]),
        ({"y": [3.0, 4.0], "z": [5.0], "x": [1.0, 2.0]}, [2, 0, 1]),
        ({"q": [3.0, 4.0], "r": [1.0, 2.0], "s": [5.0]}, [1, 0, 2]),
        ({"s": [5.0], "q": [3.0, 4.0], "r": [1.0, 2.0]}, [2, 1, 0]),
        ({"q": [7.0, 4.0], "r": [8.0, 2.0], "s": [5.0]}, [0, 1, 2]),
        ({"q": [7.0, 4.0], "r": [8.0, 2.0, 1.0], "s": [5.0]}, None),
        ({"q": [7.0, 4.0], "r": [8.0, 2.0]}, None),
    ],
)
def test_tensors_are_matched_by_name_order_or_value(b: dict[str, list[float]], order: list[int] | None) -> None:
    pairs = match(Recorded(optimizer(x=[1.0, 2.0], y=[3.0, 4.0], z=[5.0])), Recorded(optimizer(**b)))
    assert (None if pairs is None else list(pairs[0].order)) == order


def test_a_relative_gap_is_of_norms() -> None:
    assert relative_gap([3.0, 4.0], [3.0, 4.5]) == pytest.approx(0.1)
    assert relative_gap([0.0], [0.0]) == 0
    assert relative_gap([0.0], [1.0]) == np.inf
    assert relative_gap([np.nan], [np.nan]) == 0
    assert relative_gap([np.nan], [1.0]) == np.inf


def gaps(gradients: list[float], parameters: list[float] | None = None, settings: dict[str, Any] | None = None) -> Gaps:
    """Return gaps of one tensor, a step each."""
    one = optimizer(weights=[1.0])
    steps = [
        StepGap(
            step=index + 1,
            optimizer=0,
            count=index + 1,
            gradients=np.array([gradient]),
            parameters=np.array([(parameters or gradients)[index]]),
            settings=settings or {},
            same_data=True,
            records=0,
        )
        for index, gradient in enumerate(gradients)
    ]
    pair = Pair(a=one, b=one, order=[0])
    return Gaps(pairs=[pair], initial={"weights": 0.0}, other_random=frozenset(), data=None, steps=steps, missing=None)


CONTROLS = [gaps([0, 1e-7, 3e-7, 1e-6, 1e-5]), gaps([0, 2e-7, 4e-7, 2e-6, 3e-5])]


@pytest.mark.parametrize(
    ("single", "double", "reading", "step"),
    [
        ([0, 0, 0, 0, 0], None, "identical", None),
        ([1e-7, 2e-7, 5e-7, 1e-6, 1e-5], None, "round-off", None),
        ([1e-7, 2e-7, 5e-7, 1e-6, 1e-5], [1e-16, 1e-16, 1e-15, 1e-15, 1e-14], "round-off", None),
        ([1e-2, 1e-2, 1e-2, 1e-2, 1e-2], None, "real", 1),
        ([1e-2, 1e-2, 1e-2, 1e-2, 1e-2], [1e-2, 1e-2, 1e-2, 1e-2, 1e-2], "real", 1),
        ([0, 0, 1e-3, 1e-3, 1e-3], None, "late", 3),
        ([1e-7, 2e-7, 5e-7, 1e-2, 1e-2], [1e-16, 1e-16, 1e-15, 1e-2, 1e-2], "late", 4),
        # A comparison flips in float32, and not in float64: chaos, as the thread's advice has it.
        ([1e-7, 2e-7, 5e-7, 1e-2, 1e-2], [1e-16, 1e-16, 1e-15, 1e-15, 1e-14], "round-off", None),
        # A constant is rounded to float32 in both precisions: it doesn't shrink, and is of round-off's size.
        ([1e-8, 2e-7, 5e-7, 1e-6, 1e-5], [3e-8, 3e-8, 5e-8, 1e-7, 1e-6], "round-off", None),
        # One arm computes in a lower precision: the gap shrinks in float64, but isn't of round-off's size.
        ([1e-3, 1e-3, 1e-3, 1e-3, 1e-3], [1e-16, 1e-16, 1e-15, 1e-15, 1e-14], "real", 1),
    ],
)
def test_a_gap_is_read_by_the_controls(
    single: list[float], double: list[float] | None, reading: str, step: int | None
) -> None:
    found = read(gaps(single), CONTROLS, None if double is None else gaps(double))
    assert (found.name, found.beyond and found.beyond.step) == (reading, step)


@pytest.mark.parametrize(
    ("type_", "one", "other", "differing"),
    [
        ("Adam", {"fused": None}, {"fused": True}, set()),
        ("Adam", {"lr": 0.1 + 0.2}, {"lr": 0.3}, set()),
        ("Adam", {"betas": [0.9, 0.999]}, {"betas": [0.9, 0.99]}, {"betas"}),
        ("AdamW", {"weight_decay": 0, "eps": 1e-8}, {"weight_decay": 0, "eps": 1e-8}, set()),
        ("AdamW", {"weight_decay": 0.1}, {"weight_decay": 0.1}, {"class"}),
        ("RMSprop", {"weight_decay": 0}, {"weight_decay": 0}, {"class"}),
        ("Adam", {"weight_decay of group 1": 0.0}, {"weight_decay of group 1": 1e-6}, {"weight_decay of group 1"}),
    ],
)
def test_settings_differ_where_their_mathematics_does(
    tmp_path: Path, type_: str, one: dict[str, Any], other: dict[str, Any], differing: set[str]
) -> None:
    runs = []
    for name, kind, settings in (("one", "Adam", one), ("other", type_, other)):
        events = [
            {"kind": "optimizer", "number": 0, "type": kind, "names": ["w"], "shapes": [[1]]},
            {"kind": "step", "step": 1, "optimizer": 0, "count": 1, "records": [], "gradients": ["a"],
             "gradient_sketches": [[1.0]], "parameters": ["a"], "parameter_sketches": [[1.0]], "settings": settings},
        ]  # fmt: skip
        (tmp_path / name).mkdir()
        (tmp_path / name / "events-1.jsonl").write_text("\n".join(map(json.dumps, events)) + "\n")
        runs.append(Recording(tmp_path / name))
    assert measure_gaps(*runs).steps[0].settings.keys() == differing


def test_a_late_difference_is_compared_with_one_step_of_rounding() -> None:
    """Controls have come apart since the first step; two arms that were the same until step 4 haven't."""
    later = gaps([0, 0, 0, 5e-6, 5e-6])
    assert read(later, CONTROLS, None).name == "late"
    assert read(gaps([1e-7, 2e-7, 5e-7, 5e-6, 5e-6]), CONTROLS, None).name == "round-off"
    assert read(gaps([0, 0, 0, 1e-7, 5e-7]), CONTROLS, None).name == "round-off"


def test_a_gap_that_does_not_shrink_is_said_to() -> None:
    small = [1e-8, 2e-7, 5e-7, 1e-6, 1e-5]
    assert "no smaller in float64" in read(gaps(small), CONTROLS, gaps(small)).because
    assert read(gaps(small), CONTROLS, gaps([1e-17] * 5)).because == ""


def test_other_random_numbers_pair_nothing_once_they_are_drawn() -> None:
    parted = gaps([0, 0, 0, 1e-2, 1e-2])
    drawn = dataclasses.replace(
        parted,
        steps=[dataclasses.replace(step, other_random=frozenset({"numpy"})) if step.step > 2 else step
               for step in parted.steps],
    )  # fmt: skip
    found = read(drawn, CONTROLS, None)
    assert (found.name, "before optimizer step 3" in found.because) == ("unpaired", True)
    assert read(drawn, CONTROLS, None, unseeded=frozenset({"numpy"})).name == "late"


def test_the_control_is_printed_at_the_step_that_decides() -> None:
    for single in ([1e-7, 2e-7, 5e-7, 1e-6, 1e-5], [0, 0, 1e-3, 1e-3, 1e-3]):
        found = read(gaps(single), CONTROLS, None)
        assert found.over_control is not None
        assert found.threshold is not None
        assert (found.over_control > found.threshold) == (found.name == "late")


def test_other_settings_of_equal_mathematics_are_not_real() -> None:
    equal = [0.0, 2e-7, 5e-7, 1e-6, 1e-5]
    assert read(gaps(equal, settings={"eps": (1e-5, 1e-8)}), CONTROLS, None).name == "late"
    first = [EPSILON["float32"] / 3, *equal[1:]]
    assert read(gaps(first, settings={"eps": (1e-5, 1e-8)}), CONTROLS, None).name == "real"


def test_differences_among_controls_widen_the_threshold() -> None:
    calm, wild = [gaps([0, 1e-6, 1e-6])] * 2, [gaps([0, 1e-6, 1e-6]), gaps([0, 1e-6, 1e-3])]
    assert read(gaps([0, 1e-6, 5e-5]), calm, None).name == "late"
    assert read(gaps([0, 1e-6, 5e-5]), wild, None).name == "round-off"


def test_an_arm_that_differs_from_itself_pairs_by_round_off_only() -> None:
    atomics, unseeded = gaps([3e-7, 1e-6, 3e-6]), gaps([0.7, 0.9, 1.1])
    assert read(gaps([2e-6, 5e-6, 9e-6]), CONTROLS[:1], reruns=[atomics]).name == "round-off"
    assert read(gaps([2e-6, 5e-6, 9e-6]), CONTROLS[:1]).name == "real"
    assert read(gaps([0.7, 0.9, 1.1]), CONTROLS, reruns=[unseeded]).name == "unpaired"


def test_in_float64_programs_a_gap_of_float32_s_size_is_real() -> None:
    double = dataclasses.replace(gaps([1e-9, 1e-9]), epsilon=EPSILON["float64"])
    assert read(double, [gaps([0, 1e-16]), gaps([0, 2e-16])]).name == "real"
    assert read(gaps([1e-9, 1e-9]), CONTROLS).name == "round-off"


def test_an_arm_without_steps_is_unseen() -> None:
    assert read(dataclasses.replace(gaps([]), pairs=None, is_seen=False), []).name == "unseen"
