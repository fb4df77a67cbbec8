"""The training loop: a cohort of runs, trained together and recorded one by one.

Training together is an efficiency, never a result: a run's bits don't depend on the other runs of the batch. It has its
own generators, its own environments and its own slice of every tensor, and there is one thread.
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
"""A failed run's slices are still computed, and NumPy needn't warn of their meaningless values."""


class Cohort:
    """Runs that share everything but condition, seed and replicate, trained as one.

    A run fails if its parameters stop being finite, or if one of its environments fails. Then it isn't recorded any
    more, and no bit of the others changes.

    Attributes:
        runs: Those that were asked for.
        hyperparameters: Those of all runs.
        update: Number of updates so far.
        agent: The networks of all learners: of `runs`, and of their behaviour runs.
        actors: The environments of those learners that act, which come first.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        hyperparameters: Hyperparameters,
        precision: Precision,
        step_timeout: float | None = None,
    ) -> None:
        """Seed, initialise and reset everything.

        Args:
            runs: The runs to train.
            hyperparameters: Those of all runs.
            precision: The precision of all runs.
            step_timeout: Seconds that a step or a reset of an environment may take; None for any.

        Raises:
            UnsuitableEnvironmentError: There is no environment of this name, or not of this kind.
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
        self._roles = (own_rollouts if hyperparameters.rollouts == "own" else shared_rollouts)(runs)
        learners = self._roles.learners
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
        self.actors = Actors(random[: self._roles.actors], hyperparameters, step_timeout)

    def _perturb(self, learner: int, replicate: int, rng: np.random.Generator) -> None:
        first_layer = torch.from_numpy(self.agent.actor(learner)[0][0])
        weights = [self.agent.weights[learner], self.agent.raw_scales[learner]]
        try:
            perturb(first_layer, weights, self._optimizer, replicate, self.hyperparameters.perturbation, rng)
        except NoChangeError as error:
            self._fail(learner, str(error))

    @property
    def failures(self) -> dict[int, Failure]:
        """Return why runs have failed, by their indices in `runs`."""
        learner_of = enumerate(self._roles.learner_of)
        return {index: self._failures[learner] for index, learner in learner_of if learner in self._failures}

    def train(self) -> Iterator[dict[int, Record]]:
        """Train to the end, and yield after each update the records of all runs that haven't failed, by index."""
        while self.update < self.hyperparameters.num_updates and len(self.failures) < len(self.runs):
            self.update += 1
            records = self._update()
            learner_of = enumerate(self._roles.learner_of)
            yield {index: records[learner] for index, learner in learner_of if learner in records}

    @OF_FAILED_RUNS
    def outcomes(self) -> list[Outcome | Failure]:
        """Evaluate the trained policies, and return each run's outcome, in the order of the runs."""
        seeds = list(range(EVALUATION_SEED, EVALUATION_SEED + self.hyperparameters.eval_episodes))
        fresh = CohortEnvironments(self.hyperparameters.env_id, [seeds] * len(self._roles.learners), self._step_timeout)
        failed = np.zeros_like(fresh.resting)
        failed[list(self._failures)] = True
        fresh.rest(failed)
        eval_returns = evaluate(self.agent, fresh, self.actors.normaliser.of(self._roles.actor_of))
        fresh.close()
        std = self._std()
        failures = {learner: Failure(reason) for learner, reason in fresh.failures.items()} | self._failures
        return [
            failures.get(learner)
            or summarise(self._episodic_returns[learner], eval_returns[learner], float(std[learner]))
            for learner in self._roles.learner_of
        ]

    def policy(self, index: int) -> Learned:
        """Return what a run has learned, by its index in `runs`."""
        learner = self._roles.learner_of[index]
        seen, actor = self.actors.normaliser.seen, self._roles.actor_of[learner]
        return {
            "networks": self.agent.state_dict(learner),
            "mean": torch.from_numpy(seen.mean[actor].copy()),
            "var": torch.from_numpy(seen.var[actor].copy()),
        }

    def close(self) -> None:
        """Close the environments."""
        self.actors.close()

    def state(self, index: int) -> RunState | None:
        """Return all that one run's future depends on; None if its environments can't be captured."""
        learner = self._roles.learner_of[index]
        behaviour = self._roles.actor_of[learner]
        actor = state.capture_actor(self.actors, behaviour)
        if actor is None:
            return None
        return {
            "update": self.update,
            "learner": self._learner_state(learner),
            "behaviour": None if behaviour == learner else self._learner_state(behaviour),
            "actor": actor,
            "episodic_returns": list(self._episodic_returns[learner]),
        }

    def restore(self, states: Sequence[RunState]) -> None:
        """Continue from states of runs of other cohorts, with the same bits.

        Args:
            states: One for each run, all of the same update.
        """
        self.update = states[0]["update"]
        assert all(one["update"] == self.update for one in states)
        learners: dict[int, LearnerState] = {}
        for learner, one in zip(self._roles.learner_of, states, strict=True):
            behaviour = self._roles.actor_of[learner]
            learners[learner] = one["learner"]
            if one["behaviour"] is not None:
                learners[behaviour] = one["behaviour"]
            state.restore_actor(self.actors, behaviour, one["actor"])
            self._episodic_returns[learner] = list(one["episodic_returns"])
        in_order = [learners[learner] for learner in range(len(self._roles.learners))]
        state.restore_learners(self.agent, self._optimizer, self._random, in_order)

    def _learner_state(self, learner: int) -> LearnerState:
        return state.capture_learner(self.agent, self._optimizer, self._random[learner], learner)

    @OF_FAILED_RUNS
    def _update(self) -> dict[int, Record]:
        """Act, learn, and return the records of all learners that haven't failed."""
        hyperparameters, conditions = self.hyperparameters, self._conditions
        shuffling = [own.shuffling for own in self._random]
        learning_rate = update.set_learning_rate(self._optimizer, self.update, hyperparameters)
        rollout = self.actors.collect(self.agent, conditions[: self._roles.actors]).of(self._roles.actor_of)
        batch = update.make_batch(self.agent, conditions, rollout, hyperparameters)
        diagnostics = update.learn(self.agent, conditions, self._optimizer, batch, shuffling, hyperparameters)
        explained = 1 - variance(batch.returns - batch.values) / variance(batch.returns)
        std = self._std()
        self._find_failures()

        records = {}
        for learner in range(len(self._roles.learners)):
            if learner in self._failures:
                continue
            returns = rollout.episodic_returns[learner]
            self._episodic_returns[learner].append(returns)
            records[learner] = Record(
                update=self.update,
                global_step=self.update * hyperparameters.batch_size,
                learning_rate=learning_rate,
                episodic_return=float(returns.mean()) if len(returns) else float("nan"),
                episodic_length=float(rollout.episodic_steps[learner] / len(returns)) if len(returns) else float("nan"),
                episodes=len(returns),
                std=float(std[learner]),
                explained_variance=float(explained[learner]),
                **fingerprint(self.agent.tensors(learner), self._origins[learner], self.update),
                **{name: float(values[learner]) for name, values in diagnostics._asdict().items()},
            )
        return records

    def _std(self) -> Floats:
        """Return each learner's standard deviation, the mean over action dimensions, `[learners]`."""
        observations = self.actors.observations[self._roles.actor_of]
        mean, raw_scale = (torch.from_numpy(array) for array in self.agent.act(observations))
        return CohortPolicy(self._conditions, mean, self.agent.scale(raw_scale)).std().mean(2).mean(1).numpy()

    def _find_failures(self) -> None:
        """Fail learners whose environments failed or whose parameters aren't finite, and their replay runs."""
        of_environments = self.actors.environments.failures
        for learner, behaviour in enumerate(self._roles.actor_of):
            if learner in self._failures:
                continue
            if behaviour in self._failures:  # behaviour runs come first
                reason = self._failures[behaviour].reason
                self._fail(learner, f"the run from whose rollouts it learns has failed: {reason}")
            elif learner in of_environments:
                self._fail(learner, of_environments[learner])
            elif not np.isfinite(self.agent.parameters(learner)).all():
                self._fail(learner, f"parameters became non-finite at update {self.update}")

    def _fail(self, learner: int, reason: str) -> None:
        """Record why a run has failed, and set its slice of every tensor to zero: the slice stays in the batch."""
        self._failures[learner] = Failure(reason)
        for parameter in (self.agent.weights, self.agent.raw_scales):
            for tensor in (parameter, *self._optimizer.state[parameter].values()):
                if tensor.dim():
                    tensor[learner] = 0.0
