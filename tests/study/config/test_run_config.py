"""Runs: the same description is the same run, and a wrong one is one clear line."""

import dataclasses
import datetime
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from agents.cohort import Cohort
from agents.conditions import Condition
from agents.records import Run
from reports.thread import CONDITIONS
from study.config.run_config import RunConfig, make_config, read_seeds
from study.errors import ConfigError

MakeConfig = Callable[..., RunConfig]


def test_the_id_is_of_the_description_alone(small: MakeConfig) -> None:
    assert small().id == small().id
    assert small(seed=1).id != small().id
    assert small(learning_rate="3e-4").id == small(learning_rate=0.0003).id == small().id
    code = "import sys, json, study.config.run_config as of; print(of.make_config(json.loads(sys.argv[1])).id)"
    description = json.dumps(dataclasses.asdict(small()))
    elsewhere = subprocess.run([sys.executable, "-c", code, description], capture_output=True, text=True, check=True)
    assert elsewhere.stdout.strip() == small().id


@given(st.sampled_from([field.name for field in dataclasses.fields(RunConfig)]))
def test_every_field_is_part_of_the_id(name: str) -> None:
    config = make_config({"condition": "mvn_std", "seed": 0, "precision": "float32", "engine": "reference"})
    if name == "rollouts":  # of the engine alone
        config = dataclasses.replace(config, engine="cohort")
    if name == "allow_tf32":  # of CUDA alone
        config = dataclasses.replace(config, device="cuda")
    if name == "perturbation":  # of replicates alone
        config = dataclasses.replace(config, replicate=1)
    other: dict[str, Any] = {
        "condition": "mvn_var", "precision": "float64", "env_id": "Hopper-v5", "optimizer": "sgd", "gamma": 0.5,
        "gae_lambda": 0.5, "num_minibatches": 16, "seed": 1, "replicate": 1, "ent_coef": 0.1, "num_steps": 4096,
        "scale_transform": "softplus", "rollouts": "shared", "engine": "cohort", "device": "cuda",
        "perturbation": "jitter",
    }  # fmt: skip
    value = getattr(config, name)
    if name in other:
        changed = other[name]
    elif isinstance(value, bool):
        changed = not value
    else:
        changed = value * 2
    assert dataclasses.replace(config, **{name: changed}).id != config.id


def test_ids_of_the_first_studies_hold() -> None:
    assert make_config({"condition": "mvn_std", "seed": 0, "precision": "float32"}).id == "18ef20000befc004"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"precision": "bfloat16"}, "precision can't be bfloat16 with engine cohort: choose engine reference"),
        ({"device": "cuda"}, "device can't be cuda with engine cohort: choose engine reference"),
        ({"compile": True}, "compile can't be True with engine cohort: choose engine reference"),
        ({"allow_tf32": True}, "allow_tf32 can't be True with engine cohort: choose engine reference"),
        ({"engine": "reference", "allow_tf32": True}, "allow_tf32 must be off on device cpu"),
        ({"engine": "reference", "rollouts": "shared"}, "rollouts must be own with engine reference"),
    ],
)
def test_what_an_engine_does_not_do_is_refused_in_one_line(
    small: MakeConfig, changes: dict[str, Any], error: str
) -> None:
    with pytest.raises(ConfigError, match=error):
        small(**changes)


def test_runs_of_the_readable_agent_are_trained_one_by_one(small: MakeConfig) -> None:
    assert small(seed=0).cohort_key == small(seed=1).cohort_key
    assert small(seed=0, engine="reference").cohort_key != small(seed=1, engine="reference").cohort_key


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_compensated_std_learns_as_a_variance_does(small: MakeConfig, optimizer: str) -> None:
    """The law, where nothing stands in its way: no common clipping of the gradient, and no epsilon."""

    def trained(condition: str, **changes: Any) -> tuple[float, Any]:
        config = small(
            condition=condition, optimizer=optimizer, learning_rate=0.01, adam_eps=1e-300, max_grad_norm=1e9, **changes
        )
        cohort = Cohort([Run(condition=config.condition, seed=0)], config.hyperparameters, "float64")
        *_, last = cohort.train()
        return last[0].std, cohort.agent.parameters(0)[:-1]

    variance, plain, compensated = (
        trained("normal_sqrt"), trained("normal_std"), trained("normal_std", compensated=True)
    )  # fmt: skip
    assert trained("normal_sqrt", compensated=True)[0] == variance[0]
    assert abs(plain[0] / variance[0] - 1) > 1e-4
    assert compensated[0] == pytest.approx(variance[0], rel=1e-9)
    gap, gap_left = (np.abs(weights - variance[1]).max() for _, weights in (plain, compensated))
    assert 0 < gap_left < 1e-6 * gap


