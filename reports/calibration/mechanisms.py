"""The rate at which the mechanism is read wrongly, on synthetic gaps that grow as those of PPO on Pendulum do.

There, the first gaps of 60 pairs have a spread of about half a bit about those of round-off. Then they grow by 4 bits
an update, with a standard deviation of 2 for each seed and update, until the runs are apart.
"""

import dataclasses
from typing import Literal

import numpy as np

from reports.analysis.conclusions import Reading
from reports.analysis.mechanism import DOUBLE, SINGLE, Gaps, read_mechanism
from reports.statistics import Array

FIRST = {SINGLE: 2.0**-24, DOUBLE: 2.0**-53}
"""A first gap of round-off, and of the ULP control."""
UPDATES = 40
APART = 0.5
"""The gap of runs that have nothing in common."""

Kind = Literal["round-off", "real", "real, 100 times one ULP", "late, the same bits before", "late, round-off before"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Truth:
    """The true difference of two arms.

    Attributes:
        name: In words.
        reading: The right reading.
        size: A difference beside round-off, as a relative gap; zero for none.
        update: The first update with it, counted from 1.
        is_identical: Whether there is no round-off.
    """

    name: Kind
    reading: Reading
    size: float = 0.0
    update: int = 1
    is_identical: bool = False


TRUTHS = (
    Truth(name="round-off", reading="round-off"),
    Truth(name="real", reading="real", size=1e-3),
    Truth(name="real, 100 times one ULP", reading="real", size=100 * FIRST[DOUBLE]),
    Truth(name="late, the same bits before", reading="late", size=1e-3, update=5, is_identical=True),
    Truth(name="late, round-off before", reading="late", size=1e-2, update=7),
)


def wrong(truth: Truth, seeds: int, studies: int, controlled: bool = True) -> float:
    """Return the share of studies in which the mechanism is read wrongly.

    Args:
        truth: The true difference of the arms.
        seeds: Of each study, each in both precisions.
        studies: The number of studies.
        controlled: Whether there are ULP controls.
    """
    rng = np.random.default_rng([TRUTHS.index(truth), seeds])
    return float(np.mean([_reading(truth, seeds, controlled, rng) != truth.reading for _ in range(studies)]))


def _reading(truth: Truth, seeds: int, controlled: bool, rng: np.random.Generator) -> Reading:
    pair = [_gaps("a", "b", precision, seeds, truth, rng) for precision in FIRST]
    controls = [
        _gaps(arm, arm, precision, seeds, TRUTHS[0], rng) for arm in ("a", "b") for precision in FIRST if controlled
    ]
    return read_mechanism(pair, controls).reading


def _gaps(a: str, b: str, precision: str, seeds: int, truth: Truth, rng: np.random.Generator) -> Gaps:
    first = FIRST[precision] * 2.0 ** rng.normal(0, 0.5, seeds)
    gaps = _grown(np.zeros(seeds) if truth.is_identical else first, rng)
    if truth.size:
        start = truth.update - 1
        gaps[:, start:] = np.minimum(
            APART, gaps[:, start:] + _grown(np.full(seeds, truth.size), rng)[:, : UPDATES - start]
        )
    return Gaps(a=a, b=b, precision=precision, seeds=list(range(seeds)), gaps=gaps, first_tensor=None)


def _grown(first: Array, rng: np.random.Generator) -> Array:
    """Return gaps that grow from the first ones: `[seeds]` to `[seeds, UPDATES]`."""
    growth = np.cumsum(rng.normal(4, 2, (len(first), UPDATES)), axis=1)
    return np.asarray(np.minimum(APART, first[:, None] * 2.0 ** (growth - growth[:, :1])))
