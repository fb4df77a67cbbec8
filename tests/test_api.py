"""The Python API, as a notebook uses it."""

from pathlib import Path

import pytest

from reports import Reading, UnreadableSourceError, attribute, read
from tests.synthetic import study

WALKER = Path(__file__).parent / "data" / "adastop_walker.csv"


def test_a_table_is_read_and_answered(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    runs = study(parameterization=-3.0)
    runs[["condition", "seed", "precision", "replicate", "final_return"]].to_csv(path, index=False)
    (design,) = attribute(read(str(path)), margin=2.0)
    assert "parameterization (std - variance): -" in repr(design)
    effect = design.answer.effects[0]
    assert effect.main.ci[0] < effect.main.estimate < effect.main.ci[1]
    assert effect.main.differences.shape == (10,)
    assert effect.conclusion == "different, cause unknown"


def test_algorithms_on_a_walker_are_compared() -> None:
    reading = Reading(outcome="mean_return", unpaired=True)
    (design,) = attribute(read(str(WALKER), reading=reading), "mean_return")
    assert len(design.answer.effects) == len(design.answer.arms) - 1
    assert "different" in {effect.mean_conclusion for effect in design.answer.effects}


def test_an_outcome_that_is_not_there_is_one_line() -> None:
    with pytest.raises(UnreadableSourceError, match="fame: there is no such outcome; choose from"):
        attribute(read(str(WALKER)), "fame")
