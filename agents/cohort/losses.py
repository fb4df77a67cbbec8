"""The loss of PPO, and its derivatives: a run's each.

Autograd differentiates the policy, which is the subject. What is around it says its derivative itself, as the networks
do: each term has one of two lines, and what autograd costs there is more than the arithmetic. Arrays are
`[runs, batch]`, losses `[runs]`.
"""

import numpy as np

from agents.cohort.numerics import Floats, mean, variance
from agents.environments.clipping import clipped


def policy_loss(ratio: Floats, advantages: Floats, clip_coef: float) -> tuple[Floats, Floats]:
    """The clipped surrogate objective (Schulman et al. 2017, equation 7), negated.

    Where the clipped term is the smaller, it is constant; elsewhere a ratio's derivative in its logarithm is itself.

    Args:
        ratio: Of the new policy's probabilities to the old one's.
        advantages: Of the actions.
        clip_coef: How far from 1 a ratio may count.

    Returns:
        The loss, and its derivative in the new log-probabilities.
    """
    unclipped = advantages * ratio
    clipped_ = advantages * clipped(ratio, 1 - clip_coef, 1 + clip_coef)
    loss = -mean(np.minimum(unclipped, clipped_))
    derivative = -np.where(unclipped <= clipped_, unclipped, 0) / ratio.shape[1]
    return loss, derivative


def value_loss(values: Floats, old_values: Floats, returns: Floats, clip_coef: float | None) -> tuple[Floats, Floats]:
    """Half the mean squared error; clipped, that of the old value changed by no more than so much, if it is larger.

    Where it is larger, and the change was cut, it is constant. A change that wasn't cut gives the same square twice but
    for round-off, which must not decide whether there is a derivative.

    Args:
        values: The critic's.
        old_values: The critic's when the actions were taken.
        returns: What it should have said.
        clip_coef: The largest change; None for any.

    Returns:
        The loss, and its derivative in the values.
    """
    error = values - returns
    if clip_coef is None:
        loss = mean(np.square(error)) / 2
        derivative = error / values.shape[1]
        return loss, derivative
    change = values - old_values
    clipped_change = clipped(change, -clip_coef, clip_coef)
    unclipped, clipped_ = np.square(error), np.square(old_values + clipped_change - returns)
    loss = mean(np.maximum(unclipped, clipped_)) / 2
    derivative = np.where((clipped_change == change) | (unclipped >= clipped_), error, 0) / values.shape[1]
    return loss, derivative


def normalised(advantages: Floats) -> Floats:
    """Return advantages of mean 0 and deviation 1 in each run's minibatch, `[..., batch]`."""
    return (advantages - mean(advantages)[..., None]) / (np.sqrt(variance(advantages))[..., None] + 1e-8)
