"""How often the sequential procedure errs: `python -m reports.peeking` prints the table in docs/seeds.md.

Studies of known truth are drawn, and looked at until they are decided. A false decision is counted once a study,
whenever it is made: "different" of an effect that is zero, "equivalent" of one at the margin.
"""

import functools
import sys
from collections.abc import Callable

import numpy as np

from reports.sequential import Schedule, look
from reports.statistics import ALPHA, Array, SignFlip

STUDIES = 2000
"""Simulated for each line: the standard error of 5% is 0.5%."""
RESAMPLES = 2000
"""Sign flips for each test; a Monte Carlo p-value is valid with any number."""
MARGIN = 0.5
"""In units of the differences' deviation."""

NOISES: dict[str, Callable[[np.random.Generator, tuple[int, ...]], Array]] = {
    "normal": lambda rng, size: rng.normal(size=size),
    "heavy tails (t, 3 df)": lambda rng, size: rng.standard_t(3, size=size) / np.sqrt(3),
    "two modes": lambda rng, size: rng.choice([-0.95, 0.95], size=size) + 0.31 * rng.normal(size=size),
    "skewed (gamma, skewness 1)": lambda rng, size: (rng.gamma(4, size=size) - 4) / 2,
}
"""Of the differences within seeds; mean 0, deviation 1."""

SCHEDULES = {
    "8, 10, ... 30": Schedule(looks=tuple(range(8, 31, 2))),
    "every seed, 8 to 30": Schedule(looks=tuple(range(8, 31))),
}


def false_decisions(
    noise: str, schedule: Schedule, effects: tuple[float, float], studies: int, rng: np.random.Generator
) -> dict[str, float]:
    """Shares of studies in which an effect was decided falsely, and how many seeds they took.

    **Arguments**: `effects`, the truth, both zero or at the margin or beyond.

    **Returns**: "different", of any effect that is zero; "equivalent", of the first effect, if it is at the margin.
    """
    counts = {"different": 0, "equivalent": 0, "seeds": 0}
    for _ in range(studies):
        data = NOISES[noise](rng, (2, schedule.budget)) + np.array(effects)[:, None]
        last = look({"a": data[0], "b": data[1]}, MARGIN, schedule, functools.partial(_some_flips, rng=rng))[-1]
        decisions = dict(zip("ab", effects, strict=True))
        counts["different"] += any(
            last.findings[name].decision == "different" for name, effect in decisions.items() if effect == 0
        )
        counts["equivalent"] += last.findings["a"].decision == "equivalent" and abs(effects[0]) >= MARGIN
        counts["seeds"] += last.seeds
    return {name: count / studies for name, count in counts.items()}


def _some_flips(differences: Array, rng: np.random.Generator) -> SignFlip:
    """As the report's, but fewer."""
    flipped = rng.random((RESAMPLES, len(differences))) < 0.5
    flipped = flipped[flipped.any(axis=1)]
    return SignFlip(np.sort(flipped @ differences / flipped.sum(axis=1)), tolerance=1e-12)


def main() -> None:
    """Print the table."""
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else STUDIES
    print(
        "| differences | looks | false different, both zero | one zero, one large | false equivalent | seeds, of 30 |"
    )
    print("|---|---|---|---|---|---|")
    for noise in NOISES:
        for name, schedule in SCHEDULES.items():
            rng = np.random.default_rng(0)
            null = false_decisions(noise, schedule, (0.0, 0.0), studies, rng)
            half = false_decisions(noise, schedule, (0.0, 2.0), studies, rng)
            edge = false_decisions(noise, schedule, (MARGIN, 0.0), studies, rng)
            print(
                f"| {noise} | {name} | {null['different']:.1%} | {half['different']:.1%} | {edge['equivalent']:.1%} | "
                f"{null['seeds']:.0f}, {half['seeds']:.0f}, {edge['seeds']:.0f} |",
                flush=True,
            )
    print(f"\nOf {studies} studies each; every rate is to be at most {ALPHA:.0%}.")


if __name__ == "__main__":
    main()
