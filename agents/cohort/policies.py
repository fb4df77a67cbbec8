"""The policies of a whole cohort, which may mix the conditions."""

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution

from agents.cohort.numerics import MATRIX_BYTES
from agents.conditions import CONDITIONS, Condition
from agents.policies import POLICIES, sample


class CohortPolicy:
    """The policies of all runs: a torch distribution for each group of consecutive runs with the same condition.

    Args:
        conditions: One for each run.
        mean: `[runs, batch, action]`.
        scale: `[runs, 1 or batch, action]`.
    """

    def __init__(self, conditions: Sequence[Condition], mean: Tensor, scale: Tensor) -> None:
        stretches = [(condition, len(list(runs))) for condition, runs in itertools.groupby(conditions)]
        self._sizes = [size for _, size in stretches]
        self._copies = [_copies(condition, scale) for condition, _ in stretches]
        self._parts = [
            _make(condition, _repeated(part_mean, copies), _repeated(part_scale, copies))
            for (condition, _), copies, part_mean, part_scale in zip(
                stretches, self._copies, self._split(mean), self._split(scale), strict=True
            )
        ]

    def sample(self, noise: Tensor) -> Tensor:
        """Return actions for standard normal noise; both are `[runs, batch, action]`."""
        return self._map(sample, noise)

    def log_prob(self, actions: Tensor) -> Tensor:
        """Return log-densities, `[runs, batch]`, of actions, `[runs, batch, action]`, summed over action dimensions."""
        return self._map(lambda part, action: part.log_prob(action), actions)

    def entropy(self) -> Tensor:
        """Return the differential entropy in nats, `[runs, batch]`."""
        return _joined([part.entropy()[::copies] for part, copies in zip(self._parts, self._copies, strict=True)])

    def std(self) -> Tensor:
        """Return the standard deviation of each action dimension, `[runs, batch, action]`, whatever the condition."""
        return _joined([part.stddev[::copies] for part, copies in zip(self._parts, self._copies, strict=True)])

    def _map(self, function: Callable[[Distribution, Tensor], Tensor], argument: Tensor) -> Tensor:
        arguments = self._split(argument)
        return _joined(
            [
                function(part, _repeated(own, copies))[::copies]
                for part, copies, own in zip(self._parts, self._copies, arguments, strict=True)
            ]
        )

    def _split(self, tensor: Tensor) -> Sequence[Tensor]:
        return tensor.split(self._sizes) if len(self._sizes) > 1 else [tensor]


def _make(condition: Condition, mean: Tensor, scale: Tensor) -> Distribution:
    try:
        return POLICIES[condition](mean, scale)
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        # The Cholesky factorisation inside `MultivariateNormal` raises for all runs if one of them has no positive
        # finite variance. That run alone gets a NaN mean, so that all it computes is NaN, and the cohort fails it.
        usable = (scale > 0) & scale.isfinite()
        return POLICIES[condition](mean.masked_fill(~usable, torch.nan), scale.masked_fill(~usable, 1.0))


def _joined(parts: list[Tensor]) -> Tensor:
    return torch.cat(parts) if len(parts) > 1 else parts[0]


def _copies(condition: Condition, scale: Tensor) -> int:
    """Return how often each run is repeated in its distribution, so that the first copies are all aligned alike.

    The rounding of the triangular solves of `MultivariateNormal` depends on a matrix's alignment. Tests of batch
    invariance guard this.
    """
    if CONDITIONS[condition].implementation == "normal" or scale.shape[-1] == 1:
        return 1
    return MATRIX_BYTES // math.gcd(MATRIX_BYTES, scale.shape[-1] ** 2 * scale.itemsize)


def _repeated(tensor: Tensor, copies: int) -> Tensor:
    return tensor if copies == 1 else tensor.repeat_interleave(copies, dim=0)
