"""The thread's numbers, as it printed them."""

import json
from typing import get_args

import numpy as np
import pytest

from agents.conditions import Condition
from agents.hyperparameters import Precision
from study.cli import main
from study.probe import STD, VARIANCE, observe, probe

SAMPLES = [1.5410, -0.2934, -2.1788, 0.5684, -1.0845, -1.3986, 0.4033, 0.8380, -0.7193, -0.4033]
SCALE_GRADIENTS = [0.6873, -0.4569, 1.8736, -0.3384, 0.0881, 0.4780, -0.4187, -0.1489, -0.2413, -0.4187]


def test_json_is_the_thread(capsys: pytest.CaptureFixture[str]) -> None:
    main(["probe", "--json"])
    numbers = json.loads(capsys.readouterr().out)
    assert set(numbers) == set(get_args(Precision))
    for conditions in numbers.values():
        assert set(conditions) == set(get_args(Condition))
        for condition, values in conditions.items():
            assert set(values) == {"log_prob", "grad_mean", "grad_scale", "sample"}
            assert np.round(values["sample"], 4).tolist() == SAMPLES
            factor = 1 if condition in VARIANCE else 2
            assert np.round(np.divide(values["grad_scale"], factor), 4).tolist() == SCALE_GRADIENTS


@pytest.mark.parametrize("precision", get_args(Precision))
def test_at_scale_one_the_gradient_is_exactly_doubled(precision: Precision) -> None:
    numbers = probe(n=10, seed=0, scale=1.0)[precision]
    for std, variance in zip(STD, VARIANCE, strict=True):
        doubled = np.multiply(numbers[variance]["grad_scale"], 2)
        np.testing.assert_allclose(numbers[std]["grad_scale"], doubled, rtol=1e-6 if precision == "float32" else 1e-15)
        assert numbers[std]["sample"] == numbers[variance]["sample"]
        assert numbers[std]["log_prob"] == numbers[variance]["log_prob"]


def test_what_is_seen_follows_the_numbers() -> None:
    at_one, elsewhere = observe(probe(10, 0, 1.0)), observe(probe(10, 0, 0.5))
    assert sum("agree, because every std is 1" in line for line in at_one) == 2
    assert sum("samples are identical" in line for line in at_one) == 2
    assert sum("log-probabilities differ" in line for line in elsewhere) == 2
    assert sum("samples differ" in line for line in elsewhere) == 2
    assert sum("std over variance: 2 everywhere" in line for line in at_one) == 2


def test_the_tables_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    main(["probe", "--n", "3", "--seed", "1"])
    printed = capsys.readouterr().out
    assert printed.count("normal_sqrt") == 4
    assert "scale = 0.5" in printed
