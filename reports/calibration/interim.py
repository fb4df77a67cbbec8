"""Errors of the sequential procedure: `python -m reports.calibration.interim` prints the table in docs/seeds.md.

Studies of known truth are drawn, and analysed until they are decided. A false decision is counted once for each study,
whenever it is made: "different" of an effect that is zero, "equivalent" of one at the margin.
"""

import dataclasses
import itertools
import sys
from collections.abc import Callable, Mapping

import numpy as np
from rich.console import Console
from rich.progress import track

from reports.calibration.studies import SHAPES
from reports.statistics import Array
from reports.statistics.sequential import Decision, InterimAnalysis, Schedule, analyse_interim

STUDIES = 4000
"""Simulated for each line: the standard error of 5% is 0.34%."""
FLIPS = 10_000
"""Patterns of signs for each study, the observed one among them."""
MARGINS = (0.5, 1.0)
"""Equivalence margins, in standard deviations of the differences."""
BUDGET = 30

NOISES: dict[str, Callable[[np.random.Generator, tuple[int, ...]], Array]] = {
    "normal": lambda rng, size: rng.normal(size=size),
    "heavy tails (t, 3 df)": lambda rng, size: rng.standard_t(3, size=size) / np.sqrt(3),
    "two modes": lambda rng, size: rng.choice([-0.95, 0.95], size=size) + 0.31 * rng.normal(size=size),
    "of runs that may fail": lambda rng, size: (
        (SHAPES["bimodal"](rng, size) - SHAPES["bimodal"](rng, size)) / np.sqrt(2)
    ),
    "skewed (gamma, skewness 1)": lambda rng, size: (rng.gamma(4, size=size) - 4) / 2,
}
"""Distributions of the differences within seeds: mean 0, standard deviation 1. All but the last are symmetric."""

FIRST = 10
"""Seeds at the first analysis."""
SCHEDULES = {
    f"{FIRST}, {FIRST + 2}, ... {BUDGET}": Schedule(analyses=tuple(range(FIRST, BUDGET + 1, 2))),
    f"{FIRST}, {FIRST + 1}, ... {BUDGET}": Schedule(analyses=tuple(range(FIRST, BUDGET + 1))),
}

TRUTHS: dict[str, tuple[tuple[float, float], Decision]] = {
    "both zero": ((0.0, 0.0), "different"),
    "one zero, one large": ((0.0, 2.0), "different"),
    "one at the margin": ((1.0, 0.0), "equivalent"),
}
"""Two effects, and the decision that would be false on the first, or on any that is equal to it.

Effects are in margins, a large one in standard deviations of the differences.
"""


class _Test:
    """Sign flips of an effect, with the same patterns at every analysis, as if all had been tried."""

    def __init__(self, differences: Array, margin: float, flips: Array) -> None:
        """Count the patterns for the centres 0 and plus and minus the margin.

        Args:
            differences: `[budget]`.
            margin: The equivalence margin.
            flips: `[patterns, budget]`, 1 where a sign is changed.
        """
        # Flipping signs makes a sum no smaller exactly if what is flipped sums to no more than zero.
        flipped, counts = np.cumsum(flips * differences, axis=1), np.cumsum(flips, axis=1)
        self._p = {}
        for centre in (-margin, 0.0, margin):
            greater, less = flipped <= centre * counts, flipped >= centre * counts
            self._p[centre] = tuple((1 + np.count_nonzero(more, axis=0)) / FLIPS for more in (greater, less))

    def after(self, seeds: int) -> "_Seen":
        """Return the test of the first seeds."""
        return _Seen({centre: (greater[seeds - 1], less[seeds - 1]) for centre, (greater, less) in self._p.items()})


@dataclasses.dataclass(frozen=True)
class _Seen:
    p: Mapping[float, tuple[float, float]]

    def p_greater(self, centre: float) -> float:
        return self.p[centre][0]

    def p_less(self, centre: float) -> float:
        return self.p[centre][1]

    def interval(self, confidence: float) -> tuple[float, float]:  # noqa: ARG002
        return float("-inf"), float("inf")


def last_analyses(noise: str, truth: str, margin: float, rng: np.random.Generator) -> dict[str, InterimAnalysis]:
    """Return the last analysis of one drawn study, by each schedule."""
    flips = (rng.random((FLIPS - 1, BUDGET)) < 0.5).astype(float)
    data = NOISES[noise](rng, (2, BUDGET)) + np.array(_effects(truth, margin))[:, None]
    tests = {values[0]: _Test(values, margin, flips) for values in data}
    differences = {"a": data[0], "b": data[1]}
    return {
        name: analyse_interim(differences, margin, schedule, lambda values: tests[values[0]].after(len(values)))[-1]
        for name, schedule in SCHEDULES.items()
    }


def _effects(truth: str, margin: float) -> list[float]:
    return [margin if effect == 1.0 else effect for effect in TRUTHS[truth][0]]


def is_false(seen: InterimAnalysis, truth: str) -> bool:
    """Return whether a decision was made that is false in this truth."""
    effects, false = TRUTHS[truth]
    return any(
        effect == effects[0] and finding.decision == false
        for effect, finding in zip(effects, seen.findings.values(), strict=True)
    )


def main() -> None:
    """Print the table: a row for each distribution, margin and schedule."""
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else STUDIES
    columns = [f'{truth}: false "{false}", seeds' for truth, (_, false) in TRUTHS.items()]
    print(f"| differences | margin | analyses | {' | '.join(columns)} |")
    print(f"|---|---|---|{'---|' * len(TRUTHS)}")
    for noise, margin in itertools.product(NOISES, MARGINS):
        cells: dict[str, list[str]] = {name: [] for name in SCHEDULES}
        for truth in TRUTHS:
            rng = np.random.default_rng(0)
            progress = track(range(studies), f"{noise}, {margin}, {truth}", console=Console(stderr=True))
            ends = [last_analyses(noise, truth, margin, rng) for _ in progress]
            for name, row in cells.items():
                false = np.mean([is_false(end[name], truth) for end in ends])
                row.append(f"{false:.1%}, {np.mean([end[name].seeds for end in ends]):.0f}")
        for name, row in cells.items():
            print(f"| {noise} | {margin} | {name} | {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
