"""The training loop: a cohort of runs, trained together and recorded one by one.

Training together is an efficiency, never a result: a run's bits don't depend on its company. It has its own
generators, its own environments and its own slice of every tensor, and torch works with one thread.
"""

import dataclasses
import hashlib
import logging
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from agents import environments, ppo
from agents.environments import Array, CohortEnvironments
from agents.hyperparameters import Condition, Hyperparameters, Precision
from agents.networks import ActorCritic, Floats
from agents.normalisation import Normaliser
from agents.policies import CohortPolicy
from agents.rollout import collect, evaluate

EVALUATION_SEED = 1_000_000_000
"""Seed of the first evaluation episode of every run; the others count on from it."""

FINGERPRINT_SIZE = 128
"""Weights in a run's fingerprint, beside all of phi."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """What sets a run apart from the others of its cohort."""

    condition: Condition
    seed: int
    replicate: int = 0
    """0, or k to move the k-th weight of the actor's first layer to the next representable number before training"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """One update of one run. Losses are means over the update's gradient steps, gradient norms are before clipping."""

    update: int
    """counted from 1"""
    global_step: int
    """environment steps so far"""
    learning_rate: float
    episodic_return: float
    """mean return of the training episodes that ended in this update's rollout; NaN if none did"""
    episodes: int
    """how many did"""
    std: float
    """the policy's standard deviation after the update, whatever theta means; the mean over action dimensions"""
    entropy: float
    approx_kl: float
    clipfrac: float
    policy_loss: float
    value_loss: float
    explained_variance: float
    grad_norm: float
    scale_grad_norm: float
    """of phi's part of the gradient"""
    params_sha256: str
    """hash of the bytes of all parameters, `ActorCritic.parameters`"""
    fingerprint: list[float]
    """exact values of `FINGERPRINT_SIZE` of these, evenly spaced from the first to the last before phi; then phi"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a finished run amounts to. Returns are undiscounted sums of the environment's own rewards."""

    final_return: float
    """mean over the last tenth of the training episodes, one at least"""
    auc_return: float
    """mean of the updates' `episodic_return`"""
    eval_return: float
    """mean return of the deterministic policy, over evaluation seeds that are the same for every run"""
    final_std: float
    """the policy's standard deviation after training; the mean over action dimensions"""


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why a run can't go on, or has no outcome."""

    reason: str


