"""One policy alone: whether its density, samples, entropy and gradients belong to one distribution."""

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from study.policies.comparison import Finding
from study.policies.policy import Policy
from study.policies.seen import ACTIONS, POINTS, inputs, look, over_dimensions

SAMPLES = 40_000
"""Of each point."""
ERRORS = 6.0
"""Standard errors beyond which an average is another: by chance once in 500 million."""
STEP = 1e-5
"""Of finite differences in float64: about the cube root of machine epsilon."""
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
            found += _check_shape(policy, parameters, observation_size, action_size)
            found += _check_gradients(policy, parameters, observation_size, action_size)
            found += _check_samples(policy, parameters, observation_size, action_size, point)
        except ValueError as error:
            found.append(Finding(name="no distribution at moved parameters", detail=" ".join(str(error).split())[:200]))
    return list({finding.name: finding for finding in found}.values())


def assert_policy(policy: Policy, *, observation_size: int, action_size: int) -> None:
    """Fail unless a policy's density, samples, entropy and gradients belong to one distribution.

    Raises:
        AssertionError: It names what is wrong.
    """
    found = check(policy, observation_size=observation_size, action_size=action_size)
    assert not found, "that isn't a policy:\n" + "\n".join(f"- {finding}" for finding in found)


def _check_shape(
    policy: Policy, parameters: Mapping[str, Tensor], observation_size: int, action_size: int
) -> Iterator[Finding]:
    shape = look(policy, [parameters], observation_size, action_size).shape
    if shape != (ACTIONS,):
        detail = f"log-densities of {ACTIONS} actions have shape {list(shape)}, not [{ACTIONS}]"
        yield Finding(name="another shape", detail=detail)


def _check_gradients(
    policy: Policy, parameters: Mapping[str, Tensor], observation_size: int, action_size: int
) -> Iterator[Finding]:
    """Along one random direction of each parameter."""
    seen = look(policy, [parameters], observation_size, action_size)
    generator = torch.Generator().manual_seed(11)
    weights = torch.linspace(-1, 1, ACTIONS, dtype=torch.float64)
    for name, value in parameters.items():
        direction = torch.randn(value.shape, generator=generator, dtype=torch.float64)
        sums = []
        for sign in (1, -1):
            moved = {**parameters, name: (value.detach() + sign * STEP * direction).requires_grad_()}
            sums.append(float(weights @ look(policy, [moved], observation_size, action_size).log_prob))
        expected = (sums[0] - sums[1]) / (2 * STEP)
        told = float(seen.gradients[name].reshape(-1) @ direction.reshape(-1))
        if not math.isclose(told, expected, rel_tol=1e-4, abs_tol=1e-5):
            detail = f"by {name}: {told:.6g}, by finite differences {expected:.6g}"
            yield Finding(name="gradients aren't the density's", detail=detail)


def _check_samples(
    policy: Policy, parameters: Mapping[str, Tensor], observation_size: int, action_size: int, point: int
) -> Iterator[Finding]:
    observations, _ = inputs(observation_size, action_size, torch.float64)
    many = observations[:1].expand(SAMPLES, -1)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(point)
        distribution = policy.distribution(parameters, many)
        if not hasattr(distribution, "sample"):
            return
        actions = distribution.sample()
        latent = torch.atanh(actions.clamp(-1 + 1e-12, 1 - 1e-12)) if policy.bounded else actions
        centre, spread = latent.mean(0), WIDE * latent.std(0)
        probe = centre + spread * torch.randn(SAMPLES, action_size, dtype=torch.float64)
        weights = _weights(policy, distribution, probe, centre, spread)
        yield from _compare_moments(weights, latent, probe)
        log_prob = over_dimensions(distribution.log_prob(actions), action_size)
        yield from _compare_entropy(distribution, log_prob)


def _weights(policy: Policy, distribution: object, probe: Tensor, centre: Tensor, spread: Tensor) -> Tensor:
    """The density at points that a wide Gaussian drew, over that Gaussian's: its mean is the density's integral."""
    action = torch.tanh(probe) if policy.bounded else probe
    log_density = over_dimensions(distribution.log_prob(action), probe.shape[1])  # type: ignore[attr-defined]
    if policy.bounded:
        log_density = log_density + (2 * (math.log(2) - probe - torch.nn.functional.softplus(-2 * probe))).sum(1)
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
        integrated = weights[:, None] * at_probe
        errors = ((drawn.var(0) + integrated.var(0)) / len(latent)).sqrt()
        apart = (drawn.mean(0) - integrated.mean(0)).abs() / errors
        if float(apart.max()) > ERRORS:
            detail = f"their {name} is {float(apart.max()):.0f} standard errors from the density's"
            yield Finding(name="samples aren't the density's", detail=detail)
            return


def _compare_entropy(distribution: object, log_prob: Tensor) -> Iterator[Finding]:
    try:
        told = distribution.entropy()  # type: ignore[attr-defined]
    except (AttributeError, NotImplementedError):
        return
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
