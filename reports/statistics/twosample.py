"""Tests of unpaired runs: permutations of their labels, and the intervals that they invert to.

Under the hypothesis that the difference is m, runs at the level, less m, are as runs at the reference, so that labels
may be permuted within strata. The statistic is the difference over its standard error (Janssen 1997), so that levels of
unequal variance are tested too, if not exactly. All tests and intervals come from the same permutations.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from reports.statistics.basics import ALPHA, BLOCK, Array

PERMUTATIONS = 10_000
"""Permutations up to which all are tried; where there are more, this number is drawn."""
SEED = 0
"""Of the generator that draws permutations."""

DOUBLINGS, HALVINGS = 60, 40
"""Steps in which an interval's end is sought: first each of twice the size, and then bisections."""

Stratum = tuple[Array, Array]
"""Outcomes at the reference and at the level, `[runs]` each."""


@dataclasses.dataclass(frozen=True)
class TwoSample:
    """The difference of two levels' means, averaged over strata.

    Attributes:
        strata: In each of them, both levels' outcomes.
    """

    strata: Sequence[Stratum]

    @property
    def size(self) -> int:
        """The number of runs at the level that has fewer."""
        return min(sum(len(side) for side in sides) for sides in zip(*self.strata, strict=True))

    @functools.cached_property
    def estimate(self) -> float:
        """The mean over strata of the level's mean less the reference's."""
        return float(np.mean([level.mean() - reference.mean() for reference, level in self.strata]))

    @functools.cached_property
    def error(self) -> float | None:
        """The estimate's standard error (Welch 1938); None where it isn't known, or is zero."""
        if not self._has_variances:
            return None
        variances = [float(side.var(ddof=1)) / len(side) for stratum in self.strata for side in stratum]
        return math.sqrt(sum(variances)) / len(self.strata) or None

    @property
    def _has_variances(self) -> bool:
        """Whether no level has a single run in any stratum."""
        return all(len(side) > 1 for stratum in self.strata for side in stratum)

    @functools.cached_property
    def _permuted(self) -> "_Permuted":
        return _Permuted(self.strata)

    def p_greater(self, centre: float) -> float:
        """Return the one-sided p against "the difference is at most `centre`"."""
        return self._permuted.shares(centre)[0] if self._has_variances else 1.0

    def p_less(self, centre: float) -> float:
        """Return the one-sided p against "the difference is at least `centre`"."""
        return self._permuted.shares(centre)[1] if self._has_variances else 1.0

    def p_two_sided(self, centre: float = 0.0) -> float:
        """Return the two-sided p against "the difference is `centre`"."""
        return min(1.0, 2 * min(self._permuted.shares(centre))) if self._has_variances else 1.0

    def interval(self, confidence: float = 1 - ALPHA) -> tuple[float, float]:
        """Return the ends of all differences that the two-sided test doesn't reject; infinite with too few runs.

        Zero is outside exactly where the test rejects it.
        """
        tail = (1 - confidence) / 2 * (1 + 1e-9)
        if tail < self.smallest_p / 2:
            return -math.inf, math.inf
        step = self.error or abs(self.estimate) or 1.0
        return (
            _end(lambda centre: self.p_greater(centre) > tail, self.estimate, -step),
            _end(lambda centre: self.p_less(centre) > tail, self.estimate, step),
        )

    @property
    def smallest_p(self) -> float:
        """The smallest two-sided p that this number of runs can have."""
        return min(1.0, 2 / self._permuted.size) if self._has_variances else 1.0


def _end(is_inside: Callable[[float], bool], estimate: float, step: float) -> float:
    """Return where an interval around the estimate ends, in the direction of the step; infinite if nowhere.

    Zero is tried first where it lies in that direction, so that the interval holds it exactly where the test keeps it.
    """
    inside, outside = estimate, math.nan
    if estimate * step < 0:
        inside, outside = (0.0, math.nan) if is_inside(0.0) else (inside, 0.0)
    for _ in range(DOUBLINGS):
        if not math.isnan(outside):
            break
        inside, outside = (inside + step, math.nan) if is_inside(inside + step) else (inside, inside + step)
        step *= 2
    if math.isnan(outside):
        return math.copysign(math.inf, step)
    for _ in range(HALVINGS):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if is_inside(middle) else (inside, middle)
    return inside


