"""Precision leaks, where they are known to be."""

import numpy as np
import pytest

from agents.audit import is_single, precision_leaks
from agents.hyperparameters import Hyperparameters


@pytest.mark.parametrize("env_id", ["Pendulum-v1", "Reacher-v5", "HalfCheetah-v5", "InvertedPendulum-v5"])
def test_what_is_double_everywhere_leaks_nowhere(env_id: str) -> None:
    assert precision_leaks(Hyperparameters(env_id=env_id)) == []


def test_an_environment_that_rounds_is_named() -> None:
    """Its state is float32; normalising, in double precision, hides that but doesn't mend it."""
    raw = Hyperparameters(env_id="MountainCarContinuous-v0", norm_obs=False)
    assert precision_leaks(raw) == ["the environment's observations", "observations"]
    normalised = Hyperparameters(env_id="MountainCarContinuous-v0")
    assert precision_leaks(normalised) == ["the environment's observations"]


def test_single_precision_is_told_from_double_and_whole_numbers() -> None:
    double = np.random.default_rng(0).normal(size=100)
    assert not is_single(double)
    assert is_single(double.astype(np.float32).astype(np.float64))
    assert not is_single(np.array([1.0, 0.0, -3.0]))
    assert is_single(np.array([1.0, 0.5]))
