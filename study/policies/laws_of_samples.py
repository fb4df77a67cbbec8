"""The mistakes of samples that have a name: how each changes samples of the right policy."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from study.policies.samples import Apart, apart

Samples = Callable[[Tensor, Tensor], Tensor]


def _noise_is(noise: Callable[[Tensor], Tensor]) -> Samples:
    """Return the law of samples with other noise, a function of noise of mean 0 and standard deviation 1."""

    def become(one: Tensor, _: Tensor) -> Tensor:
        centre, std = one.mean(1, keepdim=True), one.std(1, keepdim=True)
        return centre + std * noise((one - centre) / std)

    return become


def _std_of_samples_is(std: Callable[[Tensor], Tensor]) -> Samples:
    """Return the law of samples whose standard deviation is a function of the right one."""
    return lambda one, _: (
        one.mean(1, keepdim=True) + (one - one.mean(1, keepdim=True)) * (std(own := one.std(1, keepdim=True)) / own)
    )


def _by_a_constant(one: Tensor, other: Tensor) -> Tensor:
    factor = (other.std(1) / one.std(1)).mean()
    return _std_of_samples_is(lambda std: factor * std)(one, other)


SAMPLES: dict[str, Samples] = {
    "samples: variance used as a std": _std_of_samples_is(torch.square),
    "samples: std used as a variance": _std_of_samples_is(torch.sqrt),
    "samples: the same mean for all observations": lambda one, other: (
        one - one.mean(1, keepdim=True) + other.mean((0, 1))
    ),
    "samples: noise shared over action dimensions": _noise_is(lambda noise: noise[..., :1].expand_as(noise)),
    "samples: uniform noise": _noise_is(lambda noise: math.sqrt(12) * (torch.special.ndtr(noise) - 0.5)),
    "samples: clipped": lambda one, other: one.clamp(other.amin(1, keepdim=True), other.amax(1, keepdim=True)),
    "samples: std times a constant": _by_a_constant,
}
"""How each mistake changes a's samples, `[observations, draws, actions]`, given b's."""


def name_samples(pairs: Sequence[tuple[Tensor, Tensor]]) -> tuple[str, Apart] | None:
    """Return the name of the mistake by which b's samples differ from a's, and how far; None if they don't differ.

    Args:
        pairs: Samples of both, `[observations, draws, actions]`, for each value of the parameters.
    """
    found = _apart(pairs)
    if found is None:
        return None
    for name, become in SAMPLES.items():
        if _apart([(become(one, other), other) for one, other in pairs]) is None:
            return name, found
    return "samples of another distribution", found


def _apart(pairs: Sequence[tuple[Tensor, Tensor]]) -> Apart | None:
    one, other = (torch.cat(own) for own in zip(*pairs, strict=True))
    return apart(one, other)
