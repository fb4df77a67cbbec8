"""What is seen of a policy: log-densities of actions, the Gaussian that they look like, gradients, entropy, samples."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from study.policies.policy import DistributionLike, Policy

ACTIONS = 64
"""Actions and observations at each point."""
POINTS = 4
"""Values of the parameters: those given, and three that are moved from them."""
SAMPLES = 40_000
"""Of each point."""
ERRORS = 6.0
"""Standard errors beyond which an average is another: by chance once in 500 million."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seen:
    """What is seen of a policy at actions `[N, actions]`, of all points one after the other.

    Attributes:
        actions: The actions.
        latent: Before the tanh where the policy is bounded; otherwise the actions.
        shape: Of the log-densities of one point.
        log_prob: `[N]`, summed over action dimensions where the policy doesn't.
        precision: `[N, actions, actions]`, minus the second derivatives of the log-density by the latent action: a
            Gaussian's precision matrix.
        mean: `[N, actions]` of the diagonal Gaussian that has the first derivatives, and the diagonal of the second.
        variance: `[N, actions]` of it.
        gradients: By parameter, `[points, numbers]`, of a weighted sum of log-densities.
        entropy: As the policy has it, for each point; None where it has none.
    """

    actions: Tensor
    latent: Tensor
    shape: tuple[int, ...]
    log_prob: Tensor
    precision: Tensor
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
    """Return what is seen of a policy at several values of its parameters.

    Raises:
        ValueError: `torch.distributions` refuse a parameter, such as a negative std.
    """
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
            for name in ("actions", "latent", "log_prob", "precision", "mean", "variance")
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
    slope, curvature = _derivatives(log_prob + tanh_log_det(latent) if policy.bounded else log_prob, latent)
    variance = -1 / curvature.diagonal(dim1=1, dim2=2)
    return Seen(
        actions=actions.detach(),
        latent=latent.detach(),
        shape=tuple(raw.shape),
        log_prob=log_prob.detach(),
        precision=-curvature,
        mean=latent.detach() + slope * variance,
        variance=variance,
        gradients=_gradients(log_prob, parameters),
        entropy=None if (entropy := entropy_of(distribution)) is None else [entropy],
    )


def over_dimensions(log_prob: Tensor, action_size: int) -> Tensor:
    """Return log-densities `[N]`, where a policy has one for each dimension of an action."""
    if log_prob.dim() > 1 and log_prob.shape[-1] == action_size:
        log_prob = log_prob.sum(-1)
    return log_prob.reshape(len(log_prob), -1).mean(-1)


def tanh_log_det(latent: Tensor) -> Tensor:
    """Return the log-determinant of the tanh, `[N]`: log(1 - tanh(x)^2), written so that it doesn't cancel."""
    return (2 * (math.log(2) - latent - torch.nn.functional.softplus(-2 * latent))).sum(-1)


def _derivatives(log_prob: Tensor, latent: Tensor) -> tuple[Tensor, Tensor]:
    """The first, `[N, actions]`, and second, `[N, actions, actions]`, derivatives of a log-density."""
    (first,) = torch.autograd.grad(log_prob.sum(), latent, create_graph=True)
    second = torch.zeros(*first.shape, first.shape[1], dtype=first.dtype)
    if first.requires_grad:
        for dimension in range(first.shape[1]):
            (own,) = torch.autograd.grad(first[:, dimension].sum(), latent, retain_graph=True, allow_unused=True)
            second[:, dimension] = 0.0 if own is None else own
    return first.detach(), second


def _weighted(log_prob: Tensor) -> Tensor:
    """A sum that weights each action otherwise, so that no symmetry hides anything."""
    return torch.linspace(-1, 1, len(log_prob), dtype=log_prob.dtype) @ log_prob


def _gradients(log_prob: Tensor, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Gradients of the weighted sum by each parameter; zeros for none."""
    values = list(parameters.values())
    found = torch.autograd.grad(_weighted(log_prob), values, allow_unused=True, retain_graph=True)
    return {
        name: torch.zeros_like(value) if gradient is None else gradient.detach()
        for (name, value), gradient in zip(parameters.items(), found, strict=True)
    }


def directions(parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return one random direction in the space of each parameter."""
    generator = torch.Generator().manual_seed(11)
    return {
        name: torch.randn(value.shape, generator=generator, dtype=torch.float64) for name, value in parameters.items()
    }


def slopes(
    policy: Policy, parameters: Mapping[str, Tensor], observation_size: int, action_size: int, step: float
) -> dict[str, float]:
    """Return finite differences of the weighted sum of log-densities, along each parameter's direction.

    Args:
        policy: The policy.
        parameters: In float64.
        observation_size: The length of an observation.
        action_size: The length of an action.
        step: How far to go to either side.
    """
    observations, latent = inputs(observation_size, action_size, torch.float64)
    actions = torch.tanh(latent) if policy.bounded else latent

    def weighted(name: str, shift: Tensor) -> float:
        moved = {**parameters, name: parameters[name].detach() + shift}
        with torch.no_grad():
            log_prob = policy.distribution(moved, observations).log_prob(actions)
        return float(_weighted(over_dimensions(log_prob, action_size)))

    return {
        name: (weighted(name, step * direction) - weighted(name, -step * direction)) / (2 * step)
        for name, direction in directions(parameters).items()
    }


def is_staircase(policy: Policy, parameters: Mapping[str, Tensor], observation_size: int, action_size: int) -> bool:
    """Return whether the density, in float64, is a staircase: something inside is computed in a lower precision."""
    long, short = (slopes(policy, parameters, observation_size, action_size, step) for step in (1e-5, 1e-10))
    return not all(math.isclose(long[name], short[name], rel_tol=0.1, abs_tol=0.01) for name in parameters)


def entropy_of(distribution: DistributionLike) -> Tensor | None:
    """Return a distribution's entropy; None where it has none."""
    try:
        found: Tensor | None = distribution.entropy()  # type: ignore[attr-defined]
    except (AttributeError, NotImplementedError):
        return None
    return None if found is None else found.detach()


def samples_of(
    policy: Policy, parameters: Mapping[str, Tensor], observation_size: int, action_size: int, seed: int
) -> tuple[Any, Tensor] | None:
    """Return the distribution at one observation, repeated, and `SAMPLES` actions of it; None where it has no sampler.

    The seed is the global generator's, which is restored.
    """
    observations, _ = inputs(observation_size, action_size, torch.float64)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        distribution: Any = policy.distribution(parameters, observations[:1].expand(SAMPLES, -1))
        draw = getattr(distribution, "sample", None) or getattr(distribution, "rsample", None)
        return None if draw is None else (distribution, draw())


def errors_apart(one: Tensor, other: Tensor) -> float:
    """Return by how many standard errors the means of two samples, `[N, actions]`, are apart; of the worst action."""
    errors = ((one.var(0) + other.var(0)) / len(one)).sqrt()
    return float(((one.mean(0) - other.mean(0)).abs() / errors).max())
