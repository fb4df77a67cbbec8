"""The runs of a cohort that act, each in its own environments, with its own noise and its own statistics."""

from collections.abc import Sequence

import numpy as np
import torch

from agents import environments
from agents.cohort.networks import ActorCritic
from agents.cohort.normalisation import Normaliser
from agents.cohort.numerics import Floats
from agents.cohort.policies import CohortPolicy
from agents.cohort.rollout import Rollout
from agents.conditions import Condition
from agents.environments import Array, CohortEnvironments, Counts, Flags
from agents.hyperparameters import Hyperparameters
from agents.randomness import Streams


class Actors:
    """The environments of the runs that act, and the normalisation between them and the policies.

    Attributes:
        environments: The environments of all runs that act.
        normaliser: Each run's running statistics.
        observations: What the policies see next, `[runs, envs, observation]`, normalised.
        unfinished: How many steps each environment's present episode has, `[runs, envs]`.
    """

    def __init__(
        self, streams: Sequence[Streams], hyperparameters: Hyperparameters, step_timeout: float | None = None
    ) -> None:
        """Make and reset the environments.

        Args:
            streams: Each run's random numbers.
            hyperparameters: The agent's.
            step_timeout: Seconds that a step or a reset of an environment may take; None for any.
        """
        observation, action = environments.sizes(hyperparameters.env_id)
        self.noise = [stream.noise for stream in streams]
        seeds = [stream.environments for stream in streams]
        self.environments = CohortEnvironments(hyperparameters.env_id, seeds, step_timeout)
        self.normaliser = Normaliser(len(streams), observation, hyperparameters)
        self.observations = self.normaliser.observe(self.environments.reset())
        self.unfinished = np.zeros((len(streams), hyperparameters.num_envs), np.int64)
        self._shape = (hyperparameters.num_steps, hyperparameters.num_envs, action)

    def collect(self, agent: ActorCritic, conditions: Sequence[Condition]) -> Rollout:
        """Act for a rollout by the policies of the agent's first runs, and return it."""
        return collect(agent, conditions, self, self.draw_noise(agent.raw_scale.dtype))

    def draw_noise(self, dtype: "np.dtype[np.floating]") -> Floats:
        """Draw a rollout's standard normal noise in float64, rounded: it is the same in both precisions."""
        return np.stack([rng.standard_normal(self._shape) for rng in self.noise]).astype(dtype)

    def close(self) -> None:
        """Close the environments."""
        self.environments.close()


def collect(agent: ActorCritic, conditions: Sequence[Condition], actors: Actors, noise: Floats) -> Rollout:
    """Act for as many steps as the noise has, and return the rollout.

    Args:
        agent: The networks. Its first runs are the policies.
        conditions: The policies' conditions.
        actors: The environments that are stepped, and their normalisation.
        noise: `[runs, steps, envs, action]`, standard normal, in the agent's precision.
    """
    runs, steps, envs, _ = noise.shape
    seen, led_to = np.empty((2, runs, steps, envs, actors.observations.shape[2]), noise.dtype)
    actions, moved = np.empty((2, *noise.shape), noise.dtype)
    rewards, episodic_returns = np.empty((2, runs, steps, envs))
    terminated, truncated = np.empty((2, runs, steps, envs), bool)
    if not agent.state_dependent_scale:  # then the noise of all steps is scaled at once
        at_once = exploration(conditions, agent, agent.raw_scale[:runs], noise.reshape(runs, steps * envs, -1))
        moved[:] = at_once.reshape(noise.shape)
    for step in range(steps):
        seen[:, step] = actors.observations
        mean, raw_scale = agent.act(actors.observations)
        if agent.state_dependent_scale:
            moved[:, step] = exploration(conditions, agent, raw_scale, noise[:, step])
        actions[:, step] = mean + moved[:, step]
        outcome = actors.environments.step(actions[:, step].astype(np.float64))
        actors.observations = actors.normaliser.observe(outcome.observations)
        led_to[:, step] = actors.observations
        if outcome.ended.any():
            led_to[:, step][outcome.ended] = actors.normaliser.normalise(outcome.next_observations)[outcome.ended]
        rewards[:, step], episodic_returns[:, step] = outcome.rewards, outcome.episodic_returns
        terminated[:, step], truncated[:, step] = outcome.terminated, outcome.truncated
    unfinished = count_unfinished(actors.unfinished, terminated | truncated)
    episodic_steps = (actors.unfinished + steps - unfinished).sum(1)
    actors.unfinished = unfinished
    return Rollout(
        observations=seen,
        actions=actions,
        next_observations=led_to,
        rewards=actors.normaliser.rewards(rewards, terminated, truncated).astype(noise.dtype),
        terminated=terminated,
        truncated=truncated,
        episodic_returns=[run[~np.isnan(run)] for run in episodic_returns],
        episodic_steps=episodic_steps,
    )


def count_unfinished(before: Counts, ended: Flags) -> Counts:
    """Return how many steps each environment's present episode has after a rollout, `[runs, envs]`.

    Args:
        before: The same before the rollout.
        ended: Whether an episode ended in a step of the rollout, `[runs, steps, envs]`.
    """
    since_the_last = ended[:, ::-1].argmax(1)
    after: Counts = np.where(ended.any(1), since_the_last, before + ended.shape[1])
    return after


def exploration(conditions: Sequence[Condition], agent: ActorCritic, raw_scale: Floats, noise: Floats) -> Floats:
    """Return what noise adds to the policies' means: an action is the sum of both.

    Args:
        conditions: The policies' conditions.
        agent: The agent that makes a scale of the raw scale.
        raw_scale: `[runs, 1 or batch, action]`.
        noise: Standard normal, `[runs, batch, action]`.

    Returns:
        `[runs, batch, action]`.
    """
    policy = CohortPolicy(
        conditions, torch.zeros(noise.shape, dtype=agent.weights.dtype), agent.scale(torch.from_numpy(raw_scale))
    )
    sampled: Floats = policy.sample(torch.from_numpy(noise)).numpy()
    return sampled


def evaluate(agent: ActorCritic, environments_: CohortEnvironments, normaliser: Normaliser) -> Array:
    """Act by the policies' means, and return the return of each environment's first episode.

    Args:
        agent: The networks of the runs.
        environments_: Their environments, which aren't those of training.
        normaliser: Their running statistics, which are left as they are.

    Returns:
        `[runs, envs]`; NaN where the environments of a run rest or fail.
    """
    returns = np.full((environments_.runs, environments_.envs), np.nan)
    observations = environments_.reset()
    while not environments_.resting.all():
        mean, _ = agent.act(normaliser.normalise(observations))
        step = environments_.step(mean.astype(np.float64))
        ended = step.ended & ~environments_.resting
        returns[ended] = step.episodic_returns[ended]
        environments_.rest(ended)
        observations = step.observations
    return returns
