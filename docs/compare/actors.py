"""Two policies that should be the same distribution, and aren't."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal


class Actor(nn.Module):
    """A mean that depends on the observation, and a standard deviation."""

    def __init__(self, *, multivariate: bool) -> None:
        super().__init__()
        self.mean, self.log_std = nn.Linear(3, 2), nn.Parameter(torch.zeros(2))
        self.multivariate = multivariate

    def forward(self, observation: Tensor) -> Distribution:
        """Return the distribution of actions."""
        mean, std = self.mean(observation), self.log_std.exp().expand(*observation.shape[:-1], 2)
        if self.multivariate:
            return MultivariateNormal(mean, torch.diag_embed(std))  # it takes a covariance
        return Independent(Normal(mean, std), 1)


torch.manual_seed(0)
right, mistaken = Actor(multivariate=False), Actor(multivariate=True)
