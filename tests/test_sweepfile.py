"""Sweep files: what W&B would queue is what is trained here, and what it would swallow is refused."""

from pathlib import Path

import pytest
import yaml

from study.cells import MistakeError
from study.sweepfile import read_cells

SWEEPS = sorted((Path(__file__).parent.parent / "sweeps").glob("*.yaml"))
FACTORS = "condition: {values: [mvn_std]}, seed: {values: [0]}, precision: {value: float32}"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "sweep.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_thread_is_its_design() -> None:
    cells = read_cells(SWEEPS[0].with_name("thread.yaml"))
    assert len(cells) == len({cell.id for cell in cells}) == 4 * 10 * 2 * 2
    assert {cell.env_id for cell in cells} == {"Pendulum-v1"}
    assert {cell.total_timesteps for cell in cells} == {100_000}


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_sweep_file_can_be_trained(path: Path) -> None:
    assert read_cells(path)
    assert yaml.safe_load(path.read_text(encoding="utf-8"))["description"]


def test_nested_parameters_are_the_flat_ones(tmp_path: Path) -> None:
    gamma = "gamma: {values: [0.9, 0.8]}"
    flat = read_cells(written(tmp_path, f"method: grid\nprogram: x\nparameters: {{{FACTORS}, {gamma}}}"))
    group = f"ppo: {{parameters: {{{gamma}}}}}"
    nested = read_cells(written(tmp_path, f"method: grid\nprogram: x\nparameters: {{{FACTORS}, {group}}}"))
    assert nested == flat
    assert [cell.gamma for cell in flat] == [0.9, 0.8]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("method: [", "isn't YAML at line 1"),
        ("- 1", "isn't a sweep file"),
        ("method: bayes\nprogram: x\nparameters: {}", "method must be grid"),
        (f"method: grid\nparameters: {{{FACTORS}}}", "neither `program` nor `command`"),
        (f"methods: grid\nmethod: grid\nprogram: x\nparameters: {{{FACTORS}}}", "no key 'methods'"),
        ("method: grid\nprogram: x", "has no parameters"),
        (f"method: grid\nprogram: x\nparameters: {{{FACTORS}, gama: {{value: 1}}}}", "did you mean 'gamma'"),
        (f"method: grid\nprogram: x\nparameters: {{{FACTORS}, gamma: 0.9}}", "'gamma' must have one of"),
        (f"method: grid\nprogram: x\nparameters: {{{FACTORS}, gamma: {{values: []}}}}", "'gamma' has no values"),
        (f"method: grid\nprogram: x\nparameters: {{{FACTORS}, gamma: {{values: 0.9}}}}", "'gamma' has no values"),
        (f"method: grid\nprogram: x\nparameters: {{{FACTORS}, gamma: {{min: 0, max: 1}}}}", "'gamma' must have one of"),
        (
            f"method: grid\nprogram: x\nparameters: {{{FACTORS}, gamma: {{values: [0.9], distribution: normal}}}}",
            "a study is a grid",
        ),
        (f"method: grid\nprogram: x\nparameters: {{{FACTORS}, gamma: {{values: [0.9, 0.9]}}}}", "is there twice"),
        (
            f"method: grid\nprogram: x\nparameters: {{{FACTORS}, a: {{parameters: {{seed: {{value: 1}}}}}}}}",
            "given twice",
        ),
        ("method: grid\nprogram: x\nparameters: {condition: {value: mvn_std}, precision: {value: float32}}", "'seed'"),
        (f"method: grid\nprogram: x\nparameters: {{{FACTORS}, num_envs: {{value: two}}}}", "a whole number"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_the_file(tmp_path: Path, text: str, words: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(MistakeError) as error:
        read_cells(path)
    assert str(error.value).startswith(f"{path}: ")
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MistakeError, match="there is no such file"):
        read_cells(tmp_path / "nothing.yaml")
