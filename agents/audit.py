"""Precision leaks: arrays in double precision whose values are single precision's.

What was rounded on the way can erase a difference of 1e-16, and fake stability.
"""

import contextlib
import dataclasses

import numpy as np

from agents import environments
from agents.cohort import Cohort
from agents.cohort.numerics import Floats
from agents.cohort.update import make_batch
from agents.environments import CohortEnvironments
from agents.hyperparameters import Hyperparameters
from agents.records import Run

STEPS = 32
"""Environment steps for which a run is followed."""


def precision_leaks(hyperparameters: Hyperparameters, step_timeout: float | None = None) -> list[str]:
    """Follow a float64 run from its environment to its loss, and name the arrays that hold nothing but float32.

    Args:
        hyperparameters: The run's.
        step_timeout: Seconds that a step or a reset of the environment may take; None for any.

    Returns:
        Names of arrays, such as "rewards".
    """
    short = dataclasses.replace(
        hyperparameters, num_envs=1, num_steps=STEPS, num_minibatches=1, total_timesteps=STEPS, rollouts="own"
    )
    with contextlib.closing(Cohort([Run(condition="normal_std", seed=0)], short, "float64", step_timeout)) as cohort:
        weights = cohort.agent.parameters(0)
        rollout = cohort.actors.collect(cohort.agent, ["normal_std"])
        batch = make_batch(cohort.agent, ["normal_std"], rollout, short)
    arrays = {
        **_of_the_environment(short.env_id, step_timeout),
        "weights": weights,
        "observations": rollout.observations,
        "actions": rollout.actions,
        "rewards": rollout.rewards,
        "log_probs": batch.log_probs,
        "values": batch.values,
        "advantages": batch.advantages,
    }
    return [name for name, array in arrays.items() if is_single(array)]


def is_single(array: Floats) -> bool:
    """Return whether float32 holds all of an array's numbers. Whole numbers are left out: any precision holds them."""
    telling = array[array != np.round(array)]
    return bool(telling.size) and bool((telling == telling.astype(np.float32)).all())


def _of_the_environment(env_id: str, step_timeout: float | None) -> dict[str, Floats]:
    """Return what an environment hands out, before any normalisation."""
    environment = CohortEnvironments(env_id, [[0]], step_timeout)
    rng = np.random.default_rng(0)
    environment.reset()
    steps = [environment.step(rng.normal(size=(1, 1, environments.sizes(env_id)[1]))) for _ in range(STEPS)]
    environment.close()
    return {
        "the environment's observations": np.stack([step.observations for step in steps]),
        "the environment's rewards": np.stack([step.rewards for step in steps]),
    }
