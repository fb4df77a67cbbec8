"""What a policy met in its environments, and the advantages estimated from it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from agents.environments import Array, CohortEnvironments, Flags
from agents.hyperparameters import Condition
from agents.networks import ActorCritic
from agents.normalisation import Normaliser
from agents.policies import CohortPolicy


class Rollout(NamedTuple):
    """`steps` steps of every environment of every run; tensors lead with `[runs, steps, envs]`."""

    observations: Tensor
    actions: Tensor
    next_observations: Tensor
    rewards: Tensor
    terminated: Tensor
    truncated: Tensor
    episodic_returns: list[Array]
    """for each run the returns of the episodes that ended, in the order in which they did"""


def collect(
    agent: ActorCritic,
    conditions: Sequence[Condition],
    environments: CohortEnvironments,
    normaliser: Normaliser,
    observations: Array,
    noise: Tensor,
) -> tuple[Rollout, Array]:
    """Act for a while.

    **Arguments**: `observations`, `[runs, envs, observation]`, what the policy sees first, normalised; `noise`,
    `[runs, steps, envs, action]`, standard normal, in the agent's precision.

    **Returns**: the rollout, and what the policy sees after it.
    """
    seen, acted, steps = [], [], []
    for step_noise in noise.unbind(1):
        seen.append(torch.from_numpy(observations).to(noise.dtype))
        with torch.no_grad():
            actions = CohortPolicy(conditions, *agent.mean_theta(seen[-1])).sample(step_noise)
        acted.append(actions)
        steps.append(normaliser.step(environments.step(actions.double().numpy())))
        observations = steps[-1].observations

    def stacked(arrays: Sequence[Array | Flags]) -> Tensor:
        return torch.from_numpy(np.stack(arrays, axis=1)).to(noise.dtype)

    returns = np.stack([step.episodic_returns for step in steps], axis=1)
    rollout = Rollout(
        observations=torch.stack(seen, 1),
        actions=torch.stack(acted, 1),
        next_observations=stacked([step.next_observations for step in steps]),
        rewards=stacked([step.rewards for step in steps]),
        terminated=stacked([step.terminated for step in steps]),
        truncated=stacked([step.truncated for step in steps]),
        episodic_returns=[run[~np.isnan(run)] for run in returns],
    )
    return rollout, observations


def advantages(rollout: Rollout, values: Tensor, next_values: Tensor, gamma: float, gae_lambda: float) -> Tensor:
    """Generalised advantage estimation (Schulman et al. 2016, equation 16).

    The end of an episode ends the sum over later errors. Where the episode was *terminated* there is no later value
    either; where it was only *truncated* there is one, that of its last observation.

    **Arguments**: `values` and `next_values`, `[runs, steps, envs]`: the critic's, of what was seen before each
    action and of what the action led to.

    **Returns**: advantages, `[runs, steps, envs]`.
    """
    errors = rollout.rewards + gamma * next_values * (1 - rollout.terminated) - values
    goes_on = (1 - rollout.terminated) * (1 - rollout.truncated)
    estimates = torch.empty_like(errors)
    later = torch.zeros_like(errors[:, 0])
    for step in reversed(range(errors.shape[1])):
        later = errors[:, step] + gamma * gae_lambda * goes_on[:, step] * later
        estimates[:, step] = later
    return estimates


def evaluate(agent: ActorCritic, environments: CohortEnvironments, normaliser: Normaliser) -> Array:
    """Act by the policy's mean. **Returns**: each environment's first episode's return, `[runs, envs]`."""
    dtype = agent.phi.dtype
    returns = np.full((environments.runs, environments.envs), np.nan)
    running = np.ones_like(returns, dtype=bool)
    observations = environments.reset()
    while running.any():
        with torch.no_grad():
            mean, _ = agent.mean_theta(torch.from_numpy(normaliser.normalise(observations)).to(dtype))
        step = environments.step(mean.double().numpy())
        ended = running & step.ended
        returns[ended] = step.episodic_returns[ended]
        running &= ~ended
        observations = step.observations
    return returns
