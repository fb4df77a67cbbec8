"""Samples of policies: whether two sets, or samples and a density, are of one distribution."""

import dataclasses
import itertools
import math
import statistics
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from study.policies.policy import Policy
from study.policies.seen import gradients, inputs, over_dimensions, seeded
from study.policies.slopes import along, differences

GROUPS = 16
"""Observations at which actions are drawn."""
DRAWS = 5_000
"""Actions at each of them, all in one batch."""
CHANCE = 1e-7
"""The probability that two sets of samples of one distribution are called different."""
EDGES = (-4.0, -3.2, -2.4, -1.6, -0.8, 0.0, 0.8, 1.6, 2.4, 3.2, 4.0)
"""Standard deviations between which actions are counted. Beyond the last, heavy tails would be noise alone."""
PATHS, PATH_DRAWS = 8, 2_000
"""Observations, and actions at each, for gradients of reparameterised samples."""
PATH_ERRORS = 12.0
"""The largest difference of these gradients in standard errors, as the root of the sum of squares over observations. It
is about 3 by chance, and less than 6."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Apart:
    """How two sets of samples differ.

    Attributes:
        name: What differs, such as "spread".
        errors: The difference in standard errors.
    """

    name: str
    errors: float


def samples_of(
    policy: Policy, parameters: Mapping[str, Tensor], observation_size: int, action_size: int, seed: int
) -> tuple[Any, Tensor] | None:
    """Return a distribution of `GROUPS` observations, each repeated, and an action of each row; None without a sampler.

    The seed is the global generator's, which is restored.
    """
    observations, _ = inputs(observation_size, action_size, torch.float64)
    with torch.no_grad(), seeded(seed):
        distribution: Any = policy.distribution(parameters, observations[:GROUPS].repeat_interleave(DRAWS, 0))
        draw = getattr(distribution, "sample", None) or getattr(distribution, "rsample", None)
        return None if draw is None else (distribution, draw().double())


def in_groups(policy: Policy, actions: Tensor) -> Tensor:
    """Return samples by observation, `[groups, draws, actions]`, before the tanh where the policy is bounded."""
    latent = torch.atanh(actions.clamp(-1 + 1e-12, 1 - 1e-12)) if policy.bounded else actions
    return latent.reshape(GROUPS, -1, actions.shape[-1])


def apart(one: Tensor, other: Tensor) -> Apart | None:
    """Return how two sets of samples, `[groups, draws, actions]`, differ; None if they don't."""
    both = torch.cat([one, other], 1)
    centre, spread = both.mean(1, keepdim=True), both.std(1, keepdim=True).clamp(min=1e-12)
    return worst(scores((one - centre) / spread, (other - centre) / spread, torch.ones_like(other[..., 0])))


def scores(one: Tensor, other: Tensor, weights: Tensor) -> dict[str, Tensor]:
    """Return the differences of averages of two sets of samples, in standard errors.

    Args:
        one: Samples, `[groups, draws, actions]`, of mean 0 and standard deviation 1 or so.
        other: The other set.
        weights: Weights of the other set's samples, `[groups, draws]`.

    Returns:
        By what is averaged, `[groups, averages]`.
    """
    found = {}
    expected = _averages(other, weights)
    for name, (mean, variance, _) in _averages(one, torch.ones_like(one[..., 0])).items():
        of_other, variance_of_other, noise = expected[name]
        error = ((torch.maximum(variance, variance_of_other) + noise).clamp(min=0) / one.shape[1]).sqrt() + 1e-12
        found[name] = (mean - of_other) / error
    return found


