"""The four Gaussian policies of the study, and how a cohort that mixes them acts.

A policy is made of the mean and of theta = exp(phi), the learned scale. The conditions differ in what theta *means*
(a variance or a standard deviation) and in which of torch's classes computes with it:

| condition     | theta means | torch class          |
|---------------|-------------|----------------------|
| `mvn_std`     | variance    | `MultivariateNormal` |
| `mvn_var`     | std         | `MultivariateNormal` |
| `normal_sqrt` | variance    | `Normal`             |
| `normal_std`  | std         | `Normal`             |

Policies whose theta means the same are the same mathematics, so what sets them apart is round-off alone.
"""

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from agents.hyperparameters import Condition


def mvn_std(mean: Tensor, theta: Tensor) -> Distribution:
    """The thread's first agent: a "std" handed to a class that takes a covariance."""
    return _multivariate_normal(mean, theta)


def mvn_var(mean: Tensor, theta: Tensor) -> Distribution:
    """The first agent without the mistake."""
    return _multivariate_normal(mean, theta**2)


def normal_sqrt(mean: Tensor, theta: Tensor) -> Distribution:
    """The thread's repair: the first agent's mathematics, in the second agent's class."""
    return _normal(mean, theta.sqrt())


def normal_std(mean: Tensor, theta: Tensor) -> Distribution:
    """The thread's second agent, and what most of the field writes."""
    return _normal(mean, theta)


CONDITIONS: dict[Condition, Callable[[Tensor, Tensor], Distribution]] = {
    "mvn_std": mvn_std,
    "mvn_var": mvn_var,
    "normal_sqrt": normal_sqrt,
    "normal_std": normal_std,
}


MATRIX_BYTES = 32
"""A vector of the processor: matrices of a multiple of its size, one behind the other, are all aligned alike."""


def sample(policy: Distribution, noise: Tensor) -> Tensor:
    """`policy.rsample()`, with the standard normal noise given instead of drawn from torch's global generator.

    **Arguments**: `policy`, one of the four; `noise` and the result are `[..., action]`, of the policy's dtype.
    """
    if isinstance(policy, MultivariateNormal):
        return policy.loc + (policy.scale_tril @ noise.unsqueeze(-1)).squeeze(-1)
    assert isinstance(policy, Independent)
    normal = policy.base_dist
    assert isinstance(normal, Normal)
    return normal.loc + noise * normal.scale


class CohortPolicy:
    """The policies of a whole cohort: one torch distribution for each stretch of runs that share a condition.

    **Arguments**: `conditions`, one name a run; `mean`, `[runs, batch, action]`; `theta`, `[runs, 1 or batch, action]`.
    """

    def __init__(self, conditions: Sequence[Condition], mean: Tensor, theta: Tensor) -> None:
        stretches = [(condition, len(list(runs))) for condition, runs in itertools.groupby(conditions)]
        self._sizes = [size for _, size in stretches]
        self._copies = [_copies(condition, theta) for condition, _ in stretches]
        self._parts = [
            CONDITIONS[condition](_repeated(part_mean, copies), _repeated(part_theta, copies))
            for (condition, _), copies, part_mean, part_theta in zip(
                stretches, self._copies, self._split(mean), self._split(theta), strict=True
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
        """Standard deviation of each action dimension, whatever theta means: `[runs, batch, action]`."""
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


def _joined(parts: list[Tensor]) -> Tensor:
    return torch.cat(parts) if len(parts) > 1 else parts[0]


def _copies(condition: Condition, theta: Tensor) -> int:
    """How many times each run is in its distribution, so that the first of each lies alike in memory.

    The triangular solves of `MultivariateNormal` round by where a matrix lies.
    """
    if not condition.startswith("mvn") or theta.shape[-1] == 1:
        return 1
    return MATRIX_BYTES // math.gcd(MATRIX_BYTES, theta.shape[-1] ** 2 * theta.itemsize)


def _repeated(tensor: Tensor, copies: int) -> Tensor:
    return tensor if copies == 1 else tensor.repeat_interleave(copies, dim=0)


def _normal(mean: Tensor, std: Tensor) -> Distribution:
    # Arguments go unchecked, here and below: the check raises for the whole cohort where one run has failed.
    return Independent(Normal(mean, std, validate_args=False), 1, validate_args=False)


def _multivariate_normal(mean: Tensor, variance: Tensor) -> Distribution:
    try:
        return MultivariateNormal(mean, torch.diag_embed(variance), validate_args=False)
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        # The Cholesky factorisation inside raises, too, for all runs, when one has no positive finite variance left.
        # That run alone gets a NaN mean, from which all that it computes is NaN, and the cohort lets it go.
        unusable = ~((variance > 0) & variance.isfinite())
        mean, variance = mean.masked_fill(unusable, torch.nan), variance.masked_fill(unusable, 1.0)
        return MultivariateNormal(mean, torch.diag_embed(variance), validate_args=False)
