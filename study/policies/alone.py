"""One policy alone: whether its density, samples, entropy and gradients belong to one distribution."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from study.policies.comparison import Finding, no_distribution
from study.policies.policy import FAR, NEAR, Policy
from study.policies.samples import GROUPS, in_groups, path_mistakes, samples_of, scores, worst
from study.policies.seen import ACTIONS, Seen, entropy_of, look, over_dimensions, seeded, tanh_log_det
from study.policies.slopes import FLOAT32, FLOAT64, Step, along, density_slopes, entropy_slopes, is_staircase
from study.policies.trial import call_once

PROBE = torch.distributions.StudentT(torch.tensor(5.0, dtype=torch.float64))
"""The distribution of the points at which a density is integrated, in the samples' standard deviations: its tails are
heavier than most policies'."""
SATURATED = 14.0
"""The latent action beyond which its tanh rounds to 1 in float64, so that the action equals its bound."""
ENOUGH = 50
"""The smallest effective sample size of a group whose weighted averages are compared."""
SLACK = 1.3
"""The factor by which standard errors may be too small: weighted averages are skewed."""


def check(policy: Policy, *, observation_size: int, action_size: int) -> list[Finding]:
    """Return what is wrong with a policy, at moved parameters and in float64.

    Its density must integrate to one, samples must have the means, standard deviations, correlations and tails that
    the density has, the entropy must be minus the mean log-density, and gradients of the log-density and of the entropy
    must be those of finite differences. Gradients of `rsample` must be those of the density. Where it has no `sample`,
    `rsample` or `entropy`, that isn't checked.

    Args:
        policy: The policy.
        observation_size: The length of an observation.
        action_size: The length of an action.

    Raises:
        ConfigError: The policy can't be called with such sizes, has discrete actions or isn't deterministic.
    """
    sizes = observation_size, action_size
    call_once(policy, *sizes)
    found: list[Finding] = []
    drawn: list[Drawn] = []
    for point in NEAR:
        parameters = policy.moved(point, torch.float64)
        try:
            found += _check_slopes(policy, parameters, *sizes)
            sampled = samples_of(policy, parameters, *sizes, seed=point)
            if sampled is not None:
                found += _check_entropy(*sampled)
                drawn.append(_draw(policy, *sampled, seed=point))
        except ValueError as error:
            found.append(no_distribution(error))
    if drawn:
        found += _check_samples(*(torch.cat(own) for own in zip(*drawn, strict=True)))
    if not found:
        found = [*_check_far(policy, *sizes), *_check_paths(policy, *sizes)]
    return list({finding.name: finding for finding in reversed(found)}.values())[::-1]


def assert_policy(policy: Policy, *, observation_size: int, action_size: int) -> None:
    """Fail unless a policy's density, samples, entropy and gradients belong to one distribution.

    Raises:
        AssertionError: Something is wrong. The text names it.
    """
    found = check(policy, observation_size=observation_size, action_size=action_size)
    assert not found, "that isn't a policy:\n" + "\n".join(f"- {finding}" for finding in found)


def _check_shape(seen: Seen) -> Iterator[Finding]:
    if seen.shape != (ACTIONS,):
        detail = f"log-densities of {ACTIONS} actions have shape {list(seen.shape)}, not [{ACTIONS}]"
        yield Finding(name="another shape", detail=detail)


def _check_slopes(
    policy: Policy, parameters: Mapping[str, Tensor], observation_size: int, action_size: int
) -> Iterator[Finding]:
    """Yield gradients that differ from finite differences, along one random direction of each parameter."""
    sizes = observation_size, action_size
    seen = look(policy, parameters, *sizes)
    yield from _check_shape(seen)
    step = FLOAT32 if is_staircase(policy, parameters, *sizes) else FLOAT64
    expected = density_slopes(policy, parameters, *sizes, step.size)
    yield from _compare_slopes(seen.gradients, expected, step, "gradients aren't the density's")
    if seen.entropy is not None:
        expected = entropy_slopes(policy, parameters, *sizes, step.size)
        yield from _compare_slopes(seen.entropy_gradients, expected, step, "gradients aren't the entropy's")


