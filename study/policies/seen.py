"""What a policy says of actions: log-densities, the Gaussian that they look like, gradients and entropies."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from study.policies.policy import DistributionLike, Policy

ACTIONS = 64
"""Actions and observations at each point."""
POINTS = 4
"""Values of the parameters: those given, and three that are moved from them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seen:
    """What a policy says of actions, `[N, actions]`, of all points one after the other.

    Attributes:
        actions: The actions.
        latent: Before the tanh where the policy is bounded; otherwise the actions.
        shape: Of the log-densities of one point.
        log_prob: `[N]`, summed over action dimensions where the policy doesn't.
        mean: `[N, actions]` of the diagonal Gaussian whose derivatives by the latent action are the log-density's.
        variance: `[N, actions]` of it.
        gradients: By parameter, `[points, numbers]`, of a weighted sum of log-densities.
        entropy: As the policy has it, for each point; None where it has none.
    """

    actions: Tensor
    latent: Tensor
    shape: tuple[int, ...]
    log_prob: Tensor
    mean: Tensor
    variance: Tensor
    gradients: Mapping[str, Tensor]
    entropy: Sequence[Tensor] | None

    @property
    def width(self) -> int:
        """How many dimensions an action has."""
        return self.actions.shape[1]

    @property
    def std(self) -> Tensor:
        """The standard deviation of the Gaussian, `[N, actions]`."""
        return self.variance.abs().sqrt()


def inputs(observation_size: int, action_size: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return observations `[N, observations]` and latent actions `[N, actions]`: the same numbers in each precision."""
    generator = torch.Generator().manual_seed(7)
    observations = torch.randn(ACTIONS, observation_size, generator=generator, dtype=torch.float64)
    latent = 1.5 * torch.randn(ACTIONS, action_size, generator=generator, dtype=torch.float64)
    return observations.to(dtype), latent.to(dtype)


def look(policy: Policy, parameters: Sequence[Mapping[str, Tensor]], observation_size: int, action_size: int) -> Seen:
    """Return what a policy says at several values of its parameters."""
    points = [_look_once(policy, own, observation_size, action_size) for own in parameters]
    entropies = [point.entropy for point in points]
    return Seen(
        shape=points[0].shape,
        gradients={
            name: torch.stack([point.gradients[name].reshape(-1) for point in points]) for name in points[0].gradients
        },
        entropy=None if None in entropies else [own[0] for own in entropies if own is not None],
        **{
            name: torch.cat([getattr(point, name) for point in points])
            for name in ("actions", "latent", "log_prob", "mean", "variance")
        },
    )


def _look_once(policy: Policy, parameters: Mapping[str, Tensor], observation_size: int, action_size: int) -> Seen:
    dtype = next(iter(parameters.values())).dtype
    observations, latent = inputs(observation_size, action_size, dtype)
    latent.requires_grad_()
    distribution = policy.distribution(parameters, observations)
    actions = torch.tanh(latent) if policy.bounded else latent
    raw = distribution.log_prob(actions)
    log_prob = over_dimensions(raw, action_size)
    mean, variance = _gaussian(log_prob + _jacobian(latent) if policy.bounded else log_prob, latent)
    return Seen(
        actions=actions.detach(),
        latent=latent.detach(),
        shape=tuple(raw.shape),
        log_prob=log_prob.detach(),
        mean=mean,
        variance=variance,
        gradients=_gradients(log_prob, parameters),
        entropy=_entropy(distribution),
    )


def over_dimensions(log_prob: Tensor, action_size: int) -> Tensor:
    """Return log-densities `[N]`, where a policy has one for each dimension of an action."""
    if log_prob.dim() > 1 and log_prob.shape[-1] == action_size:
        log_prob = log_prob.sum(-1)
    return log_prob.reshape(len(log_prob), -1).mean(-1)


def _jacobian(latent: Tensor) -> Tensor:
    """The log-determinant of the tanh, `[N]`: log(1 - tanh(x)^2), as it doesn't cancel."""
    return (2 * (math.log(2) - latent - torch.nn.functional.softplus(-2 * latent))).sum(-1)


def _gaussian(log_prob: Tensor, latent: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of the Gaussian that has the first two derivatives of a log-density."""
    (first,) = torch.autograd.grad(log_prob.sum(), latent, create_graph=True)
    second = torch.zeros_like(first)
    if first.requires_grad:
        for place in range(first.shape[1]):
            (own,) = torch.autograd.grad(first[:, place].sum(), latent, retain_graph=True, allow_unused=True)
            second[:, place] = 0.0 if own is None else own[:, place]
    variance = -1 / second.detach()
    return (latent + first * variance).detach(), variance


def _gradients(log_prob: Tensor, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Gradients of a sum that weights each action otherwise, so that no symmetry hides anything; zeros for none."""
    weights = torch.linspace(-1, 1, len(log_prob), dtype=log_prob.dtype)
    values = list(parameters.values())
    found = torch.autograd.grad((weights * log_prob).sum(), values, allow_unused=True, retain_graph=True)
    return {
        name: torch.zeros_like(value) if gradient is None else gradient.detach()
        for (name, value), gradient in zip(parameters.items(), found, strict=True)
    }


def _entropy(distribution: DistributionLike) -> list[Tensor] | None:
    try:
        found = distribution.entropy()  # type: ignore[attr-defined]
    except (AttributeError, NotImplementedError):
        return None
    return None if found is None else [found.detach()]
