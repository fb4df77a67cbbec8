"""The readable agent behind the engine's interface: one run, as a cohort of one."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from agents.cohort.state import RunState
from agents.errors import EnvironmentFailedError, NoChangeError
from agents.fingerprints import flat
from agents.hyperparameters import Hyperparameters
from agents.numerics import Numerics
from agents.ppo import PPO
from agents.records import Failure, Outcome, Record, Run
from agents.saved import Learned


class Reference:
    """One run of `agents.ppo`, with the interface of `agents.cohort.Cohort`. It can't be checkpointed: it starts over.

    Attributes:
        runs: The run, in a list.
        hyperparameters: Its hyperparameters.
        update: Number of updates so far.
        failures: Why it failed, by its index 0; empty while it hasn't.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        hyperparameters: Hyperparameters,
        numerics: Numerics,
        step_timeout: float | None = None,
    ) -> None:
        """Seed, initialise and reset everything.

        Args:
            runs: A list of one.
            hyperparameters: The run's.
            numerics: The precision and the device.
            step_timeout: Seconds that a step or a reset of the environment may take; None for any.

        Raises:
            UnsuitableEnvironmentError: There is no environment of this name, or not of this kind.
        """
        (run,) = self.runs = list(runs)
        self.hyperparameters = hyperparameters
        self.update = 0
        self.failures: dict[int, Failure] = {}
        try:
            self._ppo = PPO(run, hyperparameters, numerics, step_timeout)
        except (NoChangeError, EnvironmentFailedError) as error:
            self.failures[0] = Failure(str(error))

    def train(self) -> Iterator[dict[int, Record]]:
        """Train to the end, and yield after each update its record by the index 0; nothing for a failure."""
        records = iter(()) if self.failures else self._ppo.train()
        while self.update < self.hyperparameters.num_updates and not self.failures:
            self.update += 1
            result = self._next(records)
            if isinstance(result, Failure):
                self.failures[0] = result
                yield {}
            else:
                yield {0: result}

    def _next(self, records: Iterator[Record]) -> Record | Failure:
        """Make an update, and return its record."""
        non_finite = Failure(f"parameters became non-finite at update {self.update}")
        try:
            record = next(records)
        except torch.linalg.LinAlgError:  # type: ignore[attr-defined]  # no covariance is positive definite any more
            return non_finite
        except EnvironmentFailedError as error:
            return Failure(str(error))
        return record if np.isfinite(flat(self._ppo.agent.tensors())).all() else non_finite

    def outcomes(self) -> list[Outcome | Failure]:
        """Evaluate the trained policy, and return the run's outcome in a list."""
        if self.failures:
            return [self.failures[0]]
        try:
            return [self._ppo.outcome()]
        except EnvironmentFailedError as error:
            return [Failure(str(error))]

    def policy(self, index: int) -> Learned:  # noqa: ARG002
        """Return what the run has learned."""
        seen = self._ppo.envs.seen
        networks = {name: tensor.detach().cpu().clone() for name, tensor in self._ppo.agent.state_dict().items()}
        return {"networks": networks, "mean": torch.from_numpy(seen.mean), "var": torch.from_numpy(seen.var)}

    def state(self, index: int) -> RunState | None:
        """Return None: this engine has no checkpoints."""

    def restore(self, states: Sequence[RunState]) -> None:
        """Do nothing: this engine has no checkpoints."""

    def close(self) -> None:
        """Close the environments."""
        if hasattr(self, "_ppo"):
            self._ppo.envs.close()