class _Permuted:
    """The statistic under permutations of the labels, for any hypothetical difference m.

    With z one for runs at the level and zero for others, sums of (x - m z) and of its square follow from those of x, z,
    x^2 and x z, which are computed once for each permutation and hold for all m.
    """

    def __init__(self, strata: Sequence[Stratum]) -> None:
        shapes = [(len(level), len(reference)) for reference, level in strata]
        is_exact = math.prod(math.comb(a + b, a) for a, b in shapes) <= PERMUTATIONS
        labels = [[_all_labels(*shape)] if is_exact else _drawn_labels(*shape, k) for k, shape in enumerate(shapes)]
        sums = [_sums(*both) for both in zip(strata, labels, strict=True)]
        if is_exact:
            chosen = np.indices([level.shape[1] for level, _ in sums]).reshape(len(sums), -1)
            sums = [(level[:, rows], reference[:, rows]) for (level, reference), rows in zip(sums, chosen, strict=True)]
        self.size = sums[0][0].shape[1]
        self._sides = [
            (number, side)
            for shape, sides in zip(shapes, sums, strict=True)
            for number, side in zip(shape, sides, strict=True)
        ]

    def shares(self, centre: float) -> tuple[float, float]:
        """Return the shares of permutations whose statistic is at least, and at most, that of the actual labels."""
        estimates, variances = np.zeros(self.size), np.zeros(self.size)
        for index, (number, (x, z, squares, products)) in enumerate(self._sides):
            total = x - centre * z
            square = squares - 2 * centre * products + centre**2 * z
            rest = square - total**2 / number
            estimates += (total if index % 2 == 0 else -total) / number
            variances += np.where(rest > 1e-12 * square, rest, 0.0) / (number * (number - 1))
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.nan_to_num(estimates / np.sqrt(variances), nan=0.0, posinf=np.inf, neginf=-np.inf)
        ties = np.isclose(values, values[0], rtol=1e-9, atol=1e-9)
        return float(((values > values[0]) | ties).mean()), float(((values < values[0]) | ties).mean())


def _sums(stratum: Stratum, labels: Iterable[Array]) -> tuple[Array, Array]:
    """Return sums of x, z, x^2 and x z over the runs of both labels, the level's first, `[4, permutations]` each."""
    reference, level = stratum
    x = np.concatenate([level, reference])
    x = x - x.mean()
    z = np.arange(len(x)) < len(level)
    moments = np.stack([x, z, x**2, x * z])
    sums = np.concatenate([moments @ some.T for some in labels], axis=1)
    return sums, moments.sum(axis=1)[:, None] - sums


@functools.lru_cache(maxsize=16)
def _all_labels(level: int, reference: int) -> Array:
    """Return all labels, `[permutations, runs]`, 1 for the level's. The first are the actual ones, its runs first."""
    chosen = list(itertools.combinations(range(level + reference), level))
    labels = np.zeros((len(chosen), level + reference))
    labels[np.arange(len(chosen))[:, None], chosen] = 1.0
    return labels


def _drawn_labels(level: int, reference: int, stratum: int) -> Iterator[Array]:
    """Yield drawn labels, some permutations at once: always the same for these arguments, but others by stratum."""
    rng = np.random.default_rng([SEED, stratum])
    own = (np.arange(level + reference) < level).astype(float)
    yield own[None]
    rows = max(1, BLOCK // len(own))
    for start in range(0, PERMUTATIONS, rows):
        yield rng.permuted(np.broadcast_to(own, (min(rows, PERMUTATIONS - start), len(own))), axis=1)
