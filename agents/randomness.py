"""The random numbers of a run: a stream for each use, all from the run's seed.

No use shifts another's stream. Runs of a seed share their streams, whatever their condition, precision and engine.
"""

from typing import NamedTuple

import numpy as np
from numpy.random import Generator, SeedSequence


class Streams(NamedTuple):
    """A run's generators, and its environments' seeds."""

    weights: int
    """seed of the `torch.Generator` that draws the initial weights"""
    noise: Generator
    """draws the actions' noise: a rollout's at once, `[steps, envs, action]`, in float64, rounded to the run's
    precision"""
    shuffling: Generator
    """draws a permutation of the batch for each epoch"""
    environments: list[int]
    """a seed for each environment"""
    jitter: Generator
    """draws the neighbours to which weights are jittered: each replicate has its own"""


def streams(seed: int, num_envs: int, replicate: int = 0) -> Streams:
    """Return the streams of a run of this seed."""
    weights, noise, shuffling, environments, jitter = SeedSequence(seed).spawn(5)
    return Streams(
        weights=int(np.random.default_rng(weights).integers(2**63)),
        noise=np.random.default_rng(noise),
        shuffling=np.random.default_rng(shuffling),
        environments=environments.generate_state(num_envs).tolist(),
        jitter=np.random.default_rng(jitter.spawn(replicate + 1)[replicate]),
    )
