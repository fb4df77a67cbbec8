"""The random numbers of a run: a stream for each use, all from the run's seed.

No use shifts another's. Conditions, precisions and engines share them, so that runs of a seed differ in nothing else.
"""

from typing import NamedTuple

import numpy as np
from numpy.random import Generator, SeedSequence


class Streams(NamedTuple):
    """A run's generators, and its environments' seeds."""

    weights: int
    """seed of the `torch.Generator` that draws the initial weights"""
    noise: Generator
    """of the actions: a rollout's at once, `[steps, envs, action]`, in float64, rounded to the run's precision"""
    shuffling: Generator
    """a permutation of the batch for each epoch"""
    environments: list[int]
    """a seed for each environment"""
    jitter: Generator
    """of the neighbours to which weights are jittered: each replicate has its own"""


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
