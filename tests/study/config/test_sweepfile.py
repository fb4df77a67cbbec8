"""Sweep files: what W&B would queue is what is trained here, and what it would swallow is refused."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from reports.errors import UnreadableSourceError
from study.commands.report import Report
from study.config.run_config import make_config
from study.config.shipped import SHIPPED, find_sweep
from study.config.spaces import read_space
from study.config.sweepfile import Design, read_calls, read_configs, read_design, require_own_program
from study.errors import ConfigError
from study.pool.cohorts import cohorts
from tests.helpers.small import SMALL
from tests.helpers.sweeps import SWEEPS

FACTORS = "condition: {values: [mvn_std]}, seed: {values: [0]}, precision: {value: float32}"

HUNDRED = ", ".join(map(str, range(1, 101)))
HUGE = f"method: grid\nprogram: x\nparameters: {{{FACTORS}" + "".join(
    f", {name}: {{values: [{HUNDRED}]}}"
    for name in ("num_envs", "num_steps", "update_epochs", "eval_episodes", "learning_rate", "vf_coef")
) + "}"  # fmt: skip
BOMB = "[&v0 zero, " + ", ".join(f"&v{depth} [{', '.join([f'*v{depth - 1}'] * 9)}]" for depth in range(1, 9)) + "]"
"""A line that would be 9^8 words, if written out: its last part is *v8."""
MERGE_BOMB = "[&v0 {a: 1}, " + ", ".join(
    f"&v{depth} {{<<: [{', '.join([f'*v{depth - 1}'] * 9)}]}}" for depth in range(1, 9)
) + "]"  # fmt: skip


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "sweep.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_thread_is_its_design() -> None:
    configs = read_configs(find_sweep(Path("thread")))
    assert len(configs) == len({config.id for config in configs}) == 4 * 10 * 2 * 2
    assert {config.env_id for config in configs} == {"Pendulum-v1"}
    assert {config.total_timesteps for config in configs} == {100_000}


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_sweep_file_can_be_trained(path: Path) -> None:
    assert read_configs(path)
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert content["name"] in (path.stem, f"{path.parent.name}_{path.stem}")
    assert "?" in content["description"]
    assert content["metric"] in [{"name": name, "goal": "maximize"} for name in ("final_return", "auc_return")]
    assert content["command"] == ["${env}", "${interpreter}", "-m", "study", "train", "${args}"]


def test_nested_parameters_are_the_flat_ones(tmp_path: Path) -> None:
    gamma = "gamma: {values: [0.9, 0.8]}"
    flat = read_configs(written(tmp_path, f"method: grid\nprogram: x\nparameters: {{{FACTORS}, {gamma}}}"))
    group = f"ppo: {{parameters: {{{gamma}}}}}"
    nested = read_configs(written(tmp_path, f"method: grid\nprogram: x\nparameters: {{{FACTORS}, {group}}}"))
    assert nested == flat
    assert [config.gamma for config in flat] == [0.9, 0.8]


def test_seeds_are_the_runs_of_each_seed_in_one_call(tmp_path: Path) -> None:
    def file(seeds: str) -> Path:
        rest = "condition: {values: [mvn_std, mvn_var]}, precision: {value: float32}"
        return written(tmp_path, f"method: grid\nprogram: x\nparameters: {{{rest}, {seeds}}}")

    one_by_one = read_configs(file("seed: {values: [0, 1, 7]}"))
    calls = read_calls(file("seeds: {value: '0-1,7'}"))
    assert [len(call) for call in calls] == [3, 3]
    assert [config for call in calls for config in call] == one_by_one
    assert {config.id for config in read_configs(file("seeds: {values: [0-1, 7]}"))} == {
        config.id for config in one_by_one
    }


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        ("value: 0-", "must be seeds such as 0-9"),
        ("value: a", "must be seeds such as 0-9"),
        ("value: -1", "must be seeds such as 0-9"),
        ("value: 1.5", "must be seeds such as 0-9"),
        ("value: true", "must be seeds such as 0-9"),
        ("value: ", "must be seeds such as 0-9"),
        ("value: [0, 1]", "must be seeds such as 0-9"),
        ("value: 3-1", "between 1 and 10,000 seeds"),
        ("value: 0-99999999999", "between 1 and 10,000 seeds"),
        ("values: [0-3, 3-4]", "seed 3, precision float32, replicate 0 is there twice"),
        ("value: '1,1'", "is there twice"),
        (f"value: '{','.join(['0-9999'] * 100_000)}'", "between 1 and 10,000 seeds"),
        ("value: 9007199254740993", "seed must be at most 2**53"),
    ],
)
def test_seeds_that_are_none_are_refused(tmp_path: Path, seeds: str, words: str) -> None:
    rest = "condition: {value: mvn_std}, precision: {value: float32}"
    path = written(tmp_path, f"method: grid\nprogram: x\nparameters: {{{rest}, seeds: {{{seeds}}}}}")
    with pytest.raises(ConfigError) as error:
        read_configs(path)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


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
        (f"method: grid\nprogram: x\nparameters: {{{FACTORS}, num_envs: {{value: }}}}", "not None"),
        (f"method: grid\nprogram: x\nparameters: {{{FACTORS}, num_envs: {{value: &a [*a]}}}}", "in itself"),
        (f"method: grid\nprogram: x\nparameters: {{{FACTORS}, gamma: {{value: .nan}}}}", "a finite number, not nan"),
        (f"method: grid\nprogram: x\nparameters: {{{FACTORS}, gamma: {{value: 2020-13-45}}}}", "month must be in"),
        (f"method: grid\nprogram: x\nparameters: {{{FACTORS}, 1: {{value: 1}}}}", "no parameter '1'"),
        (
            f"method: grid\nprogram: x\nparameters:\n  {{{FACTORS}, seed: {{value: 1}}}}",
            "line 4: 'seed' is there twice",
        ),
        (f"method: grid\nprogram: x\nparameters: {{{FACTORS}}}\nmethod: grid", "line 4: 'method' is there twice"),
        (f"method: grid\nprogram: x\nparameters: {{{FACTORS}}}\nrun_cap: 3", "leave run_cap out"),
        (f"method: grid\nprogram: x\nparameters: {{{FACTORS}}}\nearly_terminate: {{}}", "leave early_terminate out"),
        (f"method: grid\nprogram: \nparameters: {{{FACTORS}}}", "neither `program` nor `command`"),
        ("method: grid\nprogram: x\nparameters: &p {a: {parameters: *p}}", "in itself"),
        (f"method: grid\nprogram: x\nparameters: {{a: {'[' * 2000}{']' * 2000}}}", "nested too deeply"),
        (f"method: grid\nprogram: x\nparameters: {{{FACTORS}, seeds: {{value: 0-9}}}}", "'seed' and 'seeds' exclude"),
        (f"method: grid\ncommand: study train\nparameters: {{{FACTORS}}}", "command must be a list"),
        (f"method: grid\ncommand: [study, train]\nparameters: {{{FACTORS}}}", "command has no ${args}"),
        (f"method: grid\ncommand: [study, '${{arg}}', '${{args}}']\nparameters: {{{FACTORS}}}", "${arg}, of which W&B"),
        (HUGE, "a grid of 1,000,000,000,000 runs"),
        (f"method: 0x{'f' * 5000}", "method must be grid, not a number of thousands of digits"),
        (f"method: grid\nprogram: x\nparameters: {{{FACTORS}, gamma: {{value: 0x{'f' * 5000}}}}}", "a finite number"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_the_file(tmp_path: Path, text: str, words: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as error:
        read_configs(path)
    assert str(error.value).startswith(f"{path}: ")
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < len(str(path)) + 200


@pytest.mark.parametrize(
    "bomb",
    [
        f"name: {BOMB}",
        f"name: {BOMB}\ncommand: [*v8]",
        f"name: {BOMB}\nmetric: {{name: *v8}}",
        f"name: {BOMB}\n? [*v8]\n: 1",
        f"name: {BOMB}\nmethod: grid\nprogram: x\nparameters: {{{FACTORS}, seeds: {{value: *v8}}}}",
        f"name: {BOMB}\nmethod: grid\nprogram: x\nparameters: {{{FACTORS}, env_id: {{values: [*v8]}}}}",
        f"name: {MERGE_BOMB}",
    ],
)
def test_aliases_that_stand_for_too_much_are_refused(tmp_path: Path, bomb: str) -> None:
    path = written(tmp_path, bomb)
    start = time.process_time()
    with pytest.raises(ConfigError, match="has aliases that stand for more than 10,000,000 characters"):
        read_configs(path)
    with pytest.raises(ConfigError, match="has aliases that stand for more than"):
        read_space(path, make_config(SMALL))
    assert time.process_time() - start < 2.0


@pytest.mark.parametrize(
    "head",
    [
        "program: train.py",
        "program: study",
        "program: train.py\ncommand: ['${interpreter}', '${program}', '${args}']",
        "program: train.py\ncommand: ['${program}', train, '${args}']",
        "program: study\ncommand: ['${program}', bench, '${args}']",
        "program: study\ncommand: ['${args}', '${program}']",
        "program: [study]",
    ],
)
def test_a_program_of_another_project_is_one_line(tmp_path: Path, head: str) -> None:
    path = written(tmp_path, f"method: grid\n{head}\nparameters: {{{FACTORS}}}")
    with pytest.raises(ConfigError) as error:
        require_own_program(path)
    assert str(error.value).startswith(f"{path}: program ")
    assert str(error.value).endswith('give command: ["${env}", "${interpreter}", "-m", "study", "train", "${args}"]')
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "head",
    [
        "command: ['${interpreter}', -m, study, train, '${args}']",
        "command: [./in_container.sh, study, train, '${args}']",
        "program: train.py\ncommand: ['${interpreter}', -m, study, train, '${args}']",
        "program: .venv/bin/study\ncommand: ['${program}', train, '${args}']",
    ],
)
def test_what_runs_this_projects_training_is_accepted(tmp_path: Path, head: str) -> None:
    require_own_program(written(tmp_path, f"method: grid\n{head}\nparameters: {{{FACTORS}}}"))


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "sweep.yaml")
    with pytest.raises(ConfigError, match="can't be read: it isn't a file"):
        read_configs(tmp_path / "sweep.yaml")


def test_a_merged_key_may_be_given_again(tmp_path: Path) -> None:
    gamma = "gamma: &other {values: [0.9]}, gae_lambda: {<<: *other, values: [0.8]}"
    (config,) = read_configs(written(tmp_path, f"method: grid\nprogram: x\nparameters: {{{FACTORS}, {gamma}}}"))
    assert (config.gamma, config.gae_lambda) == (0.9, 0.8)


@pytest.mark.parametrize("content", [b"method: \xff", None])
def test_what_is_no_text_is_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path
    if content is not None:
        path = tmp_path / "sweep.yaml"
        path.write_bytes(content)
    with pytest.raises(ConfigError, match="can't be read"):
        read_configs(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        read_configs(tmp_path / "nothing.yaml")


def test_a_margin_is_of_the_design_and_no_part_of_a_run(tmp_path: Path) -> None:
    head = f"method: grid\nprogram: x\nmetric: {{name: auc_return, goal: minimize}}\nparameters: {{{FACTORS}"
    path = written(tmp_path, head + ", margin: {value: 15.0}}")
    assert read_design(path) == Design("auc_return", "minimize", 15.0)
    with_margin = read_configs(path)
    assert [config.id for config in with_margin] == [
        config.id for config in read_configs(written(tmp_path, head + "}"))
    ]


def test_what_a_report_compares_is_no_part_of_a_run(tmp_path: Path) -> None:
    head = f"method: grid\nprogram: x\nparameters: {{{FACTORS}, gamma: {{values: [0.5, 0.9]}}"
    path = written(tmp_path, f"{head}, must_agree: {{value: gamma}}, factor: {{value: precision}}}}")
    assert (read_design(path).must_agree, read_design(path).factor) == ("gamma", "precision")
    declared = [config.id for config in read_configs(path)]
    found = Report(source="runs", sweep=(path,))._options().reading
    assert (found.must_agree, found.factors) == (("gamma",), ("precision",))
    assert declared == [config.id for config in read_configs(written(tmp_path, head + "}"))]


def test_a_report_on_several_sweeps_has_what_they_fix(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    text = f"method: grid\nprogram: x\nparameters: {{{FACTORS}, margin: {{value: 5.0}}}}\ndescription: "
    first, second = written(tmp_path, f"{text}Does it?"), written(tmp_path / "other", f"{text}And that?")
    options = Report(source="runs", sweep=(first, second))._options()
    assert (options.margin, options.description) == (5.0, "Does it?")
    second.write_text(second.read_text().replace("5.0", "6.0"))
    with pytest.raises(UnreadableSourceError, match=r"fixes another outcome, margin or factor than .*: report on each"):
        Report(source="runs", sweep=(first, second))._options()


@pytest.mark.parametrize("value", ["{value: gama}", "{value: condition}", "{value: 1}", "{values: [gamma, seed]}"])
def test_a_factor_that_is_no_parameter_is_one_line(tmp_path: Path, value: str) -> None:
    path = written(
        tmp_path, f"method: grid\nprogram: x\nparameters: {{{FACTORS}, gamma: {{value: 0.5}}, factor: {value}}}"
    )
    with pytest.raises(ConfigError, match="parameter 'factor' must name another parameter of this file"):
        read_configs(path)


def test_a_margin_is_of_the_outcome_that_it_was_fixed_for() -> None:
    assert Design("auc_return", "maximize", 15.0).margin_of("auc_return") == 15.0
    assert Design("auc_return", "maximize", 15.0).margin_of("final_return") is None
    assert Design(None, "maximize", 15.0).margin_of("final_return") == 15.0
    assert Design(None, "maximize", None).margin_of("final_return") is None


def test_a_report_takes_what_the_sweep_file_fixes_or_an_option(tmp_path: Path) -> None:
    head = f"method: grid\nprogram: x\nparameters: {{{FACTORS}, margin: {{value: 15.0}}}}\n"
    path = written(tmp_path, head + "metric: {name: auc_return, goal: minimize}")

    def options(**given: Any) -> tuple[str | None, str | None, float | None]:
        found = Report(source="runs", **given)._options()
        return found.outcome, found.goal, found.margin

    assert options(sweep=(path,)) == ("auc_return", "minimize", 15.0)
    assert options(sweep=(path,), goal="maximize", margin=3.0) == ("auc_return", "maximize", 3.0)
    assert options(sweep=(path,), outcome="eval_return") == ("eval_return", "minimize", None)
    assert options() == (None, None, None)
    assert options(sweep=(written(tmp_path, head),)) == (None, "maximize", 15.0)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("{value: 0}", "0"),
        ("{value: -1.0}", "-1.0"),
        ("{values: [1.0, 2.0]}", "2 values"),
        ("{value: much}", "'much'"),
        ("{value: true}", "True"),
        ("{value: .inf}", "inf"),
        ("{value: .nan}", "nan"),
        (f"{{value: 1{'0' * 400}}}", "1000"),
    ],
)
def test_a_margin_that_is_none_is_one_line(tmp_path: Path, value: str, found: str) -> None:
    path = written(tmp_path, f"method: grid\nprogram: x\nparameters: {{{FACTORS}, margin: {value}}}")
    for read in (read_configs, read_design):
        with pytest.raises(ConfigError) as error:
            read(path)
        assert str(error.value).startswith(
            f"{path}: parameter 'margin' must be one positive finite number, not {found}"
        )
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_design_can_be_cut_into_cohorts(path: Path) -> None:
    configs = read_configs(path)
    cut = cohorts(configs, workers=2, memory=16e9)
    assert sorted(config.id for cohort in cut for config in cohort) == sorted(config.id for config in configs)


def test_one_design_is_at_the_top_of_sweeps() -> None:
    """`wandb sweep sweeps/*.yaml` takes one file."""
    assert [path.name for path in SHIPPED.glob("*.yaml")] == ["thread.yaml"]
