"""What a run is called, what it says of each update, and what it amounts to."""

import dataclasses

import numpy as np

from agents.hyperparameters import Condition
from agents.networks import Floats

FINGERPRINT_SIZE = 128
"""Weights in a run's fingerprint, beside all of phi."""


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
    """the policy's standard deviation after the update, whatever theta means; the mean over action dimensions"""
    entropy: float
    approx_kl: float
    clipfrac: float
    policy_loss: float
    value_loss: float
    explained_variance: float
    grad_norm: float
    scale_grad_norm: float
    """of phi's part of the gradient"""
    params_sha256: str
    """hash of the bytes of all parameters, `ActorCritic.parameters`"""
    fingerprint: list[float]
    """exact values of `FINGERPRINT_SIZE` of these, evenly spaced from the first to the last before phi; then phi"""


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


def fingerprint(parameters: Floats, size: int) -> list[float]:
    """A run's `Record.fingerprint`. **Arguments**: its `ActorCritic.parameters`; `size`, how many of them are phi."""
    weights, phi = parameters[:-size], parameters[-size:]
    evenly = np.linspace(0, len(weights) - 1, FINGERPRINT_SIZE).round().astype(int)
    return [float(value) for value in (*weights[evenly], *phi)]
