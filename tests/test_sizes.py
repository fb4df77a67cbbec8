"""Sizes against rliable, on the same data."""

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from reports.statistics import Array, sign_flip, sizes
from reports.statistics.sizes import _difference_of_iqm, bca, iqm, probability_of_improvement, stratified_bootstrap


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


def test_interquartile_means_are_rliables(rliable: Any, scores: Array) -> None:
    for seeds in (5, 8, 12):
        assert float(iqm(scores[:seeds, 0, 0])) == pytest.approx(rliable.metrics.aggregate_iqm(scores[:seeds, :1, 0]))


def test_the_probability_of_improvement_is_rliables(rliable: Any, scores: Array) -> None:
    a, b = scores[:, 0, 0].round(1), scores[:, 0, 1].round(1)
    expected = rliable.metrics.probability_of_improvement(b[:, None], a[:, None])
    assert float(probability_of_improvement(a[None], b[None])[0]) == pytest.approx(expected)


def test_the_stratified_bootstrap_of_a_difference_of_interquartile_means_is_rliables(
    rliable: Any, scores: Array
) -> None:
    def by_rliable(pairs: Any) -> Any:  # b and a side by side in one number, so that rliable keeps them together
        return np.array([rliable.metrics.aggregate_iqm(pairs.real) - rliable.metrics.aggregate_iqm(pairs.imag)])

    found = stratified_bootstrap(scores, _difference_of_iqm, np.random.default_rng(1), resamples=20_000)
    np.random.seed(0)  # noqa: NPY002  (rliable's own generator)
    pairs = {"b": scores[:, :, 1] + 1j * scores[:, :, 0]}
    point, interval = rliable.library.get_interval_estimates(pairs, by_rliable, reps=5000)
    assert found.estimate == pytest.approx(point["b"][0])
    assert (found.low, found.high) == pytest.approx(interval["b"][:, 0], abs=0.05)


def test_sizes_are_of_seeds_resampled_whole(scores: Array) -> None:
    a, b = scores[:, 0, 0], scores[:, 0, 1]
    reference = scores[:, :, 1]
    found = sizes(a, b, reference, np.random.default_rng(0))
    assert found.standardised is not None
    assert found.standardised.estimate == pytest.approx((b - a).mean() / np.sqrt(reference.var(axis=0, ddof=1).mean()))
    assert found.iqm.estimate == pytest.approx(iqm(b) - iqm(a))
    assert found.iqm.low < found.iqm.estimate < found.iqm.high


def test_the_bootstrap_agrees_with_the_sign_flips() -> None:
    differences = np.random.default_rng(3).normal(0.5, 1, size=30)
    found = bca(differences, np.random.default_rng(0))
    assert (found.low, found.high) == pytest.approx(sign_flip(differences).interval(), abs=0.08)


@pytest.mark.parametrize("make", [np.zeros, np.ones, lambda count: np.full(count, 0.1)])
@pytest.mark.parametrize("count", [1, 2, 9])
def test_what_has_no_spread_has_sizes_that_are_no_traceback(make: Callable[[int], Array], count: int) -> None:
    found = sizes(make(count), make(count), make(count)[:, None], np.random.default_rng(0))
    assert (found.mean.estimate, found.standardised, found.probability.estimate) == (0.0, None, 0.5)
