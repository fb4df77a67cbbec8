"""The subject of the study: four Gaussian policies, made of a mean and of the learned scale.

| condition     | built as                                          | scale is   | torch class          |
|---------------|---------------------------------------------------|------------|----------------------|
| `mvn_std`     | `MultivariateNormal(mean, diag_embed(scale))`     | a variance | `MultivariateNormal` |
| `mvn_var`     | `MultivariateNormal(mean, diag_embed(scale**2))`  | a std      | `MultivariateNormal` |
| `normal_sqrt` | `Normal(mean, sqrt(scale))`, log-prob summed      | a variance | `Normal`             |
| `normal_std`  | `Normal(mean, scale)`, log-prob summed            | a std      | `Normal`             |

Policies whose scale means the same are the same mathematics, so what sets them apart is round-off alone. `mean` is
`[..., action]`, and `scale` of a shape that broadcasts to it.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from agents.conditions import Condition


def mvn_std(mean: Tensor, scale: Tensor) -> Distribution:
    """The thread's first agent: a "std" handed to a class that takes a covariance."""
    return _multivariate_normal(mean, scale)


def mvn_var(mean: Tensor, scale: Tensor) -> Distribution:
    """The first agent without the mistake."""
    return _multivariate_normal(mean, scale**2)


def normal_sqrt(mean: Tensor, scale: Tensor) -> Distribution:
    """The thread's repair: the first agent's mathematics, in the second agent's class."""
    return _normal(mean, scale.sqrt())


def normal_std(mean: Tensor, scale: Tensor) -> Distribution:
    """The thread's second agent, and what most of the field writes."""
    return _normal(mean, scale)


POLICIES: dict[Condition, Callable[[Tensor, Tensor], Distribution]] = {
    "mvn_std": mvn_std,
    "mvn_var": mvn_var,
    "normal_sqrt": normal_sqrt,
    "normal_std": normal_std,
}


def sample(policy: Distribution, noise: Tensor) -> Tensor:
    """`policy.rsample()`, with the standard normal noise given instead of drawn from torch's global generator.

    Args:
        policy: One of the four.
        noise: `[..., action]`, of the policy's dtype, as is the result.
    """
    if isinstance(policy, MultivariateNormal):
        return policy.loc + (policy.scale_tril @ noise.unsqueeze(-1)).squeeze(-1)
    assert isinstance(policy, Independent)
    normal = policy.base_dist
    assert isinstance(normal, Normal)
    return normal.loc + noise * normal.scale


# Arguments go unchecked: the check raises for all runs that are computed together, where one of them has failed.
def _multivariate_normal(mean: Tensor, variance: Tensor) -> Distribution:
    return MultivariateNormal(mean, torch.diag_embed(variance), validate_args=False)


def _normal(mean: Tensor, std: Tensor) -> Distribution:
    return Independent(Normal(mean, std, validate_args=False), 1, validate_args=False)
