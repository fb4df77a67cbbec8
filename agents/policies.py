"""The subject of the study: four Gaussian policies, each built from a mean and the learned scale.

| condition     | built as                                          | scale is   | torch class          |
|---------------|---------------------------------------------------|------------|----------------------|
| `mvn_std`     | `MultivariateNormal(mean, diag_embed(scale))`     | a variance | `MultivariateNormal` |
| `mvn_var`     | `MultivariateNormal(mean, diag_embed(scale**2))`  | a std      | `MultivariateNormal` |
| `normal_sqrt` | `Normal(mean, sqrt(scale))`, log-prob summed      | a variance | `Normal`             |
| `normal_std`  | `Normal(mean, scale)`, log-prob summed            | a std      | `Normal`             |

Two policies with the same parameterization are the same mathematics, and differ by round-off alone. `mean` is
`[..., action]`, and `scale` broadcasts to it.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from agents.conditions import Condition


def mvn_std(mean: Tensor, scale: Tensor) -> Distribution:
    """Return the policy of the thread's first agent: a "std" is passed to a class that takes a covariance."""
    return _multivariate_normal(mean, scale)


def mvn_var(mean: Tensor, scale: Tensor) -> Distribution:
    """Return the policy of the first agent without the mistake."""
    return _multivariate_normal(mean, scale**2)


def normal_sqrt(mean: Tensor, scale: Tensor) -> Distribution:
    """Return the policy that the thread advised: the first agent's mathematics, in the second agent's class."""
    return _normal(mean, scale.sqrt())


def normal_std(mean: Tensor, scale: Tensor) -> Distribution:
    """Return the policy of the thread's second agent, which most agents use."""
    return _normal(mean, scale)


POLICIES: dict[Condition, Callable[[Tensor, Tensor], Distribution]] = {
    "mvn_std": mvn_std,
    "mvn_var": mvn_var,
    "normal_sqrt": normal_sqrt,
    "normal_std": normal_std,
}


def sample(policy: Distribution, noise: Tensor) -> Tensor:
    """Return actions as `policy.rsample()` does, with noise that is given, not drawn from torch's global generator.

    Args:
        policy: One of the four.
        noise: Standard normal, `[..., action]`, of the policy's dtype.

    Returns:
        Actions, `[..., action]`, of the same dtype.
    """
    if isinstance(policy, MultivariateNormal):
        return policy.loc + (policy.scale_tril @ noise.unsqueeze(-1)).squeeze(-1)
    assert isinstance(policy, Independent)
    normal = policy.base_dist
    assert isinstance(normal, Normal)
    return normal.loc + noise * normal.scale


# Arguments aren't validated: where one of the runs that are computed together has failed, the check raises for all.
def _multivariate_normal(mean: Tensor, variance: Tensor) -> Distribution:
    return MultivariateNormal(mean, torch.diag_embed(variance), validate_args=False)


def _normal(mean: Tensor, std: Tensor) -> Distribution:
    return Independent(Normal(mean, std, validate_args=False), 1, validate_args=False)