class Cohort:
    """Runs that share everything but condition, seed and replicate, trained as one.

    A run whose parameters stop being finite has failed: it is recorded no more, and the others never notice.
    """

    def __init__(self, runs: Sequence[Run], hyperparameters: Hyperparameters, precision: Precision) -> None:
        """Seed, initialise and reset everything. **Raises**: `UnsuitableEnvironmentError`."""
        if torch.get_num_threads() != 1:
            logging.getLogger(__name__).warning(
                "torch has %d threads: a run may not repeat bit for bit. Call torch.set_num_threads(1) first.",
                torch.get_num_threads(),
            )
        self.runs = list(runs)
        self.hyperparameters = hyperparameters
        self.failures: dict[int, Failure] = {}
        """failed runs, by their place in the cohort"""
        self._conditions = [run.condition for run in runs]
        self._dtype = getattr(torch, precision)

        # A stream for each use, so that no use shifts another's; the same for all conditions and precisions, so that
        # runs of a seed differ in nothing else.
        streams = [np.random.SeedSequence(run.seed).spawn(4) for run in runs]
        initial, self._noise, self._shuffling = (
            [np.random.default_rng(stream[use]) for stream in streams] for use in range(3)
        )
        environment_seeds = [stream[3].generate_state(hyperparameters.num_envs).tolist() for stream in streams]

        observation, self._action = environments.sizes(hyperparameters.env_id)
        self.agent = ActorCritic(initial, observation, self._action, hyperparameters, self._dtype)
        for place, run in enumerate(runs):
            if run.replicate:
                self.agent.nudge(place, run.replicate - 1)
        self._optimizer = ppo.make_optimizer(self.agent, hyperparameters)
        self._environments = CohortEnvironments(hyperparameters.env_id, environment_seeds)
        self._normaliser = Normaliser(len(runs), observation, hyperparameters)
        self._observations = self._normaliser.reset(self._environments.reset())
        self._episodic_returns: list[list[Array]] = [[] for _ in runs]

    def train(self) -> Iterator[dict[int, Record]]:
        """Train to the end. **Yields**: after each update, the records of all runs that go on, by their place."""
        for update in range(1, self.hyperparameters.num_updates + 1):
            yield self._update(update)
            if len(self.failures) == len(self.runs):
                return

    def outcomes(self) -> list[Outcome | Failure]:
        """Evaluate the trained policies, and sum each run up, in the order of the runs."""
        seeds = range(EVALUATION_SEED, EVALUATION_SEED + self.hyperparameters.eval_episodes)
        fresh = CohortEnvironments(self.hyperparameters.env_id, [list(seeds)] * len(self.runs))
        eval_returns = evaluate(self.agent, fresh, self._normaliser)
        fresh.close()
        self._environments.close()
        std = self._std()
        return [self._outcome(place, eval_returns[place], float(std[place])) for place in range(len(self.runs))]

    def _update(self, update: int) -> dict[int, Record]:
        hyperparameters = self.hyperparameters
        learning_rate = ppo.set_learning_rate(self._optimizer, update, hyperparameters)
        rollout, self._observations = collect(
            self.agent, self._conditions, self._environments, self._normaliser, self._observations, self._draw_noise()
        )
        batch = ppo.prepare(self.agent, self._conditions, rollout, hyperparameters)
        diagnostics = ppo.update(self.agent, self._conditions, self._optimizer, batch, self._shuffling, hyperparameters)
        explained = 1 - ppo.variance(batch.returns - batch.values) / ppo.variance(batch.returns)
        std = self._std()

        records = {}
        for place in range(len(self.runs)):
            if place in self.failures:
                continue
            parameters = self.agent.parameters(place)
            if not np.isfinite(parameters).all():
                self._lose(place, Failure(f"parameters became non-finite at update {update}"))
                continue
            returns = rollout.episodic_returns[place]
            self._episodic_returns[place].append(returns)
            records[place] = Record(
                update=update,
                global_step=update * hyperparameters.batch_size,
                learning_rate=learning_rate,
                episodic_return=_mean(returns),
                episodes=len(returns),
                std=float(std[place]),
                explained_variance=float(explained[place]),
                params_sha256=hashlib.sha256(parameters.tobytes()).hexdigest(),
                fingerprint=fingerprint(parameters, size=self._action),
                **{name: float(values[place]) for name, values in diagnostics._asdict().items()},
            )
        return records

    def _draw_noise(self) -> Tensor:
        """Standard normal noise for a rollout, drawn in float64 and rounded: both precisions act on the same noise."""
        shape = (self.hyperparameters.num_steps, self.hyperparameters.num_envs, self._action)
        return torch.from_numpy(np.stack([rng.standard_normal(shape) for rng in self._noise])).to(self._dtype)

    def _std(self) -> Tensor:
        """Each run's standard deviation, the mean over action dimensions, `[runs]`."""
        observations = torch.from_numpy(self._observations).to(self._dtype)
        with torch.no_grad():
            return CohortPolicy(self._conditions, *self.agent.mean_theta(observations)).std().mean(2).mean(1)

    def _lose(self, place: int, failure: Failure) -> None:
        """Leave a failed run behind as ballast: its slice of every tensor is zero, and computes nothing of note."""
        self.failures[place] = failure
        with torch.no_grad():
            for parameter in (self.agent.weights, self.agent.phi):
                parameter[place] = 0.0
                for moment in self._optimizer.state[parameter].values():
                    if moment.shape == parameter.shape:
                        moment[place] = 0.0

    def _outcome(self, place: int, eval_returns: Array, std: float) -> Outcome | Failure:
        if place in self.failures:
            return self.failures[place]
        by_update = self._episodic_returns[place]
        episodes = np.concatenate(by_update)
        if not len(episodes):
            return Failure("no training episode ended: train for longer")
        return Outcome(
            final_return=_mean(episodes[-max(1, len(episodes) // 10) :]),
            auc_return=_mean(np.array([returns.mean() for returns in by_update if len(returns)])),
            eval_return=_mean(eval_returns),
            final_std=std,
        )


def fingerprint(parameters: Floats, size: int) -> list[float]:
    """A run's `Record.fingerprint`. **Arguments**: its `ActorCritic.parameters`; `size`, how many of them are phi."""
    weights, phi = parameters[:-size], parameters[-size:]
    evenly = np.linspace(0, len(weights) - 1, FINGERPRINT_SIZE).round().astype(int)
    return [float(value) for value in (*weights[evenly], *phi)]


def _mean(values: Array) -> float:
    return float(values.mean()) if len(values) else float("nan")
