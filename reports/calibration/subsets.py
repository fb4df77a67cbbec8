"""How often the same mathematics is misread on real gaps: those of some seeds of a published study, drawn many times.

`python -m reports.calibration.subsets reports/published/state_dependent/table.parquet`
"""

import dataclasses
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from reports.analysis.design import Question
from reports.analysis.mechanism import Gaps, read_mechanism
from reports.analysis.study import answer_designs
from reports.sources import read
from reports.thread import CONDITIONS

STUDIES = 400
"""Subsets that are drawn."""
SEEDS = (3, 4, 5, 7, 10, 20, 30)
SHARES = (1.0, 0.5)
"""Of the seeds that have a ULP control."""


def wrong(gaps: Sequence[Gaps], seeds: int, share: float, studies: int = STUDIES) -> float:
    """Return the share of subsets that are read as *real* or *late*, though runs differ by round-off alone.

    Args:
        gaps: Of two arms that are the same mathematics, and of their ULP controls.
        seeds: Of each subset, in each precision.
        share: Of the subset's seeds that keep their ULP control.
        studies: The number of subsets.
    """
    rng = np.random.default_rng(0)
    of_precision = {found.precision: found.seeds for found in gaps if found.is_control}
    misread = 0
    for _ in range(studies):
        drawn = {name: rng.permutation(own)[:seeds].tolist() for name, own in of_precision.items()}
        controlled = {name: own[: max(1, int(share * seeds))] for name, own in drawn.items()}
        pair = [_only(found, drawn[found.precision]) for found in gaps if not found.is_control]
        controls = [_only(found, controlled[found.precision]) for found in gaps if found.is_control]
        misread += read_mechanism(pair, controls).reading in ("real", "late")
    return misread / studies


def _only(gaps: Gaps, seeds: Sequence[int]) -> Gaps:
    return dataclasses.replace(gaps, seeds=[seed for seed in gaps.seeds if seed in seeds], gaps=gaps.of(seeds))


def main() -> None:
    """Print the rates of a published table's first design as CSV."""
    runs = read(Path(sys.argv[1]))
    gaps = answer_designs(runs, Question(outcome=runs.outcomes[0]))[0].gaps
    print("a,b,seeds,share of controls,wrong")
    for a, b in itertools.combinations(CONDITIONS, 2):
        if CONDITIONS[a][0] == CONDITIONS[b][0]:
            own = [found for found in gaps if {found.a, found.b} <= {a, b}]
            for share, seeds in itertools.product(SHARES, SEEDS):
                print(f"{a},{b},{seeds},{share},{wrong(own, seeds, share)}", flush=True)


if __name__ == "__main__":
    main()
