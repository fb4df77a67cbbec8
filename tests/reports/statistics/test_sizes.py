"""Sizes against rliable, on the same data."""

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from reports.statistics import Array, sizes
from reports.statistics.sizes import difference_of_iqm, glass_delta, probability_of_improvement


@pytest.fixture(scope="module")
def rliable() -> Iterator[ModuleType]:
    """Its bootstrap is arch's, which asks for an argument of pandas 2 that pandas 3 calls otherwise."""
    import pandas.util._decorators as decorators

    patch = pytest.MonkeyPatch()
    patch.setattr(decorators, "deprecate_kwarg", lambda *_, **__: lambda function: function)
    import rliable.library
    import rliable.metrics

    yield rliable
    patch.undo()


@pytest.fixture
def scores() -> Array:
    """`[seeds, tasks, a and b]`."""
    rng = np.random.default_rng(0)
    return np.asarray(rng.normal(size=(12, 3, 1)) + rng.normal([0.0, 0.7], [1.0, 1.5], size=(12, 3, 2)))


def test_differences_of_interquartile_means_are_rliables(rliable: Any, scores: Array) -> None:
    for seeds in (5, 8, 12):
        a, b = scores[:seeds, :, 0], scores[:seeds, :, 1]
        expected = rliable.metrics.aggregate_iqm(b) - rliable.metrics.aggregate_iqm(a)
        assert float(difference_of_iqm(a[None], b[None])[0]) == pytest.approx(expected)


def test_the_probability_of_improvement_is_rliables(rliable: Any, scores: Array) -> None:
    a, b = scores[:, :, 0].round(1), scores[:, :, 1].round(1)
    expected = rliable.metrics.probability_of_improvement(b, a)
    assert float(probability_of_improvement(a[None], b[None])[0]) == pytest.approx(expected)


def test_glass_delta_is_in_the_references_deviations(scores: Array) -> None:
    a, b = scores[:, :, 0], scores[:, :, 1]
    expected = (b - a).mean() / np.sqrt(a.var(axis=0, ddof=1).mean())
    assert float(glass_delta(a[None], b[None])[0]) == pytest.approx(expected)


def test_the_bootstrap_interval_is_rliables(rliable: Any, scores: Array) -> None:
    def by_rliable(pairs: Any) -> Any:  # b and a side by side in one number, so that rliable keeps them together
        return np.array([rliable.metrics.aggregate_iqm(pairs.real) - rliable.metrics.aggregate_iqm(pairs.imag)])

    single = scores[:, :1]  # of one task: rliable resamples each task by itself, and seeds stay whole here
    found = sizes(single[:, :, 0], single[:, :, 1], np.random.default_rng(1)).iqm
    np.random.seed(0)  # noqa: NPY002  (rliable's own generator)
    point, interval = rliable.library.get_interval_estimates(
        {"b": single[:, :, 1] + 1j * single[:, :, 0]}, by_rliable, reps=5000
    )
    assert found.estimate == pytest.approx(point["b"][0])
    assert (found.low, found.high) == pytest.approx(interval["b"][:, 0], abs=0.1)


@pytest.mark.parametrize("make", [np.zeros, np.ones, lambda count: np.full(count, 0.1)])
@pytest.mark.parametrize("count", [1, 2, 9])
def test_what_has_no_spread_has_sizes_that_are_no_traceback(make: Callable[[int], Array], count: int) -> None:
    found = sizes(make(count)[:, None], make(count)[:, None], np.random.default_rng(0))
    assert (found.standardised, found.probability.estimate, found.iqm.estimate) == (None, 0.5, 0.0)
