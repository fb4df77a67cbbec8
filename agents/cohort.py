"""The training loop: a cohort of runs, trained together and recorded one by one.

Training together is an efficiency, never a result: a run's bits don't depend on its company. It has its own
generators, its own environments and its own slice of every tensor, and there is one thread.
"""

import dataclasses
import hashlib
import logging
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from agents import environments, ppo
from agents.environments import Array, CohortEnvironments
from agents.envstate import State
from agents.experience import Experience, OwnExperience, SharedExperience
from agents.hyperparameters import VARIANCE, Hyperparameters, Precision
from agents.networks import ActorCritic, Floats
from agents.policies import CohortPolicy
from agents.records import Failure, Outcome, Record, Run, fingerprint
from agents.rollout import Rollout, evaluate
from agents.threads import count_threads

OF_FAILED_RUNS = np.errstate(divide="ignore", over="ignore", invalid="ignore")
"""A run that has failed goes on computing nonsense, of which NumPy need not warn."""

EVALUATION_SEED = 1_000_000_000
"""Seed of the first evaluation episode of every run; the others count on from it."""


class Cohort:
    """Runs that share everything but condition, seed and replicate, trained as one.

    A run whose parameters stop being finite has failed: it is recorded no more, and the others never notice.
    """

    def __init__(self, runs: Sequence[Run], hyperparameters: Hyperparameters, precision: Precision) -> None:
        """Seed, initialise and reset everything. **Raises**: `UnsuitableEnvironmentError`."""
        if (threads := count_threads()) != 1:
            logging.getLogger(__name__).warning(
                "%d threads compute: a run may not repeat bit for bit. Call agents.threads.use_one_thread() first.",
                threads,
            )
        self.runs = list(runs)
        self.hyperparameters = hyperparameters
        self.failures: dict[int, Failure] = {}
        """failed runs, by their place in the cohort"""
        self.update = 0
        """how many updates have been made"""
        self._conditions = [run.condition for run in runs]
        self._episodic_returns: list[list[Array]] = [[] for _ in runs]
        self.rollout: Rollout
        """what was learned from last"""

        # A stream for each use, so that no use shifts another's; the same for all conditions and precisions, so that
        # runs of a seed differ in nothing else.
        initial, noise, shuffling, worlds = zip(
            *(np.random.SeedSequence(run.seed).spawn(4) for run in runs), strict=True
        )
        observation, self._action = environments.sizes(hyperparameters.env_id)
        self.agent = ActorCritic(
            [np.random.default_rng(stream) for stream in initial],
            observation,
            self._action,
            hyperparameters,
            getattr(torch, precision),
        )
        for place, run in enumerate(runs):
            if run.replicate:
                self.agent.nudge(place, run.replicate - 1)
        self._optimizer = ppo.make_optimizer(self.agent, hyperparameters)
        self._shuffling = [np.random.default_rng(stream) for stream in shuffling]
        self.experience: Experience
        if hyperparameters.rollouts == "own":
            seeds = [stream.generate_state(hyperparameters.num_envs).tolist() for stream in worlds]
            self.experience = OwnExperience(noise, seeds, hyperparameters)
        else:
            leaders = list(dict.fromkeys(map(leader, runs)))
            acting = Cohort(leaders, dataclasses.replace(hyperparameters, rollouts="own"), precision)
            leader_of = [leaders.index(leader(run)) for run in runs]
            self.experience = SharedExperience(acting, leader_of, hyperparameters)

    def train(self) -> Iterator[dict[int, Record]]:
        """Train to the end. **Yields**: after each update, the records of all runs that go on, by their place."""
        while self.update < self.hyperparameters.num_updates and len(self.failures) < len(self.runs):
            self.update += 1
            yield self._update(self.update)

    def state(self, place: int) -> State | None:
        """All that one run's future depends on; None if its environments can't be captured."""
        experience = self.experience.state(place)
        if experience is None:
            return None
        return {
            "update": self.update,
            "learner": ppo.state(self.agent, self._optimizer, place),
            "shuffling": self._shuffling[place].bit_generator.state,
            "experience": experience,
            "episodic_returns": list(self._episodic_returns[place]),
        }

    def restore(self, states: Sequence[State]) -> None:
        """Go on from where other cohorts were, with the same bits.

        **Arguments**: `states`, one for each run, of the same update all.
        """
        self.update = states[0]["update"]
        assert all(state["update"] == self.update for state in states)
        ppo.restore(self.agent, self._optimizer, [state["learner"] for state in states])
        self.experience.restore([state["experience"] for state in states])
        for place, state in enumerate(states):
            self._shuffling[place].bit_generator.state = state["shuffling"]
            self._episodic_returns[place] = list(state["episodic_returns"])

    @OF_FAILED_RUNS
    def outcomes(self) -> list[Outcome | Failure]:
        """Evaluate the trained policies, and sum each run up, in the order of the runs."""
        seeds = range(EVALUATION_SEED, EVALUATION_SEED + self.hyperparameters.eval_episodes)
        fresh = CohortEnvironments(self.hyperparameters.env_id, [list(seeds)] * len(self.runs))
        eval_returns = evaluate(self.agent, fresh, self.experience.normaliser)
        fresh.close()
        self.experience.close()
        std = self._std()
        return [self._outcome(place, eval_returns[place], float(std[place])) for place in range(len(self.runs))]

    @OF_FAILED_RUNS
    def _update(self, update: int) -> dict[int, Record]:
        hyperparameters = self.hyperparameters
        learning_rate = ppo.set_learning_rate(self._optimizer, update, hyperparameters)
        self.rollout = self.experience.collect(self.agent, self._conditions)
        for place, failure in self.experience.failures().items():
            self._lose(place, failure)
        batch = ppo.prepare(self.agent, self._conditions, self.rollout, hyperparameters)
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
            returns = self.rollout.episodic_returns[place]
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

    def _std(self) -> Floats:
        """Each run's standard deviation, the mean over action dimensions, `[runs]`."""
        mean, phi = (torch.from_numpy(array) for array in self.agent.act(self.experience.observations))
        return CohortPolicy(self._conditions, mean, self.agent.theta(phi)).std().mean(2).mean(1).numpy()

    def _lose(self, place: int, failure: Failure) -> None:
        """Leave a failed run behind as ballast: its slice of every tensor is zero, and computes nothing of note."""
        self.failures[place] = failure
        for tensor in ppo.learned(self.agent, self._optimizer):
            tensor[place] = 0.0

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


def leader(run: Run) -> Run:
    """From whose rollouts a run learns, where they are shared."""
    return Run(condition="normal_sqrt" if run.condition in VARIANCE else "normal_std", seed=run.seed)


def _mean(values: Array) -> float:
    return float(values.mean()) if len(values) else float("nan")
