"""The training loop: a cohort of runs, trained together and recorded one by one.

Training together is an efficiency, never a result: a run's bits don't depend on its company. It has its own
generators, its own environments and its own slice of every tensor, and there is one thread.
"""

import logging
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from agents import environments
from agents.cohort import state, update
from agents.cohort.actors import Actors, evaluate
from agents.cohort.networks import ActorCritic
from agents.cohort.numerics import Floats, count_threads, variance
from agents.cohort.policies import CohortPolicy
from agents.cohort.replay import own_rollouts, shared_rollouts
from agents.cohort.state import LearnerState, RunState
from agents.environments import Array, CohortEnvironments
from agents.errors import NoChangeError
from agents.fingerprints import fingerprint, make_origin
from agents.hyperparameters import Hyperparameters, Precision
from agents.perturbation import perturb
from agents.randomness import streams
from agents.records import EVALUATION_SEED, Failure, Outcome, Record, Run, summarise
from agents.saved import Learned

OF_FAILED_RUNS = np.errstate(divide="ignore", over="ignore", invalid="ignore")
"""A run that has failed goes on computing nonsense, of which NumPy need not warn."""


class Cohort:
    """Runs that share everything but condition, seed and replicate, trained as one.

    A run whose parameters stop being finite, or one of whose environments fails, has failed: it is recorded no more,
    and the others never notice.

    Attributes:
        runs: Those that were asked for.
        hyperparameters: Of all.
        update: How many updates have been made.
        agent: The networks of all runs that learn: of `runs`, and of those from whose rollouts they learn.
        actors: Those of them that act, which come first.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        hyperparameters: Hyperparameters,
        precision: Precision,
        step_timeout: float | None = None,
    ) -> None:
        """Seed, initialise and reset everything. Raises `UnsuitableEnvironmentError`.

        Args:
            runs: What is trained.
            hyperparameters: Of all.
            precision: In which they compute.
            step_timeout: Seconds that a step or a reset of an environment may take; None for any.
        """
        if (threads := count_threads()) != 1:
            logging.getLogger(__name__).warning(
                "%d threads compute: a run may not repeat bit for bit. Call agents.cohort.use_one_thread() first.",
                threads,
            )
        self.runs = list(runs)
        self.hyperparameters = hyperparameters
        self.update = 0
        self._step_timeout = step_timeout
        self._cast = (own_rollouts if hyperparameters.rollouts == "own" else shared_rollouts)(runs)
        learners = self._cast.learners
        self._conditions = [run.condition for run in learners]
        self._failures: dict[int, Failure] = {}
        self._episodic_returns: list[list[Array]] = [[] for _ in learners]

        random = [streams(run.seed, hyperparameters.num_envs, run.replicate) for run in learners]
        observation, action = environments.sizes(hyperparameters.env_id)
        dtype = getattr(torch, precision)
        self.agent = ActorCritic([own.weights for own in random], observation, action, hyperparameters, dtype)
        self._origins = [make_origin(self.agent.tensors(learner)) for learner in range(len(learners))]
        self._optimizer = update.make_optimizer(self.agent, hyperparameters)
        for learner, run in enumerate(learners):
            if run.replicate:
                self._perturb(learner, run.replicate, random[learner].jitter)
        self._random = random
        self.actors = Actors(random[: self._cast.actors], hyperparameters, step_timeout)

    def _perturb(self, learner: int, replicate: int, rng: np.random.Generator) -> None:
        first_layer = torch.from_numpy(self.agent.actor(learner)[0][0])
        weights = [self.agent.weights[learner], self.agent.raw_scales[learner]]
        try:
            perturb(first_layer, weights, self._optimizer, replicate, self.hyperparameters.perturbation, rng)
        except NoChangeError as error:
            self._lose(learner, str(error))

    @property
    def failures(self) -> dict[int, Failure]:
        """Failed runs, by their place in `runs`."""
        learner_of = enumerate(self._cast.learner_of)
        return {place: self._failures[learner] for place, learner in learner_of if learner in self._failures}

    def train(self) -> Iterator[dict[int, Record]]:
        """Train to the end, and yield, after each update, the records of all runs that go on, by their place."""
        while self.update < self.hyperparameters.num_updates and len(self.failures) < len(self.runs):
            self.update += 1
            records = self._update()
            learner_of = enumerate(self._cast.learner_of)
            yield {place: records[learner] for place, learner in learner_of if learner in records}

    @OF_FAILED_RUNS
    def outcomes(self) -> list[Outcome | Failure]:
        """Evaluate the trained policies, and sum each run up, in the order of the runs."""
        seeds = list(range(EVALUATION_SEED, EVALUATION_SEED + self.hyperparameters.eval_episodes))
        fresh = CohortEnvironments(self.hyperparameters.env_id, [seeds] * len(self._cast.learners), self._step_timeout)
        failed = np.zeros_like(fresh.resting)
        failed[list(self._failures)] = True
        fresh.rest(failed)
        eval_returns = evaluate(self.agent, fresh, self.actors.normaliser.of(self._cast.actor_of))
        fresh.close()
        std = self._std()
        failures = {learner: Failure(reason) for learner, reason in fresh.failures.items()} | self._failures
        return [
            failures.get(learner)
            or summarise(self._episodic_returns[learner], eval_returns[learner], float(std[learner]))
            for learner in self._cast.learner_of
        ]

    def policy(self, place: int) -> Learned:
        """Return what a run has learned."""
        learner = self._cast.learner_of[place]
        seen, actor = self.actors.normaliser.seen, self._cast.actor_of[learner]
        return {
            "networks": self.agent.state_dict(learner),
            "mean": torch.from_numpy(seen.mean[actor].copy()),
            "var": torch.from_numpy(seen.var[actor].copy()),
        }

    def close(self) -> None:
        """Close the environments."""
        self.actors.close()

    def state(self, place: int) -> RunState | None:
        """Return all that one run's future depends on; None if its environments can't be captured."""
        learner = self._cast.learner_of[place]
        leader = self._cast.actor_of[learner]
        actor = state.capture_actor(self.actors, leader)
        if actor is None:
            return None
        return {
            "update": self.update,
            "learner": self._learner_state(learner),
            "leader": None if leader == learner else self._learner_state(leader),
            "actor": actor,
            "episodic_returns": list(self._episodic_returns[learner]),
        }

    def restore(self, states: Sequence[RunState]) -> None:
        """Go on from where other cohorts were, with the same bits.

        Args:
            states: One for each run, of the same update all.
        """
        self.update = states[0]["update"]
        assert all(one["update"] == self.update for one in states)
        learners: dict[int, LearnerState] = {}
        for learner, one in zip(self._cast.learner_of, states, strict=True):
            leader = self._cast.actor_of[learner]
            learners[learner] = one["learner"]
            if one["leader"] is not None:
                learners[leader] = one["leader"]
            state.restore_actor(self.actors, leader, one["actor"])
            self._episodic_returns[learner] = list(one["episodic_returns"])
        by_place = [learners[learner] for learner in range(len(self._cast.learners))]
        state.restore_learners(self.agent, self._optimizer, self._random, by_place)

    def _learner_state(self, learner: int) -> LearnerState:
        return state.capture_learner(self.agent, self._optimizer, self._random[learner], learner)

    @OF_FAILED_RUNS
    def _update(self) -> dict[int, Record]:
        """Act, learn, and return the records of all learners that go on."""
        hyperparameters, conditions = self.hyperparameters, self._conditions
        shuffling = [own.shuffling for own in self._random]
        learning_rate = update.set_learning_rate(self._optimizer, self.update, hyperparameters)
        rollout = self.actors.collect(self.agent, conditions[: self._cast.actors]).of(self._cast.actor_of)
        batch = update.make_batch(self.agent, conditions, rollout, hyperparameters)
        diagnostics = update.learn(self.agent, conditions, self._optimizer, batch, shuffling, hyperparameters)
        explained = 1 - variance(batch.returns - batch.values) / variance(batch.returns)
        std = self._std()
        self._look_for_failures()

        records = {}
        for learner in range(len(self._cast.learners)):
            if learner in self._failures:
                continue
            returns = rollout.episodic_returns[learner]
            self._episodic_returns[learner].append(returns)
            records[learner] = Record(
                update=self.update,
                global_step=self.update * hyperparameters.batch_size,
                learning_rate=learning_rate,
                episodic_return=float(returns.mean()) if len(returns) else float("nan"),
                episodes=len(returns),
                std=float(std[learner]),
                explained_variance=float(explained[learner]),
                **fingerprint(self.agent.tensors(learner), self._origins[learner], self.update),
                **{name: float(values[learner]) for name, values in diagnostics._asdict().items()},
            )
        return records

    def _std(self) -> Floats:
        """Return each learner's standard deviation, the mean over action dimensions, `[learners]`."""
        observations = self.actors.observations[self._cast.actor_of]
        mean, raw_scale = (torch.from_numpy(array) for array in self.agent.act(observations))
        return CohortPolicy(self._conditions, mean, self.agent.scale(raw_scale)).std().mean(2).mean(1).numpy()

    def _look_for_failures(self) -> None:
        """Let go of learners whose environments failed or whose parameters aren't finite, and of their followers."""
        of_environments = self.actors.environments.failures
        for learner, leader in enumerate(self._cast.actor_of):
            if learner in self._failures:
                continue
            if leader in self._failures:  # leaders come first
                reason = self._failures[leader].reason
                self._lose(learner, f"the run from whose rollouts it learns has failed: {reason}")
            elif learner in of_environments:
                self._lose(learner, of_environments[learner])
            elif not np.isfinite(self.agent.parameters(learner)).all():
                self._lose(learner, f"parameters became non-finite at update {self.update}")

    def _lose(self, learner: int, reason: str) -> None:
        """Leave a failed run behind as ballast: its slice of every tensor is zero, and computes nothing of note."""
        self._failures[learner] = Failure(reason)
        for parameter in (self.agent.weights, self.agent.raw_scales):
            for tensor in (parameter, *self._optimizer.state[parameter].values()):
                if tensor.dim():
                    tensor[learner] = 0.0