def _averages(x: Tensor, weights: Tensor) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
    """Return by name weighted averages, the variances of what is averaged, and those of the weighted terms."""
    within = x.clamp(EDGES[0], EDGES[-1])
    w, count, square = weights[:, None], x.shape[1], within**2

    def of(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, square, noise = ((own @ of / count)[:, 0] for own, of in ((w, values), (w, values**2), (w**2, values**2)))
        return mean, square - mean**2, noise - mean**2

    products = (w.mT * within).mT @ within / count
    terms = (
        products,
        (w.mT * square).mT @ square / count - products**2,
        ((w**2).mT * square).mT @ square / count - products**2,
    )
    first, second = torch.triu_indices(x.shape[2], x.shape[2], 1)
    shares = [of(((x > low) & (x <= high)).to(x)) for low, high in itertools.pairwise(EDGES)]
    mean, variance, noise = (torch.cat(own, 1) for own in zip(*shares, strict=True))
    found = {
        "mean": of(within),
        "spread": tuple(own.diagonal(dim1=1, dim2=2) for own in terms),
        "correlation": tuple(own[:, first, second] for own in terms),
        "shape": (mean, variance, noise),
    }
    return {name: own for name, own in found.items() if own[0].numel()}  # type: ignore[misc]


def worst(found: Mapping[str, Tensor], slack: float = 1.0) -> Apart | None:
    """Return the first kind of averages that differ by more than chance, in one group or over all; None if none does.

    Args:
        found: By name, differences in standard errors, `[groups, averages]`.
        slack: The factor by which standard errors may be too small.
    """
    values = {
        name: torch.cat([own, own.sum(0, keepdim=True) / math.sqrt(len(own))]).abs() for name, own in found.items()
    }
    tests = sum(own.numel() for own in values.values())
    limit = -slack * statistics.NormalDist().inv_cdf(CHANCE / (2 * tests))
    for name, own in values.items():
        if not float(own.max()) <= limit:
            return Apart(name=name, errors=float(own.max()))
    return None


def path_mistakes(
    policy: Policy, parameters: Mapping[str, Tensor], observation_size: int, action_size: int
) -> list[str] | None:
    """Return what is wrong with gradients of reparameterised samples; None where there is no `rsample`.

    The derivative of an average of samples is also that of the density: the average of the samples' values times the
    derivatives of their log-densities (Williams 1992, REINFORCE).
    """
    observations, _ = inputs(observation_size, action_size, torch.float64)
    measured: dict[str, list[float]] = {name: [] for name in parameters}
    off: dict[str, list[float]] = {name: [] for name in parameters}
    for group in range(PATHS):
        repeated = observations[group].expand(PATH_DRAWS, -1)
        with seeded(group):
            distribution: Any = policy.distribution(parameters, repeated)
            if getattr(distribution, "rsample", None) is None:
                return None
            try:
                drawn = distribution.rsample()
            except NotImplementedError:
                return None
        score = _score(policy, parameters, repeated, drawn.detach())
        value = _value(drawn, group)
        slopes = along(gradients(value.mean(), parameters))
        centred = (value - value.mean()).detach()
        for name, slope in slopes.items():
            terms = centred * score[name]
            error = float(terms.std()) / math.sqrt(PATH_DRAWS)
            measured[name].append(slope)
            off[name].append((slope - float(terms.mean())) / (error + 1e-9))
    wrong = [name for name in parameters if not math.hypot(*off[name]) <= PATH_ERRORS]
    kinds = {
        "no gradient": [name for name in wrong if not any(measured[name])],
        "another gradient": [name for name in wrong if any(measured[name])],
    }
    return [f"rsample: {kind} by {', by '.join(names)}" for kind, names in kinds.items() if names]


def _value(drawn: Tensor, group: int) -> Tensor:
    """Return a bounded function of samples, `[draws]`, that depends on their means and stds, weighted by dimension."""
    fixed = drawn.detach()
    scaled = (drawn - fixed.mean(0)) / fixed.std(0).clamp(min=1e-12)
    generator = torch.Generator().manual_seed(group)
    weights = torch.randn(drawn.shape[-1], generator=generator, dtype=torch.float64).to(drawn)
    return (scaled.sin() + scaled.cos()) @ weights


def _score(policy: Policy, parameters: Mapping[str, Tensor], observations: Tensor, drawn: Tensor) -> dict[str, Tensor]:
    return differences(
        policy, parameters, observations, lambda own: over_dimensions(own.log_prob(drawn), drawn.shape[-1]), 1e-3
    )
