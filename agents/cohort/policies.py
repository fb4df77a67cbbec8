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
    """One torch distribution for each stretch of runs that share a condition.

    Args:
        conditions: One a run.
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
        """Actions for the noise; both `[runs, batch, action]`."""
        return self._map(sample, noise)

    def log_prob(self, actions: Tensor) -> Tensor:
        """Log-density of `actions`, `[runs, batch, action]`, summed over the action's dimensions: `[runs, batch]`."""
        return self._map(lambda part, action: part.log_prob(action), actions)

    def entropy(self) -> Tensor:
        """Differential entropy in nats, `[runs, batch]`."""
        return _joined([part.entropy()[::copies] for part, copies in zip(self._parts, self._copies, strict=True)])

    def std(self) -> Tensor:
        """Standard deviation of each action dimension, whatever the scale means: `[runs, batch, action]`."""
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
        # The Cholesky factorisation inside `MultivariateNormal` raises for all runs, when one has no positive finite
        # variance left. That run alone gets a NaN mean, from which all that it computes is NaN, and the cohort lets it
        # go. Guarded by `test_policies.py::test_a_run_without_a_usable_scale_is_nan_alone`.
        usable = (scale > 0) & scale.isfinite()
        return POLICIES[condition](mean.masked_fill(~usable, torch.nan), scale.masked_fill(~usable, 1.0))


def _joined(parts: list[Tensor]) -> Tensor:
    return torch.cat(parts) if len(parts) > 1 else parts[0]


def _copies(condition: Condition, scale: Tensor) -> int:
    """How many times each run is in its distribution, so that the first of each lies alike in memory.

    The triangular solves of `MultivariateNormal` round by where a matrix lies. Guarded by
    `test_policies.py::test_a_run_has_the_same_numbers_in_any_batch`.
    """
    if CONDITIONS[condition].implementation == "normal" or scale.shape[-1] == 1:
        return 1
    return MATRIX_BYTES // math.gcd(MATRIX_BYTES, scale.shape[-1] ** 2 * scale.itemsize)


def _repeated(tensor: Tensor, copies: int) -> Tensor:
    return tensor if copies == 1 else tensor.repeat_interleave(copies, dim=0)
