"""The probe: what it writes of tensors and environments, and that it never gets in the way of a program."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from study_probe import controls, tensors
from study_probe.recorder import Recorder

import study
from study.compare.launching import PROBE
from study.compare.recordings import Recording

SOURCES = sorted(PROBE.rglob("*.py"))


def run(folder: Path, program: str, **settings: object) -> subprocess.CompletedProcess[str]:
    """Run a Python program, watched."""
    watch = json.dumps({"folder": str(folder), **settings})
    environment = {**os.environ, "PYTHONPATH": f"{PROBE}{os.pathsep}{Path.cwd()}", "STUDY_WATCH": watch}
    return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_it_is_python_3_9_and_the_standard_library(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 9))
    first = [statement for statement in tree.body if isinstance(statement, ast.Import | ast.ImportFrom)]
    for statement in first:
        names = [alias.name for alias in statement.names] if isinstance(statement, ast.Import) else [statement.module]
        relative = isinstance(statement, ast.ImportFrom) and statement.level > 0
        assert relative or all(str(name).split(".")[0] in sys.stdlib_module_names for name in names)


def test_a_sketch_has_the_tensor_s_norm_on_average() -> None:
    generator = np.random.default_rng(0)
    drawn = [generator.normal(size=1000) for _ in range(200)]
    ratios = [np.sum(np.square(tensors.sketch(values))) / np.sum(values**2) for values in drawn]
    assert np.mean(ratios) == pytest.approx(1, abs=4 * np.sqrt(2 / 16 / 200))
    sparse = np.zeros(1000)
    sparse[[17, 503]] = 3.0, -4.0
    assert np.linalg.norm(tensors.sketch(sparse)) in (pytest.approx(5), pytest.approx(1), pytest.approx(7))


def test_sketches_are_linear_and_the_same_for_arrays_and_tensors() -> None:
    one, other = np.random.default_rng(1).normal(size=(2, 4097))
    assert np.subtract(tensors.sketch(one), tensors.sketch(other)) == pytest.approx(tensors.sketch(one - other))
    assert tensors.sketch(torch.from_numpy(one)) == tensors.sketch(one)
    assert tensors.hash_of(torch.from_numpy(one)) == tensors.hash_of(one)
    assert tensors.hash_of(one) != tensors.hash_of(np.where(one == one[7], np.nextafter(one, 9), one))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_neighbours_are_numpy_s(dtype: torch.dtype) -> None:
    values = torch.tensor([1.0, -1.0, 0.1, 3e8], dtype=dtype)
    for direction, towards in ((1, np.inf), (-1, -np.inf)):
        moved = controls.neighbours(values, torch.full((4,), direction))
        np.testing.assert_array_equal(moved.numpy(), np.nextafter(values.numpy(), values.numpy().dtype.type(towards)))
    assert torch.equal(controls.neighbours(values, torch.zeros(4)), values)


def test_one_large_weight_of_the_largest_matrix_moves_by_one_ulp() -> None:
    generator = torch.Generator().manual_seed(0)
    parameters = [torch.randn(size, generator=generator) for size in ((4, 4), (9,), (8, 8))]
    before = [parameter.clone() for parameter in parameters]
    moved = controls.perturb_one(parameters, seed=5)
    assert moved is not None
    tensor, index, old, new = moved
    assert tensor == 2
    assert new == np.nextafter(np.float32(old), np.float32(np.inf))
    assert abs(old) >= 0.1 * float(before[2].abs().max())
    changed = [
        (own != then).reshape(-1).nonzero().reshape(-1).tolist() for own, then in zip(parameters, before, strict=True)
    ]
    assert changed == [[], [], [index]]


def test_jitter_moves_weights_by_at_most_one_ulp_both_ways() -> None:
    weights = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    before = weights.numpy().copy()
    controls.jitter([weights], torch.Generator().manual_seed(3))
    after = weights.numpy()
    assert set(np.sign(after - before)) == {-1, 0, 1}
    beside = [np.nextafter(before, np.float32(towards)) for towards in (-np.inf, np.inf)]
    assert ((beside[0] <= after) & (after <= beside[1])).all()


def test_environments_are_recorded_and_their_episodes(tmp_path: Path) -> None:
    program = """
