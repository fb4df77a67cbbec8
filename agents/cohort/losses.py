"""The loss of PPO and its derivatives, for each run by itself.

Autograd differentiates the policy, which is the subject. The derivatives of all else are written by hand, as those of
the networks are: they are short, and autograd costs more than their arithmetic. Arrays are `[runs, batch]`, and losses
`[runs]`.
"""

import numpy as np

from agents.cohort.numerics import Floats, mean, variance
from agents.environments.clipping import clipped


def policy_loss(ratio: Floats, advantages: Floats, clip_coef: float) -> tuple[Floats, Floats]:
    """Return the clipped surrogate objective (Schulman et al. 2017, equation 7), negated, and its derivative.

    Where the clipped term is the smaller, it is constant; elsewhere a ratio's derivative in its logarithm is itself.

    Args:
        ratio: The new policy's probabilities over the old one's, `[runs, batch]`.
        advantages: The actions' advantages, `[runs, batch]`.
        clip_coef: How far from 1 a ratio may count.

    Returns:
        The loss, `[runs]`, and its derivative in the new log-probabilities, `[runs, batch]`.
    """
    unclipped = advantages * ratio
    clipped_ = advantages * clipped(ratio, 1 - clip_coef, 1 + clip_coef)
    loss = -mean(np.minimum(unclipped, clipped_))
    derivative = -np.where(unclipped <= clipped_, unclipped, 0) / ratio.shape[1]
    return loss, derivative


def value_loss(values: Floats, old_values: Floats, returns: Floats, clip_coef: float | None) -> tuple[Floats, Floats]:
    """Return half the mean squared error of the critic's values, and its derivative.

    With clipping, an error is the larger of two: that of the value, and that of the old value plus the clipped change.
    Where the latter is larger, and the change was cut, it is constant. Where the change wasn't cut, both squares are
    equal but for round-off, which must not decide whether there is a derivative.

    Args:
        values: The critic's values, `[runs, batch]`.
        old_values: Its values when the actions were taken, `[runs, batch]`.
        returns: The targets, `[runs, batch]`.
        clip_coef: The largest change; None for any.

    Returns:
        The loss, `[runs]`, and its derivative in the values, `[runs, batch]`.
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
    """Return advantages with mean 0 and standard deviation 1 in each run's minibatch, `[..., batch]`."""
    return (advantages - mean(advantages)[..., None]) / (np.sqrt(variance(advantages))[..., None] + 1e-8)
