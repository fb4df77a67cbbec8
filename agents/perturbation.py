"""Perturbations of a run: the ULP control, and perturbations of other sizes.

In replicate k of a run, the k-th weight of the actor's first layer is moved before training. With jitter, all weights
are moved instead, by one unit in the last place, after every gradient step. The outcome changes as by round-off of that
size.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from agents.errors import NoChangeError
from agents.hyperparameters import Perturbation


class Steps(Protocol):
    """An optimizer: torch's own, or the engine's."""

    def register_step_post_hook(self, hook: Callable[..., None]) -> object:
        """Register a function that is called after each step."""


def perturb(
    first_layer: Tensor,
    weights: Sequence[Tensor],
    optimizer: Steps,
    replicate: int,
    perturbation: Perturbation,
    rng: np.random.Generator,
) -> None:
    """Move a weight now, in place, or have all weights moved after each step.

    Args:
        first_layer: Weights of the actor's first layer, `[in, out]`.
        weights: All that is learned.
        optimizer: The optimizer after whose steps weights are jittered.
        replicate: Which weight of the first layer is moved, counted from 1, row by row.
        perturbation: How it is moved.
        rng: The run's own generator, for jitter.

    Raises:
        NoChangeError: The perturbation changes no bit, since it is smaller than the precision.
    """
    if perturbation == "jitter":

        def jitter_all(*_: Any) -> None:
            for part in weights:
                jitter(part, rng)

        optimizer.register_step_post_hook(jitter_all)
        return
    weight = first_layer[tuple(int(index) for index in np.unravel_index(replicate - 1, first_layer.shape))]
    before = weight.clone()
    moved: Any = before.double() * (1 + perturbation) if isinstance(perturbation, float) else one_ulp_up(before)
    weight.copy_(moved)
    if torch.equal(weight, before):
        raise NoChangeError(f"perturbation {perturbation} changes no bit of a weight in {before.dtype}")


def one_ulp_up(weights: Tensor) -> Tensor:
    """Return the next larger representable numbers."""
    return weights.nextafter(torch.full_like(weights, torch.inf))


def jitter(weights: Tensor, rng: np.random.Generator) -> None:
    """Move every weight to one of its neighbours, in place. Zeros stay: their neighbours are denormal."""
    up = torch.from_numpy(rng.random(tuple(weights.shape)) < 0.5).to(weights.device)
    towards = torch.where(up, torch.inf, -torch.inf).to(weights.dtype)
    weights.copy_(torch.where(weights == 0, weights, weights.nextafter(towards)))
