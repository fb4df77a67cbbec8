"""The transitions that policies collected in their environments, and the advantages estimated from them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from agents.cohort.numerics import Floats
from agents.environments import Array, Counts, Flags


class Rollout(NamedTuple):
    """A rollout of every run, in the agent's precision. Arrays lead with `[runs, steps, envs]`."""

    observations: Floats
    actions: Floats
    next_observations: Floats
    rewards: Floats
    terminated: Flags
    truncated: Flags
    episodic_returns: list[Array]
    """for each run, the returns of the episodes that ended, in that order"""
    episodic_steps: Counts
    """for each run, how many steps these episodes have together, also in rollouts before"""

    def of(self, runs: Sequence[int]) -> "Rollout":
        """Return the rollouts of some runs, by index, each as often as it is named."""
        return Rollout(
            observations=self.observations[runs],
            actions=self.actions[runs],
            next_observations=self.next_observations[runs],
            rewards=self.rewards[runs],
            terminated=self.terminated[runs],
            truncated=self.truncated[runs],
            episodic_returns=[self.episodic_returns[run] for run in runs],
            episodic_steps=self.episodic_steps[runs],
        )


def estimate_advantages(
    rollout: Rollout, values: Floats, next_values: Floats, gamma: float, gae_lambda: float
) -> Floats:
    """Return advantages by generalised advantage estimation (Schulman et al. 2016, equation 16).

    The end of an episode ends the sum over later errors. Where the episode was *terminated* there is no later value
    either; where it was only *truncated* there is one, that of its last observation.

    Args:
        rollout: The transitions.
        values: The critic's values of the observations before each action, `[runs, steps, envs]`.
        next_values: Its values of the observations after it, of the same shape.
        gamma: The discount.
        gae_lambda: The estimator's lambda.

    Returns:
        Advantages, `[runs, steps, envs]`.
    """
    errors = rollout.rewards + gamma * next_values * ~rollout.terminated - values
    discount = gamma * gae_lambda * (~(rollout.terminated | rollout.truncated)).astype(values.dtype)
    advantages = np.empty_like(errors)
    later = np.zeros_like(errors[:, 0])
    for step in reversed(range(errors.shape[1])):
        later = errors[:, step] + discount[:, step] * later
        advantages[:, step] = later
    return advantages