def _compare_slopes(
    gradients: Mapping[str, Tensor], expected: Mapping[str, float], step: Step, name: str
) -> Iterator[Finding]:
    for parameter, slope in along(gradients).items():
        if not step.is_close(slope, expected[parameter]):
            detail = f"by {parameter}: {slope:.6g}, by finite differences {expected[parameter]:.6g}"
            yield Finding(name=name, detail=detail)


def _check_far(policy: Policy, observation_size: int, action_size: int) -> list[Finding]:
    """Return wrong gradients where vectors are moved further. A policy may refuse parameters there."""
    try:
        return list(_check_slopes(policy, policy.moved(FAR, torch.float64), observation_size, action_size))
    except ValueError:
        return []


def _check_paths(policy: Policy, observation_size: int, action_size: int) -> list[Finding]:
    try:
        found = path_mistakes(policy, policy.moved(NEAR[0], torch.float64), observation_size, action_size)
    except ValueError:
        return []
    return [Finding(name="gradients aren't the samples'", detail=own) for own in found or []]


Drawn = tuple[Tensor, Tensor, Tensor]
"""Samples, and points of another distribution, `[groups, draws, actions]`, with the points' weights in averages."""


def _draw(policy: Policy, distribution: Any, actions: Tensor, seed: int) -> Drawn:
    """Return samples, scaled to mean 0 and standard deviation 1, and weighted points to compare them with."""
    latent = in_groups(policy, actions)
    centre, std = latent.mean(1, keepdim=True), latent.std(1, keepdim=True).clamp(min=1e-12)
    with seeded(seed):
        probe = PROBE.sample(latent.shape).to(latent)
    with torch.no_grad():
        log_density = _density(policy, distribution, centre + std * probe)
    weights = torch.exp(log_density + (std.log() - PROBE.log_prob(probe)).sum(-1))
    return (latent - centre) / std, probe, weights


def _density(policy: Policy, distribution: Any, latent: Tensor) -> Tensor:
    """Return the log-density before the tanh, `[groups, draws]`, of latent actions, `[groups, draws, actions]`."""
    inside = latent.clamp(-SATURATED, SATURATED) if policy.bounded else latent
    action = policy.act(inside).flatten(0, 1)
    log_density = over_dimensions(distribution.log_prob(action), latent.shape[2]).reshape(latent.shape[:2])
    if policy.bounded:
        log_density = log_density + tanh_log_det(inside)
    return log_density.where((inside == latent).all(-1), -math.inf)


def _check_samples(latent: Tensor, probe: Tensor, weights: Tensor) -> Iterator[Finding]:
    """Yield the first difference of samples and density. In many dimensions too few points have weight to compare."""
    if _is_off(weights - 1):
        error = float(weights.std()) / math.sqrt(weights.numel())
        detail = f"{float(weights.mean()):.4g} +- {error:.1g}"
        yield Finding(name="the density doesn't integrate to one", detail=detail)
        return
    counting = weights.sum(1) ** 2 / (weights**2).sum(1)
    gap = worst(scores(latent, probe, weights), SLACK) if float(counting.median()) >= ENOUGH else None
    if gap is not None:
        detail = f"their {gap.name} is {gap.errors:.0f} standard errors from the density's"
        yield Finding(name="samples aren't the density's", detail=detail)


def _check_entropy(distribution: Any, actions: Tensor) -> Iterator[Finding]:
    with torch.no_grad():
        entropy, log_prob = entropy_of(distribution), over_dimensions(distribution.log_prob(actions), actions.shape[1])
    if entropy is None:
        return
    name = "the entropy isn't the density's"
    if entropy.shape != log_prob.shape:
        yield Finding(name=name, detail=f"shape {list(entropy.shape)}, not {list(log_prob.shape)}")
    elif _is_off((entropy + log_prob).reshape(GROUPS, -1)):
        expected = f"minus the mean log-density {-float(log_prob.mean()):.4g}"
        yield Finding(name=name, detail=f"{float(entropy.mean()):.4g}, {expected}")


def _is_off(values: Tensor) -> bool:
    """Return whether the average over a group, or over all, isn't zero."""
    errors = values.std(1) / math.sqrt(values.shape[1]) + 1e-9
    return worst({"average": (values.mean(1) / errors)[:, None]}, SLACK) is not None
