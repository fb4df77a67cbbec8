"""What a run is called, what it says of each update, and what it amounts to."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agents.conditions import Condition

EVALUATION_SEED = 1_000_000_000
"""Seed of the first evaluation episode of every run; the others count on from it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """What sets a run apart from the others of its cohort."""

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
    episodes: int
    """how many did"""
    std: float
    """the policy's standard deviation after the update, whatever the scale means; the mean over action dimensions"""
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
    """What a finished run amounts to. Returns are undiscounted sums of the environment's own rewards."""

    final_return: float
    """mean over the last tenth of the training episodes, one at least"""
    auc_return: float
    """mean of the updates' `episodic_return`"""
    eval_return: float
    """mean return of the deterministic policy, over evaluation seeds that are the same for every run"""
    final_std: float
    """the policy's standard deviation after training; the mean over action dimensions"""


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why a run can't go on, or has no outcome."""

    reason: str


def summarise(
    by_update: Sequence[NDArray[np.float64]], eval_returns: NDArray[np.float64], std: float
) -> Outcome | Failure:
    """Sum a run up.

    Args:
        by_update: The returns of the training episodes that ended, in each update's rollout.
        eval_returns: Of the evaluation's episodes.
        std: The trained policy's.
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
