"""Errors of the mean over designs: `python -m reports.calibration.across` prints the table in docs/statistics.md.

Studies without any effect, of several designs. The interval is wrong where it leaves zero out.
"""

import itertools

import numpy as np

from reports.analysis.across import aggregate
from reports.analysis.attribution import Attribution, judge
from reports.calibration.studies import MARGIN, PAIR, SHAPES, TWO, Study, Truth
from reports.statistics import Margin

STUDIES = 1000
"""Simulated for each cell of the table: the standard error of 5% is 0.7%."""
DESIGNS = (2, 6)
SEEDS = (5, 10)


def wrong(designs: int, seeds: int, shape: str, *, paired: bool, studies: int = STUDIES) -> float:
    """Return the share of studies whose interval leaves zero out.

    Args:
        designs: Of each study.
        seeds: Of each design, or runs of each level where they are unpaired.
        shape: Of seeds and of chaos, one of `SHAPES`.
        paired: Whether seeds pair runs.
        studies: The number of studies.
    """
    study = Study(
        name="", truths={"condition": Truth()}, arms=TWO, factors=PAIR, precisions=("unknown",), paired=paired
    )
    rng = np.random.default_rng([designs, seeds, list(SHAPES).index(shape), paired])
    return float(np.mean([_is_wrong(study, designs, seeds, shape, rng) for _ in range(studies)]))


def _is_wrong(study: Study, designs: int, seeds: int, shape: str, rng: np.random.Generator) -> bool:
    (found,) = aggregate([_answer(study, seeds, shape, rng) for _ in range(designs)])
    return found.effect is not None and not found.effect.low <= 0.0 <= found.effect.high


def _answer(study: Study, seeds: int, shape: str, rng: np.random.Generator) -> Attribution:
    return judge(study.draw(shape, seeds, rng), study.factors, Margin(MARGIN), paired=study.paired)


def main() -> None:
    """Print the table: a row for each kind of study, a column for each number of seeds."""
    print("| designs | " + " | ".join(f"{seeds} seeds" for seeds in SEEDS) + " |")
    print("|---|" + "---|" * len(SEEDS))
    for designs, paired, shape in itertools.product(DESIGNS, (True, False), SHAPES):
        shares = (wrong(designs, seeds, shape, paired=paired) for seeds in SEEDS)
        name = f"{designs}, {'paired' if paired else 'unpaired'}, {shape}"
        print(f"| {name} | " + " | ".join(f"{100 * share:.1f}" for share in shares) + " |", flush=True)


if __name__ == "__main__":
    main()
