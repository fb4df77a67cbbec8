"""Where a cohort's rollouts come from: its own runs act, or they learn from what others did.

Runs that learn from others' rollouts can only be driven apart by what they compute of them. Whatever else drives apart
runs that act for themselves is the environments' doing.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from agents import environments, rollout
from agents.environments import Array, CohortEnvironments
from agents.envstate import State
from agents.hyperparameters import Condition, Hyperparameters
from agents.networks import ActorCritic, Floats
from agents.normalisation import Normaliser
from agents.records import Failure
from agents.rollout import Rollout


class Experience(Protocol):
    """What a cohort learns from."""

    @property
    def observations(self) -> Array:
        """What acting policies see next, `[runs, envs, observation]`, normalised."""

    @property
    def normaliser(self) -> Normaliser:
        """By what they see it."""

    def collect(self, agent: ActorCritic, conditions: Sequence[Condition]) -> Rollout:
        """The next rollout."""

    def failures(self) -> dict[int, Failure]:
        """Runs that have nothing more to learn from, by place."""

    def state(self, run: int) -> State | None:
        """What one run's further experience depends on; None if its environments can't be captured."""

    def restore(self, states: Sequence[State]) -> None:
        """Go on from where others were. **Arguments**: `states`, one for each run."""

    def close(self) -> None:
        """Close the environments."""


class Leaders(Protocol):
    """A cohort whose runs act for themselves."""

    experience: Experience
    rollout: Rollout
    failures: dict[int, Failure]

    def train(self) -> Iterator[Any]:
        """Act and learn, a rollout at a time."""

    def state(self, place: int) -> State | None:
        """All that one run's future depends on."""

    def restore(self, states: Sequence[State]) -> None:
        """Go on from where others were."""


class OwnExperience:
    """Each run acts in its own environments, by its own noise, and sees them by its own statistics."""

    def __init__(
        self, noise: Sequence[np.random.SeedSequence], seeds: Sequence[Sequence[int]], hyperparameters: Hyperparameters
    ) -> None:
        """Make and reset the environments.

        **Arguments**: `noise`, the stream of each run's actions; `seeds`, for each run one an environment.
        """
        observation, action = environments.sizes(hyperparameters.env_id)
        self._noise = [np.random.default_rng(stream) for stream in noise]
        self._shape = (hyperparameters.num_steps, hyperparameters.num_envs, action)
        self._environments = CohortEnvironments(hyperparameters.env_id, seeds)
        self.normaliser = Normaliser(len(seeds), observation, hyperparameters)
        self.observations = self.normaliser.observe(self._environments.reset())
        """what the policies see next, `[runs, envs, observation]`, normalised"""

    def collect(self, agent: ActorCritic, conditions: Sequence[Condition]) -> Rollout:
        """Act for a rollout."""
        noise = self.draw_noise(agent.phi.dtype)
        collected, self.observations = rollout.collect(
            agent, conditions, self._environments, self.normaliser, self.observations, noise
        )
        return collected

    def draw_noise(self, dtype: "np.dtype[np.floating]") -> Floats:
        """Standard normal noise for a rollout, drawn in float64 and rounded: both precisions act on the same noise."""
        return np.stack([rng.standard_normal(self._shape) for rng in self._noise]).astype(dtype)

    def failures(self) -> dict[int, Failure]:
        """Runs that have nothing more to learn from, by place."""
        return {}

    def state(self, run: int) -> State | None:
        """What one run's further experience depends on; None if its environments can't be captured."""
        captured = self._environments.state(run)
        if captured is None:
            return None
        return {
            "noise": self._noise[run].bit_generator.state,
            "environments": captured,
            "normaliser": self.normaliser.state(run),
            "observations": self.observations[run].copy(),
        }

    def restore(self, states: Sequence[State]) -> None:
        """Go on from where others were. **Arguments**: `states`, one for each run."""
        for run, state in enumerate(states):
            self._noise[run].bit_generator.state = state["noise"]
            self._environments.restore(run, state["environments"])
            self.normaliser.restore(run, state["normaliser"])
            self.observations[run] = state["observations"]

    def close(self) -> None:
        """Close the environments."""
        self._environments.close()


class SharedExperience:
    """Each run learns from the rollouts of one of the leaders, which are trained as if there were no followers."""

    def __init__(self, leaders: Leaders, leader_of: Sequence[int], hyperparameters: Hyperparameters) -> None:
        """**Arguments**: `leaders`, who act for themselves; `leader_of`, for each run its leader's place among them."""
        self._leaders, self._leader_of = leaders, list(leader_of)
        self._hyperparameters = hyperparameters
        self._training = leaders.train()

    def collect(self, agent: ActorCritic, conditions: Sequence[Condition]) -> Rollout:  # noqa: ARG002
        """Let the leaders act for a rollout, and learn from it, and hand it on."""
        next(self._training, None)
        return self._leaders.rollout.of(self._leader_of)

    @property
    def observations(self) -> Array:
        """What the leaders see next."""
        return self._leaders.experience.observations[self._leader_of]

    @property
    def normaliser(self) -> Normaliser:
        """The leaders', as it is now."""
        observation, _ = environments.sizes(self._hyperparameters.env_id)
        same = Normaliser(len(self._leader_of), observation, self._hyperparameters)
        for run, leader in enumerate(self._leader_of):
            same.restore(run, self._leaders.experience.normaliser.state(leader))
        return same

    def failures(self) -> dict[int, Failure]:
        """Runs whose leaders have failed, by place."""
        return {
            run: Failure(f"the run from whose rollouts it learns has failed: {self._leaders.failures[leader].reason}")
            for run, leader in enumerate(self._leader_of)
            if leader in self._leaders.failures
        }

    def state(self, run: int) -> State | None:
        """Its leader's state."""
        return self._leaders.state(self._leader_of[run])

    def restore(self, states: Sequence[State]) -> None:
        """Go on from where others were. **Arguments**: `states`, one for each run."""
        by_leader = dict(zip(self._leader_of, states, strict=True))
        self._leaders.restore([by_leader[leader] for leader in sorted(by_leader)])

    def close(self) -> None:
        """Close the leaders' environments."""
        self._leaders.experience.close()
