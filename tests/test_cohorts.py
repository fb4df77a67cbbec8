"""Runs, cut into cohorts."""

import itertools
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.conditions import Condition
from agents.hyperparameters import Precision
from study.cells import Cell, MistakeError, make_cell
from study.memory import WORKER_BYTES, run_bytes
from study.pool.cohorts import COHORT_SIZE, cohorts
from tests.conftest import SMALL

CELLS = [
    make_cell({**SMALL, "condition": condition, "seed": seed, "precision": precision, "gamma": gamma})
    for condition in get_args(Condition)
    for seed in range(3)
    for precision in get_args(Precision)
    for gamma in (0.9, 0.99)
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(CELLS), unique=True, min_size=1), st.integers(1, 8), st.floats(0.01, 1.0))
def test_cohorts_are_all_cells_once_alike_and_within_memory(cells: list[Cell], number: int, spare: float) -> None:
    memory = number * (WORKER_BYTES + run_bytes(CELLS[0]) * 2 + spare * 1e9)
    cut = cohorts(cells, number, memory)
    assert sorted(cell.id for cohort in cut for cell in cohort) == sorted(cell.id for cell in cells)
    for cohort in cut:
        assert 1 <= len(cohort) <= COHORT_SIZE
        assert number * (WORKER_BYTES + len(cohort) * run_bytes(cohort[0])) <= memory
        assert len({cell.cohort_key for cell in cohort}) == 1
        changes = sum(a.condition != b.condition for a, b in itertools.pairwise(cohort))
        assert changes == len({cell.condition for cell in cohort}) - 1


def test_every_worker_has_work() -> None:
    alike = [cell for cell in CELLS if cell.cohort_key == CELLS[0].cohort_key]
    assert len(cohorts(alike, workers=3, memory=1e12)) == 3


def test_too_little_memory_is_said() -> None:
    words = r"num_\w+ \d+ is too large: a run needs .* GB of memory, and each of 2 workers has 0\.2 GB"
    with pytest.raises(MistakeError, match=words):
        cohorts(CELLS, workers=2, memory=0.5e9)
