"""The thread's numbers on this machine: the four policies for the same noise, without any training.

"Log-probabilities agreed, gradients with respect to std differed by a factor of two": both because every std was 1.
"""

import json
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from agents.conditions import CONDITIONS, Condition, Parameterization, name_of
from agents.hyperparameters import Precision
from agents.policies import POLICIES

Floats = NDArray[np.floating[Any]]
Numbers = dict[str, float | list[float]]
Probe = dict[Precision, dict[Condition, Numbers]]

VARIANCE, STD = (
    (name_of(parameterization, "mvn"), name_of(parameterization, "normal"))
    for parameterization in get_args(Parameterization)
)
"""The conditions whose scale is a variance, and those whose scale is a std."""

SHOWN = 10
"""Dimensions that are printed."""


def probe(n: int, seed: int, scale: float) -> Probe:
    """Return what each condition computes for an action that it draws by the thread's seed.

    Args:
        n: Dimensions of the action.
        seed: Of the noise.
        scale: The learned scale, in every dimension; the mean is zero.

    Returns:
        By precision and condition: the `sample`, `[n]`, its `log_prob`, and the gradients of that, `grad_mean` and
        `grad_scale`, `[n]` each.
    """
    return {
        precision: {condition: _probe(condition, getattr(torch, precision), n, seed, scale) for condition in CONDITIONS}
        for precision in get_args(Precision)
    }


def _probe(condition: Condition, dtype: torch.dtype, n: int, seed: int, scale: float) -> Numbers:
    mean = torch.zeros(n, dtype=dtype, requires_grad=True)
    learned = torch.full((n,), scale, dtype=dtype, requires_grad=True)
    policy = POLICIES[condition](mean, learned)
    # The class's own sampling, which draws from torch's global generator; it is left as it was.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sample = policy.sample()
    log_prob: Tensor = policy.log_prob(sample)
    grad_mean, grad_scale = torch.autograd.grad(log_prob, (mean, learned))
    return {
        "log_prob": log_prob.item(),
        "grad_mean": grad_mean.tolist(),
        "grad_scale": grad_scale.tolist(),
        "sample": sample.tolist(),
    }


def print_json(n: int, seed: int) -> None:
    """Print the probe at scale 1, the thread's, as JSON."""
    print(json.dumps(probe(n, seed, scale=1.0)))


def print_tables(n: int, seed: int, console: Console) -> None:
    """Print what the numbers at scale 1, the thread's, and at scale 0.5 show, and then the numbers."""
    found = {scale: probe(n, seed, scale) for scale in (1.0, 0.5)}
    for scale, numbers in found.items():
        console.print(f"[bold]scale = {scale}[/bold], {n} action dimensions, torch.manual_seed({seed})")
        for line in observe(numbers):
            console.print(f"- {line}")
    for scale, numbers in found.items():
        console.print(f"\n[bold]The numbers at scale = {scale}[/bold]")
        for precision, conditions in numbers.items():
            for condition, values in conditions.items():
                console.print(f"[bold]{precision} {condition:12}[/bold] log_prob {values['log_prob']:.6f}")
                for name in ("sample", "grad_mean", "grad_scale"):
                    shown = np.asarray(values[name])[:SHOWN]
                    console.print(f"  {name:10} " + " ".join(f"{value:7.4f}" for value in shown), highlight=False)


def observe(numbers: Probe) -> list[str]:
    """Return sentences on what a probe's numbers show, a comparison each."""
    return [f"{precision}: {line}" for precision, conditions in numbers.items() for line in _observe(conditions)]


def _observe(conditions: dict[Condition, Numbers]) -> list[str]:
    def array(condition: Condition, name: str) -> Floats:
        return np.atleast_1d(np.asarray(conditions[condition][name]))

    def gap(pair: tuple[Condition, Condition], name: str) -> float:
        first, second = (array(condition, name) for condition in pair)
        return float(np.max(np.abs(first - second) / np.maximum(np.abs(first), np.finfo(float).tiny)))

    log_probs = [array(condition, "log_prob").item() for condition in conditions]
    spread = max(log_probs) - min(log_probs)
    agree = spread <= 1e-5 * max(map(abs, log_probs))
    ratio = np.concatenate(
        [array(std, "grad_scale") / array(variance, "grad_scale") for std, variance in zip(STD, VARIANCE, strict=True)]
    )
    samples = np.array([array(condition, "sample") for condition in conditions])
    lines = [
        f"log-probabilities {'agree, because every std is 1' if agree else 'differ'}: by {spread:.2g}",
        f"gradient of the scale, std over variance: {_range(ratio)}",
        "samples are identical in all four"
        if (samples == samples[0]).all()
        else f"samples differ, by up to {np.ptp(samples, axis=0).max():.2g}",
    ]
    for what, pair in (("variance", VARIANCE), ("std", STD)):
        worst = max(gap(pair, name) for name in ("log_prob", "grad_mean", "grad_scale", "sample"))
        lines.append(f"where the scale is a {what}, mvn and normal agree to a relative {worst:.1g}: round-off")
    return lines


def _range(values: Floats) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:.6g} everywhere" if np.isclose(low, high, rtol=1e-5) else f"{low:.6g} to {high:.6g}"
