"""Finite differences of what a policy computes, along one random direction of each parameter."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from study.policies.policy import Policy
from study.policies.seen import entropy_of, entropy_sum, inputs, over_dimensions, seeded, weighted


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """The step of finite differences, about the cube root of a precision's epsilon, and their tolerances."""

    size: float
    relative: float
    absolute: float

    def is_close(self, slope: float, expected: float) -> bool:
        """Return whether a derivative is that of finite differences."""
        return math.isclose(slope, expected, rel_tol=self.relative, abs_tol=self.absolute)


FLOAT64 = Step(size=1e-5, relative=1e-4, absolute=1e-5)
FLOAT32 = Step(size=5e-3, relative=2e-2, absolute=2e-2)
"""For policies that compute in float32 inside."""

Quantity = Callable[[Any], Tensor]
"""From a distribution of `inputs` to a number, or to one for each observation."""


def directions(parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return one random direction in the space of each parameter."""
    generator = torch.Generator().manual_seed(11)
    return {
        name: torch.randn(value.shape, generator=generator, dtype=torch.float64) for name, value in parameters.items()
    }


def along(gradients: Mapping[str, Tensor]) -> dict[str, float]:
    """Return the derivative along each parameter's direction, of gradients by parameter."""
    return {name: float((gradients[name] * direction).sum()) for name, direction in directions(gradients).items()}


def differences(
    policy: Policy, parameters: Mapping[str, Tensor], observations: Tensor, quantity: Quantity, step: float
) -> dict[str, Tensor]:
    """Return finite differences of a quantity, along each parameter's direction.

    Args:
        policy: The policy.
        parameters: The parameters, in float64.
        observations: `[N, observations]`.
        quantity: The quantity that is differentiated. Random numbers in it are the same on both sides.
        step: The distance to either side.
    """

    def at(name: str, shift: Tensor) -> Tensor:
        moved = {**parameters, name: parameters[name].detach() + shift}
        with torch.no_grad(), seeded(0):
            return quantity(policy.distribution(moved, observations))

    return {
        name: (at(name, step * direction) - at(name, -step * direction)) / (2 * step)
        for name, direction in directions(parameters).items()
    }


def density_slopes(
    policy: Policy, parameters: Mapping[str, Tensor], observation_size: int, action_size: int, step: float
) -> dict[str, float]:
    """Return finite differences of the weighted sum of log-densities that `look` differentiates."""
    observations, latent = inputs(observation_size, action_size, torch.float64)
    actions = policy.act(latent)

    def total(distribution: Any) -> Tensor:
        return weighted(over_dimensions(distribution.log_prob(actions), action_size))

    return {name: float(own) for name, own in differences(policy, parameters, observations, total, step).items()}


def entropy_slopes(
    policy: Policy, parameters: Mapping[str, Tensor], observation_size: int, action_size: int, step: float
) -> dict[str, float]:
    """Return finite differences of the weighted sum of entropies that `look` differentiates."""
    observations, _ = inputs(observation_size, action_size, torch.float64)

    def total(distribution: Any) -> Tensor:
        entropy = entropy_of(distribution)
        assert entropy is not None, "an entropy that was there"
        return entropy_sum(entropy)

    return {name: float(own) for name, own in differences(policy, parameters, observations, total, step).items()}


def is_staircase(policy: Policy, parameters: Mapping[str, Tensor], observation_size: int, action_size: int) -> bool:
    """Return whether the density is a staircase in float64, since something inside is computed in a lower precision."""
    long, short = (density_slopes(policy, parameters, observation_size, action_size, step) for step in (1e-5, 1e-10))
    return not all(math.isclose(long[name], short[name], rel_tol=0.1, abs_tol=0.01) for name in parameters)