import gymnasium as gym
environment = gym.make("CartPole-v1")
environment.reset(seed=3)
environment.action_space.seed(3)
for _ in range(200):
    _, _, terminated, truncated, _ = environment.step(environment.action_space.sample())
    if terminated or truncated:
        environment.reset()
"""
    assert run(tmp_path, program).returncode == 0
    plain = gym.make("CartPole-v1")
    first, _ = plain.reset(seed=3)
    plain.action_space.seed(3)
    returns, paid = [], 0.0
    for _ in range(200):
        _, reward, terminated, truncated, _ = plain.step(plain.action_space.sample())
        paid += float(reward)
        if terminated or truncated:
            returns.append(paid)
            paid = 0.0
            plain.reset()
    rows = [json.loads(line) for line in next(tmp_path.glob("episodes-*.jsonl")).read_text().splitlines()]
    assert [row["return"] for row in rows] == returns
    assert len(returns) > 3
    recording = Recording(tmp_path)
    assert len(recording.records[0]) == 200 + 1 + len(returns)
    assert recording.numbers[0, 0]["observation"] == first.tolist()


def test_a_hidden_sitecustomize_is_run_too(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os; os.environ['MINE'] = 'is run'\n")
    environment = {**os.environ, "PYTHONPATH": f"{PROBE}{os.pathsep}{tmp_path}"}
    command = [sys.executable, "-c", "import os; print(os.environ['MINE'])"]
    assert subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout == "is run\n"


TRAINING = """
import tests.helpers.uncompiled
import torch
weights = torch.nn.Parameter(torch.ones(3, 3))
optimizer = torch.optim.SGD([weights], lr=0.1)
for _ in range(5):
    (weights ** 2).sum().backward()
    optimizer.step()
print(weights.sum().item())
"""


@pytest.mark.slow
def test_an_unwritable_folder_costs_the_recording_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    watched = run(tmp_path / "file" / "watch", TRAINING)
    assert (watched.returncode, watched.stdout) == (0, run(tmp_path, TRAINING).stdout)
    assert watched.stderr.count("this process isn't watched") == 1


def test_after_an_error_of_writing_nothing_is_watched(capsys: pytest.CaptureFixture[str]) -> None:
    recorder = Recorder("/nowhere/at all")
    seen: list[int] = []

    def record(step: int) -> None:
        seen.append(step)
        recorder.write("event")

    for step in range(3):
        recorder.safely(record)(step)
    assert seen == [0]
    assert capsys.readouterr().err.count("this process isn't watched") == 1


def test_settings_that_cannot_be_read_let_the_program_run(tmp_path: Path) -> None:
    watched = run(tmp_path, "print('runs')", surprising=1)
    assert (watched.returncode, watched.stdout) == (0, "runs\n")
    assert "this process isn't watched: TypeError" in watched.stderr


def test_a_program_that_is_stopped_has_made_that_many_steps(tmp_path: Path) -> None:
    assert run(tmp_path, TRAINING, stop=3).stdout == ""
    recording = Recording(tmp_path)
    assert [step.count for step in recording.steps.values()] == [1, 2, 3]
    whole = recording.whole(0, 1)
    assert whole is not None
    np.testing.assert_array_equal(whole.gradient, np.full(9, 2.0))
    np.testing.assert_allclose(whole.after, np.full(9, 0.8), rtol=1e-7)


def test_watch_records_what_no_optimizer_shows(tmp_path: Path) -> None:
    program = """
import numpy as np, study
weights = np.ones(40)
for step in range(1, 4):
    gradients = 2 * weights
    weights = weights - 0.1 * gradients
    study.watch({"weights": weights}, step=step, gradients={"weights": gradients})
"""
    assert run(tmp_path, program).returncode == 0
    steps = Recording(tmp_path).steps
    assert [step.count for step in steps.values()] == [1, 2, 3]
    assert steps[0, 1].gradients == [tensors.hash_of(np.full(40, 2.0))]
    assert steps[0, 1].parameters == [tensors.hash_of(np.full(40, 0.8))]


def test_watch_does_nothing_in_a_program_that_is_not_watched() -> None:
    study.watch({"weights": [1.0]}, step=1)
