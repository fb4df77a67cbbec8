"""A run's name, the record of each of its updates, and its outcome."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agents.conditions import Condition

EVALUATION_SEED = 1_000_000_000
"""Seed of the first evaluation episode of every run; the others count on from it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """What tells a run from the others of its cohort."""

    condition: Condition
    seed: int
    replicate: int = 0
    """0, or k to move the k-th weight of the actor's first layer to the next representable number before training"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """One update of one run. Losses are means over the update's gradient steps, gradient norms are before clipping."""

    update: int
    """counted from 1"""
    global_step: int
    """environment steps so far"""
    learning_rate: float
    episodic_return: float
    """mean return of the training episodes that ended in this update's rollout; NaN if none did"""
    episodic_length: float
    """mean number of steps of those episodes; NaN if there are none"""
    episodes: int
    """number of those episodes"""
    std: float
    """the policy's standard deviation after the update, for either parameterization; the mean over action dimensions"""
    entropy: float
    approx_kl: float
    clipfrac: float
    policy_loss: float
    value_loss: float
    explained_variance: float
    grad_norm: float
    scale_grad_norm: float
    """of the raw scale's part of the gradient"""
    params_sha256: str
    """hash of the bytes of all parameters, in the order of `agents.fingerprints.TENSORS`"""
    params_norm: float
    """their Euclidean norm"""
    fingerprint: list[float]
    """a random projection of how far they have moved: `agents.fingerprints.sketch`"""
    tensor_sha256: dict[str, str] | None
    """in the first updates, the beginning of a hash of each tensor, by its name"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of a finished run. Returns are undiscounted sums of the environment's own rewards."""

    final_return: float
    """mean over the last tenth of the training episodes, at least one"""
    auc_return: float
    """mean of the updates' `episodic_return`"""
    eval_return: float
    """mean return of the deterministic policy, over evaluation seeds that are the same for every run"""
    final_std: float
    """the policy's standard deviation after training; the mean over action dimensions"""


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why a run can't continue, or has no outcome."""

    reason: str


def summarise(
    by_update: Sequence[NDArray[np.float64]], eval_returns: NDArray[np.float64], std: float
) -> Outcome | Failure:
    """Return a run's outcome, or a failure if no training episode ended.

    Args:
        by_update: The returns of the training episodes that ended, in each update's rollout.
        eval_returns: The returns of the evaluation's episodes.
        std: The trained policy's standard deviation, the mean over action dimensions.
    """
    episodes = np.concatenate(by_update)
    if not len(episodes):
        return Failure("no training episode ended: train for longer")
    return Outcome(
        final_return=float(episodes[-max(1, len(episodes) // 10) :].mean()),
        auc_return=float(np.array([returns.mean() for returns in by_update if len(returns)]).mean()),
        eval_return=float(eval_returns.mean()),
        final_std=std,
    )
