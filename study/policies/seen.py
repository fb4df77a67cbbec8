"""What is seen of a policy: log-densities of actions, the Gaussian that fits them, gradients and entropy."""

import contextlib
import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from study.policies.policy import DistributionLike, Policy

ACTIONS = 64
"""The number of actions, and of observations, at each point."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seen:
    """What is seen of a policy at actions `[N, actions]`, of all points one after the other.

    Attributes:
        actions: The actions.
        latent: The actions before the tanh where the policy is bounded; otherwise the actions.
        shape: The shape of the log-densities of one point, as the policy has them.
        log_prob: `[N]`, summed over action dimensions where the policy doesn't.
        precision: `[N, actions, actions]`, minus the second derivatives of the log-density by the latent action: a
            Gaussian's precision matrix.
        mean: `[N, actions]`, of the diagonal Gaussian with these first derivatives and this diagonal of the second.
        variance: `[N, actions]`, of the same Gaussian.
        gradients: By parameter, `[points, numbers]`, of a weighted sum of log-densities.
        entropy: The entropy as the policy has it, for each point; None where it has none.
        entropy_gradients: By parameter, `[points, numbers]`, of a weighted sum of entropies.
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
    entropy_gradients: Mapping[str, Tensor]

    @property
    def width(self) -> int:
        """Return the number of action dimensions."""
        return self.actions.shape[1]

    @property
    def std(self) -> Tensor:
        """Return the standard deviation of the Gaussian, `[N, actions]`."""
        return self.variance.abs().sqrt()


def inputs(observation_size: int, action_size: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return observations `[N, observations]` and latent actions `[N, actions]`: the same numbers in each precision."""
    generator = torch.Generator().manual_seed(7)
    observations = torch.randn(ACTIONS, observation_size, generator=generator, dtype=torch.float64)
    latent = 1.5 * torch.randn(ACTIONS, action_size, generator=generator, dtype=torch.float64)
    return observations.to(dtype), latent.to(dtype)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global generator, and restore it afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@contextlib.contextmanager
def validating() -> Iterator[None]:
    """Let distributions refuse wrong parameters, and restore what was: `torch.compile` turns this off for good."""
    was = _refuses_a_negative_std()
    torch.distributions.Distribution.set_default_validate_args(True)
    try:
        yield
    finally:
        torch.distributions.Distribution.set_default_validate_args(was)


def _refuses_a_negative_std() -> bool:
    try:
        torch.distributions.Normal(torch.tensor(0.0), torch.tensor(-1.0))
    except ValueError:
        return True
    return False


def combine(points: Sequence[Seen]) -> Seen:
    """Return what is seen at several values of the parameters as one."""
    entropies = [point.entropy for point in points]
    return Seen(
        shape=points[0].shape,
        gradients=_stack([point.gradients for point in points]),
        entropy=None if None in entropies else [own[0] for own in entropies if own is not None],
        entropy_gradients=_stack([point.entropy_gradients for point in points]),
        **{
            name: torch.cat([getattr(point, name) for point in points])
            for name in ("actions", "latent", "log_prob", "precision", "mean", "variance")
        },
    )


def _stack(points: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack([point[name].reshape(-1) for point in points]) for name in points[0]}


def look(policy: Policy, parameters: Mapping[str, Tensor], observation_size: int, action_size: int) -> Seen:
    """Return what is seen of a policy at some parameters.

    Raises:
        ValueError: `torch.distributions` refuse a parameter, such as a negative std.
    """
    dtype = next(iter(parameters.values())).dtype
    observations, latent = inputs(observation_size, action_size, dtype)
    latent.requires_grad_()
    with seeded(0), validating():
        distribution = policy.distribution(parameters, observations)
        entropy = entropy_of(distribution)
    actions = policy.act(latent)
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
        gradients=gradients(weighted(log_prob), parameters),
        entropy=None if entropy is None else [entropy.detach()],
        entropy_gradients={} if entropy is None else gradients(entropy_sum(entropy), parameters),
    )


def over_dimensions(log_prob: Tensor, action_size: int) -> Tensor:
    """Return log-densities `[N]`, summed over action dimensions where a policy doesn't sum them."""
    if log_prob.dim() > 1 and log_prob.shape[-1] == action_size:
        log_prob = log_prob.sum(-1)
    return log_prob.reshape(len(log_prob), -1).mean(-1)


def tanh_log_det(latent: Tensor) -> Tensor:
    """Return the log-determinant of the tanh, `[N]`: log(1 - tanh(x)^2), written so that it doesn't cancel."""
    return (2 * (math.log(2) - latent - torch.nn.functional.softplus(-2 * latent))).sum(-1)


def _derivatives(log_prob: Tensor, latent: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first, `[N, actions]`, and second, `[N, actions, actions]`, derivatives of a log-density."""
    (first,) = torch.autograd.grad(log_prob.sum(), latent, create_graph=True)
    second = torch.zeros(*first.shape, first.shape[1], dtype=first.dtype)
    if first.requires_grad:
        for dimension in range(first.shape[1]):
            (own,) = torch.autograd.grad(first[:, dimension].sum(), latent, retain_graph=True, allow_unused=True)
            second[:, dimension] = 0.0 if own is None else own
    return first.detach(), second


def weighted(log_prob: Tensor) -> Tensor:
    """Return a sum with another weight for each action, so that no symmetry hides a difference."""
    return torch.linspace(-1, 1, len(log_prob), dtype=log_prob.dtype) @ log_prob


def entropy_sum(entropy: Tensor) -> Tensor:
    """Return a sum of entropies with weights that don't cancel: many policies have the same for each observation."""
    rows = entropy.reshape(len(entropy), -1).sum(1) if entropy.dim() else entropy.reshape(1)
    return torch.linspace(0.5, 1.5, len(rows), dtype=rows.dtype) @ rows


def gradients(value: Tensor, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return gradients of a number by each parameter; zeros where it doesn't depend on one."""
    found: Sequence[Tensor | None] = [None] * len(parameters)
    if value.requires_grad:
        found = torch.autograd.grad(value, list(parameters.values()), allow_unused=True, retain_graph=True)
    return {
        name: torch.zeros_like(own) if gradient is None else gradient.detach()
        for (name, own), gradient in zip(parameters.items(), found, strict=True)
    }


def entropy_of(distribution: DistributionLike) -> Tensor | None:
    """Return a distribution's entropy; None where it has none."""
    try:
        found: Tensor | None = distribution.entropy()  # type: ignore[attr-defined]
    except (AttributeError, NotImplementedError):
        return None
    return found
