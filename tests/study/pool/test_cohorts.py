"""Runs, cut into cohorts."""

import itertools
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.conditions import Condition
from agents.hyperparameters import Precision
from study.config.run_config import RunConfig, make_config
from study.errors import ConfigError
from study.pool.cohorts import COHORT_SIZE, cohorts
from study.training.memory import WORKER_BYTES, run_bytes
from tests.helpers.small import SMALL

CONFIGS = [
    make_config({**SMALL, "condition": condition, "seed": seed, "precision": precision, "gamma": gamma})
    for condition in get_args(Condition)
    for seed in range(3)
    for precision in get_args(Precision)
    for gamma in (0.9, 0.99)
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(CONFIGS), unique=True, min_size=1), st.integers(1, 8), st.floats(0.01, 1.0))
def test_cohorts_are_all_runs_once_alike_and_within_memory(configs: list[RunConfig], number: int, spare: float) -> None:
    memory = number * (WORKER_BYTES + run_bytes(CONFIGS[0]) * 2 + spare * 1e9)
    cut = cohorts(configs, number, memory)
    assert sorted(config.id for cohort in cut for config in cohort) == sorted(config.id for config in configs)
    for cohort in cut:
        assert 1 <= len(cohort) <= COHORT_SIZE
        assert number * (WORKER_BYTES + len(cohort) * run_bytes(cohort[0])) <= memory
        assert len({config.cohort_key for config in cohort}) == 1
        changes = sum(a.condition != b.condition for a, b in itertools.pairwise(cohort))
        assert changes == len({config.condition for config in cohort}) - 1


def test_every_worker_has_work() -> None:
    alike = [config for config in CONFIGS if config.cohort_key == CONFIGS[0].cohort_key]
    assert len(cohorts(alike, workers=3, memory=1e12)) == 3


def test_too_little_memory_is_said() -> None:
    words = r"num_\w+ \d+ is too large: a run needs .* GB of memory, and each of 2 workers has 0\.2 GB"
    with pytest.raises(ConfigError, match=words):
        cohorts(CONFIGS, workers=2, memory=0.5e9)
