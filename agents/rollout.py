"""What a policy met in its environments, and the advantages estimated from it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from agents.environments import Array, CohortEnvironments, Flags
from agents.hyperparameters import Condition
from agents.networks import ActorCritic, Floats
from agents.normalisation import Normaliser
from agents.policies import CohortPolicy


class Rollout(NamedTuple):
    """`steps` steps of every environment of every run, in the agent's precision; arrays lead with
    `[runs, steps, envs]`.
    """

    observations: Floats
    actions: Floats
    next_observations: Floats
    rewards: Floats
    terminated: Flags
    truncated: Flags
    episodic_returns: list[Array]
    """for each run the returns of the episodes that ended, in the order in which they did"""

    def of(self, runs: Sequence[int]) -> "Rollout":
        """Those of some runs, each as often as it is named."""
        return Rollout(
            observations=self.observations[runs],
            actions=self.actions[runs],
            next_observations=self.next_observations[runs],
            rewards=self.rewards[runs],
            terminated=self.terminated[runs],
            truncated=self.truncated[runs],
            episodic_returns=[self.episodic_returns[run] for run in runs],
        )


def collect(
    agent: ActorCritic,
    conditions: Sequence[Condition],
    environments: CohortEnvironments,
    normaliser: Normaliser,
    observations: Array,
    noise: Floats,
) -> tuple[Rollout, Array]:
    """Act for a while.

    **Arguments**: `observations`, `[runs, envs, observation]`, what the policy sees first, normalised; `noise`,
    `[runs, steps, envs, action]`, standard normal, in the agent's precision.

    **Returns**: the rollout, and what the policy sees after it.
    """
    runs, steps, envs, _ = noise.shape
    seen, led_to = np.empty((2, runs, steps, envs, observations.shape[2]), noise.dtype)
    actions, moved = np.empty((2, *noise.shape), noise.dtype)
    rewards, episodic_returns = np.empty((2, runs, steps, envs))
    terminated, truncated = np.empty((2, runs, steps, envs), bool)
    if not agent.state_dependent_scale:  # then what noise adds is known at once
        moved[:] = perturbation(conditions, agent, agent.phi, noise.reshape(runs, steps * envs, -1)).reshape(
            noise.shape
        )
    for step in range(steps):
        seen[:, step] = observations
        mean, phi = agent.act(observations)
        if agent.state_dependent_scale:
            moved[:, step] = perturbation(conditions, agent, phi, noise[:, step])
        actions[:, step] = mean + moved[:, step]
        outcome = environments.step(actions[:, step].astype(np.float64))
        observations = normaliser.observe(outcome.observations)
        led_to[:, step] = observations
        if outcome.ended.any():
            led_to[:, step][outcome.ended] = normaliser.normalise(outcome.next_observations)[outcome.ended]
        rewards[:, step], episodic_returns[:, step] = outcome.rewards, outcome.episodic_returns
        terminated[:, step], truncated[:, step] = outcome.terminated, outcome.truncated
    rollout = Rollout(
        observations=seen,
        actions=actions,
        next_observations=led_to,
        rewards=normaliser.rewards(rewards, terminated, truncated).astype(noise.dtype),
        terminated=terminated,
        truncated=truncated,
        episodic_returns=[run[~np.isnan(run)] for run in episodic_returns],
    )
    return rollout, observations


def perturbation(conditions: Sequence[Condition], agent: ActorCritic, phi: Floats, noise: Floats) -> Floats:
    """What noise adds to the policies' means: an action is the sum of both.

    **Arguments**: `phi`, `[runs, 1 or batch, action]`; `noise` and the result are `[runs, batch, action]`.
    """
    policy = CohortPolicy(
        conditions, torch.zeros(noise.shape, dtype=agent.weights.dtype), agent.theta(torch.from_numpy(phi))
    )
    sampled: Floats = policy.sample(torch.from_numpy(noise)).numpy()
    return sampled


def advantages(rollout: Rollout, values: Floats, next_values: Floats, gamma: float, gae_lambda: float) -> Floats:
    """Generalised advantage estimation (Schulman et al. 2016, equation 16).

    The end of an episode ends the sum over later errors. Where the episode was *terminated* there is no later value
    either; where it was only *truncated* there is one, that of its last observation.

    **Arguments**: `values` and `next_values`, `[runs, steps, envs]`: the critic's, of what was seen before each
    action and of what the action led to.

    **Returns**: advantages, `[runs, steps, envs]`.
    """
    errors = rollout.rewards + gamma * next_values * ~rollout.terminated - values
    discount = gamma * gae_lambda * (~(rollout.terminated | rollout.truncated)).astype(values.dtype)
    estimates = np.empty_like(errors)
    later = np.zeros_like(errors[:, 0])
    for step in reversed(range(errors.shape[1])):
        later = errors[:, step] + discount[:, step] * later
        estimates[:, step] = later
    return estimates


def evaluate(agent: ActorCritic, environments: CohortEnvironments, normaliser: Normaliser) -> Array:
    """Act by the policy's mean. **Returns**: each environment's first episode's return, `[runs, envs]`."""
    returns = np.full((environments.runs, environments.envs), np.nan)
    running = np.ones_like(returns, dtype=bool)
    observations = environments.reset()
    while running.any():
        mean, _ = agent.act(normaliser.normalise(observations))
        step = environments.step(mean.astype(np.float64))
        ended = running & step.ended
        returns[ended] = step.episodic_returns[ended]
        running &= ~ended
        observations = step.observations
    return returns