def test_factors_are_the_report_own(small: MakeConfig) -> None:
    for condition in get_args(Condition):
        config = small(condition=condition)
        assert (config.parameterization, config.implementation) == CONDITIONS[condition]
    assert set(CONDITIONS) == set(get_args(Condition))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"condition": "mvn"}, "'condition' must be one of mvn_std"),
        ({"precision": "float16"}, "'precision' must be one of bfloat16, float32, float64"),
        ({"lerning_rate": 1}, "no parameter 'lerning_rate': did you mean 'learning_rate'"),
        ({"compensated": True, "state_dependent_scale": True}, "compensated must be off where state_dependent_scale"),
        ({"seed": -1}, "seed must be zero or positive"),
        ({"seed": 1.5}, "'seed' must be a whole number, not 1.5"),
        ({"seed": 1.0}, "'seed' must be a whole number, not 1.0"),
        ({"seed": "0"}, "'seed' must be a whole number, not '0'"),
        ({"seed": True}, "'seed' must be a whole number, not True"),
        ({"seed": None}, "'seed' must be a whole number, not None"),
        ({"seed": 2**70}, "seed must be at most 2**53"),
        ({"learning_rate": -0.1}, "learning_rate must be positive and finite"),
        ({"learning_rate": "fast"}, "'learning_rate' must be a finite number, not 'fast'"),
        ({"learning_rate": "0.1"}, "'learning_rate' must be a finite number, not '0.1'"),
        ({"learning_rate": "1e999"}, "'learning_rate' must be a finite number, not '1e999'"),
        ({"learning_rate": [0.1]}, "'learning_rate' must be a finite number, not [0.1]"),
        ({"learning_rate": 10**400}, "'learning_rate' must be a finite number, not 1000"),
        ({"ent_coef": float("inf")}, "'ent_coef' must be a finite number, not inf"),
        ({"gamma": float("nan")}, "'gamma' must be a finite number, not nan"),
        ({"gamma": True}, "'gamma' must be a finite number, not True"),
        ({"anneal_lr": "yes"}, "'anneal_lr' must be true or false, not 'yes'"),
        ({"anneal_lr": 1}, "'anneal_lr' must be true or false, not 1"),
        ({"condition": 1}, "'condition' must be one of mvn_std"),
        ({"condition": ["mvn_std"]}, "'condition' must be one of mvn_std"),
        ({"env_id": 1}, "'env_id' must be text, not 1"),
        ({"env_id": datetime.date(2020, 1, 1)}, "'env_id' must be text, not datetime.date(2020, 1, 1)"),
        ({"env_id": {"a": "b"}}, "'env_id' must be text, not {'a': 'b'}"),
        ({"num_minibatches": 3}, "num_minibatches must be a divisor of the batch"),
        ({"total_timesteps": 10}, "total_timesteps must be at least one batch"),
        ({"num_envs": 0}, "num_envs must be at least 1"),
        ({"gamma": 1.5}, "gamma must be between 0 and 1"),
        ({"num_minibatches": 512}, "one sample has no standard deviation"),
    ],
)
def test_a_wrong_description_is_one_line(small: MakeConfig, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as error:
        small(**changes)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["3e-4", "3E-4", "+3.e-4", ".3e-3", "0.3e-3"])
def test_a_number_may_be_in_the_form_that_yaml_1_1_reads_as_text(small: MakeConfig, text: str) -> None:
    assert small(learning_rate=yaml.safe_load(text)) == small(learning_rate=0.0003)


def test_a_missing_factor_is_named() -> None:
    with pytest.raises(ConfigError, match="'seed' is missing"):
        make_config({"condition": "mvn_std", "precision": "float32"})


@given(st.lists(st.tuples(st.integers(0, 2**53), st.integers(0, 50)), min_size=1, max_size=5))
def test_seeds_are_read_as_they_are_written(blocks: list[tuple[int, int]]) -> None:
    text = ",".join(f"{first}-{first + more}" if more else str(first) for first, more in blocks)
    assert read_seeds(text) == [seed for first, more in blocks for seed in range(first, first + more + 1)]


def test_seeds_may_have_a_step() -> None:
    assert read_seeds("1000-1005:2,7") == [1000, 1002, 1004, 7]
    for text in ("0-4:0", "0:2", "0-4:", "0-4:2:2"):
        with pytest.raises(ConfigError, match="must be seeds such as"):
            read_seeds(text)
