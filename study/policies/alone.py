"""One policy alone: whether its density, samples, entropy and gradients belong to one distribution."""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from study.policies.comparison import Finding, no_distribution
from study.policies.policy import Policy
from study.policies.seen import (
    ACTIONS,
    ERRORS,
    POINTS,
    Seen,
    directions,
    entropy_of,
    errors_apart,
    is_staircase,
    look,
    over_dimensions,
    samples_of,
    slopes,
    tanh_log_det,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """The step of finite differences, about the cube root of a precision's epsilon, and how exact they then are."""

    size: float
    relative: float
    absolute: float


FLOAT64 = Step(size=1e-5, relative=1e-4, absolute=1e-5)
FLOAT32 = Step(size=5e-3, relative=2e-2, absolute=2e-2)
"""For what is computed in float32 inside."""
WIDE = 1.5
"""The standard deviation, over the samples', of the Gaussian by which a density is integrated: wider tails."""


def check(policy: Policy, *, observation_size: int, action_size: int) -> list[Finding]:
    """Return what is wrong with a policy, at moved parameters and in float64.

    Its density must integrate to one, samples must have the moments that the density says, the entropy must be minus
    the mean log-density, and gradients must be those of finite differences. What it has no `sample` or `entropy` for
    isn't checked.

    Args:
        policy: The policy.
        observation_size: The length of an observation.
        action_size: The length of an action.
    """
    found: list[Finding] = []
    for point in range(1, POINTS):
        parameters = policy.moved(point, torch.float64)
        try:
            seen = look(policy, [parameters], observation_size, action_size)
            found += _check_shape(seen)
            step = FLOAT32 if is_staircase(policy, parameters, observation_size, action_size) else FLOAT64
            differences = slopes(policy, parameters, observation_size, action_size, step.size)
            found += _check_gradients(seen, parameters, differences, step)
            sampled = samples_of(policy, parameters, observation_size, action_size, seed=point)
            if sampled is not None:
                found += _check_samples(policy, *sampled, seed=point)
        except ValueError as error:
            found.append(no_distribution(error))
    return list({finding.name: finding for finding in found}.values())


def assert_policy(policy: Policy, *, observation_size: int, action_size: int) -> None:
    """Fail unless a policy's density, samples, entropy and gradients belong to one distribution.

    Raises:
        AssertionError: It names what is wrong.
    """
    found = check(policy, observation_size=observation_size, action_size=action_size)
    assert not found, "that isn't a policy:\n" + "\n".join(f"- {finding}" for finding in found)


def _check_shape(seen: Seen) -> Iterator[Finding]:
    if seen.shape != (ACTIONS,):
        detail = f"log-densities of {ACTIONS} actions have shape {list(seen.shape)}, not [{ACTIONS}]"
        yield Finding(name="another shape", detail=detail)


def _check_gradients(
    seen: Seen, parameters: Mapping[str, Tensor], expected: Mapping[str, float], step: Step
) -> Iterator[Finding]:
    """Along one random direction of each parameter."""
    for name, direction in directions(parameters).items():
        told = float(seen.gradients[name].reshape(-1) @ direction.reshape(-1))
        if not math.isclose(told, expected[name], rel_tol=step.relative, abs_tol=step.absolute):
            detail = f"by {name}: {told:.6g}, by finite differences {expected[name]:.6g}"
            yield Finding(name="gradients aren't the density's", detail=detail)


def _check_samples(policy: Policy, distribution: Any, actions: Tensor, seed: int) -> Iterator[Finding]:
    latent = torch.atanh(actions.clamp(-1 + 1e-12, 1 - 1e-12)) if policy.bounded else actions
    centre, spread = latent.mean(0), WIDE * latent.std(0)
    generator = torch.Generator().manual_seed(seed)
    probe = centre + spread * torch.randn(latent.shape, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        weights = _weights(policy, distribution, probe, centre, spread)
        yield from _compare_moments(weights, latent, probe)
        log_prob = over_dimensions(distribution.log_prob(actions), actions.shape[1])
        yield from _compare_entropy(entropy_of(distribution), log_prob)


def _weights(policy: Policy, distribution: Any, probe: Tensor, centre: Tensor, spread: Tensor) -> Tensor:
    """The density at points that a wide Gaussian drew, over that Gaussian's: its mean is the density's integral."""
    action = torch.tanh(probe) if policy.bounded else probe
    log_density = over_dimensions(distribution.log_prob(action), probe.shape[1])
    if policy.bounded:
        log_density = log_density + tanh_log_det(probe)
    drawn = torch.distributions.Normal(centre, spread).log_prob(probe).sum(1)
    return torch.exp(log_density - drawn)


def _compare_moments(weights: Tensor, latent: Tensor, probe: Tensor) -> Iterator[Finding]:
    total, error = float(weights.mean()), float(weights.std()) / math.sqrt(len(weights))
    if not abs(total - 1) <= ERRORS * error + 1e-9:
        yield Finding(name="the density doesn't integrate to one", detail=f"{total:.4g} +- {error:.1g}")
        return
    centre = latent.mean(0)
    moments = {"mean": (latent, probe), "spread": ((latent - centre) ** 2, (probe - centre) ** 2)}
    for name, (drawn, at_probe) in moments.items():
        apart = errors_apart(drawn, weights[:, None] * at_probe)
        if apart > ERRORS:
            detail = f"their {name} is {apart:.0f} standard errors from the density's"
            yield Finding(name="samples aren't the density's", detail=detail)
            return


def _compare_entropy(told: Tensor | None, log_prob: Tensor) -> Iterator[Finding]:
    if told is None:
        return
    if told.shape != log_prob.shape:
        detail = f"shape {list(told.shape)}, not {list(log_prob.shape)}"
        yield Finding(name="the entropy isn't the density's", detail=detail)
        return
    expected, error = -float(log_prob.mean()), float(log_prob.std()) / math.sqrt(len(log_prob))
    if not abs(float(told.mean()) - expected) <= ERRORS * error:
        detail = f"{float(told.mean()):.4g}, minus the mean log-density {expected:.4g} +- {error:.1g}"
        yield Finding(name="the entropy isn't the density's", detail=detail)
