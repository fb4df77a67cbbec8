"""The mechanism: gaps between runs, and what they say of the computation."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reports.analysis.attribution import attribute
from reports.analysis.blocks import Contrast, Stratum
from reports.analysis.fingerprints import Fingerprints, compare, first_tensors, relative_gap
from reports.analysis.mechanism import (
    BY_DESIGN,
    Gaps,
    measure_gaps,
    observe_contrast,
    onsets,
    plain_mechanism,
    rates,
    read_contrast,
    read_mechanism,
)
from reports.documents.words import mechanism_cell
from reports.factors import Factor
from reports.sources.runs import Distance, Observed
from reports.statistics import Array
from reports.thread import CONDITIONS, FACTORS
from tests.helpers.synthetic import study


def test_a_gap_is_relative_to_the_first() -> None:
    a, b = [[3.0, 4.0], [0.0, 2.0]], [[3.0, 4.0], [0.0, 2.5], [9.0, 9.0]]
    assert relative_gap(fingerprinted(a), fingerprinted(b)).tolist() == [0.0, 0.25]
    assert relative_gap(fingerprinted(a, norms=[5.0, 50.0]), fingerprinted(b, norms=[1.0] * 3)).tolist() == [0.0, 0.01]


def test_a_gap_is_zero_where_hashes_are_equal_and_only_there() -> None:
    a = fingerprinted([[3.0, 4.0]] * 3, norms=[10.0] * 3, hashes=["a", "b", "c"])
    b = fingerprinted([[3.0, 4.5], [3.0, 4.0], [3.0, 5.0]], norms=[10.0] * 3, hashes=["a", "other", "other"])
    assert relative_gap(a, b).tolist() == [0.0, 2.0**-50 / 10, 0.1]
    unknown = fingerprinted([[3.0, 4.0]] * 3, norms=[10.0] * 3, hashes=[None, None, None])
    assert relative_gap(a, unknown).tolist() == [0.0, 0.0, 0.0]


def test_older_runs_whose_hashes_differ_elsewhere_have_no_gap() -> None:
    a, b = (fingerprinted([[3.0, 4.0]] * 2, hashes=["same", name]) for name in "ab")
    np.testing.assert_equal(relative_gap(a, b), [0.0, np.nan])


def test_runs_with_fingerprints_of_two_kinds_have_no_gap() -> None:
    values = np.ones((2, 64))
    old, new, longer = fingerprinted(values), fingerprinted(values, norms=[1.0, 1.0]), fingerprinted(np.ones((2, 129)))
    for a, b in itertools.permutations((old, new, longer), 2):
        assert np.isnan(relative_gap(a, b)).tolist() == [True, True]


def test_equal_sketches_of_other_parameters_are_not_identical() -> None:
    def gaps_of(precision: str, *names: str) -> Gaps:
        a, b = (fingerprinted([[0.3, 0.1]] * 2, norms=[10.0] * 2, hashes=["same", name]) for name in names)
        found = np.array([relative_gap(a, b)] * 3)
        return Gaps(a="a", b="b", precision=precision, seeds=[0, 1, 2], gaps=found, first_tensor=None)

    precisions = ("float32", "float64")
    assert read_mechanism([gaps_of(name, "x", "x") for name in precisions], []).reading == "identical"
    assert read_mechanism([gaps_of(name, "x", "y") for name in precisions], []).reading != "identical"


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ([{}, {}, {}], None),
        ([{}, {"raw scale": "0"}, {"weight": "0"}], "raw scale"),
        ([{"weight": "0", "raw scale": "0"}], "2 of 4 tensors"),
        ([{"weight": "0", "bias": "0", "raw scale": "0"}], "all but last"),
        ([dict.fromkeys(("weight", "bias", "raw scale", "last"), "0")], "all tensors"),
        ([{}, None, {"weight": "0"}], None),
    ],
)
def test_the_tensors_that_differ_first_are_named(changes: list[dict[str, str] | None], first: str | None) -> None:
    same = dict.fromkeys(("weight", "bias", "raw scale", "last"), "1")
    values = [[1.0]] * len(changes)
    a = fingerprinted(values, tensors=[same] * len(changes))
    b = fingerprinted(values, tensors=[None if change is None else {**same, **change} for change in changes])
    assert first_tensors(a, b) == first_tensors(b, a) == first


def fingerprinted(
    values: Any, norms: Any = None, hashes: Sequence[str | None] = (), tensors: Sequence[dict[str, str] | None] = ()
) -> Fingerprints:
    """Of a history that has these columns."""
    columns = {
        "fingerprint": np.array(values, dtype=float),
        "params_norm": None if norms is None else np.array(norms, dtype=float),
        "params_sha256": np.array(hashes, dtype=object) if hashes else None,
        "tensor_sha256": np.array(tensors, dtype=object) if tensors else None,
    }
    return Fingerprints.of({name: column for name, column in columns.items() if column is not None})


def gaps(a: str, b: str, precision: str, *first: float) -> Gaps:
    """Of three seeds, whose medians are these."""
    values = np.array(first)[None] * np.array([[0.5], [1.0], [2.0]])
    return Gaps(a=a, b=b, precision=precision, seeds=[0, 1, 2], gaps=values, first_tensor=None)


def pair(single: list[float], double: list[float]) -> list[Gaps]:
    return [gaps("a", "b", "float32", *single), gaps("a", "b", "float64", *double)]


GROWTH = 10.0 ** np.arange(0, 12)
CONTROL = [
    gaps("a", "a", "float32", *np.minimum(4e-8 * GROWTH, 0.5)),
    gaps("a", "a", "float64", *np.minimum(7e-17 * GROWTH, 0.5)),
]
SINGLE = np.minimum(5e-8 * GROWTH, 0.5).tolist()
DOUBLE = np.minimum(9e-17 * GROWTH, 0.5).tolist()


@pytest.mark.parametrize(
    ("single", "double", "reading", "onset"),
    [
        (SINGLE, DOUBLE, "round-off", None),
        ([3.5e-3] * 12, [3.5e-3] * 12, "real", None),
        ([0.0] * 12, [0.0] * 12, "identical", None),
        # A real difference of 5e-15 is hidden in float32, but 70 times the ULP control's in float64.
        (SINGLE, np.minimum(5e-15 * GROWTH, 0.5).tolist(), "real", None),
        # Of float64's size, but far too large in float32 alone.
        ([1e-3] * 12, DOUBLE, "real", None),
        # The same bits until update 5.
        ([0.0] * 4 + [1e-3] * 8, [0.0] * 4 + [1e-3] * 8, "late", 5),
        # Round-off until update 4, where float32 is still together.
        (SINGLE[:3] + [2e-3] * 9, DOUBLE[:3] + [1e-3] * 9, "late", 4),
        # Round-off until update 8, where float32 is long apart: the ULP control in float64 tells.
        (SINGLE, DOUBLE[:7] + [0.01] * 5, "late", 8),
        ([math.nan] * 12, DOUBLE, "untested", None),
    ],
)
def test_gaps_are_read(single: list[float], double: list[float], reading: str, onset: int | None) -> None:
    found = read_mechanism(pair(single, double), CONTROL)
    assert (found.reading, found.onset) == (reading, onset)


def test_one_precision_alone_shows_only_large_differences() -> None:
    assert read_mechanism(pair(SINGLE, DOUBLE)[:1], CONTROL).reading == "untested"
    assert read_mechanism(pair([1e-5], [])[:1], CONTROL).reading == "untested"
    assert read_mechanism(pair([1e-3], [])[:1], CONTROL).reading == "real"
    assert read_mechanism([], CONTROL).reading == "untested"


def test_without_a_control_the_ratio_decides() -> None:
    assert read_mechanism(pair(SINGLE, DOUBLE), []).reading == "round-off"
    assert read_mechanism(pair(SINGLE, np.minimum(5e-15 * GROWTH, 0.5).tolist()), []).reading == "real"


def test_float64_within_one_ulp_is_round_off() -> None:
    # After few gradient steps a ratio of 2^24 is made of a few roundings.
    found = read_mechanism(pair([7e-10] * 3, [4e-17] * 3), CONTROL)
    assert found.ratio is not None
    assert math.log2(found.ratio) < 26
    assert found.reading == "round-off"


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_control_that_the_environment_sets_apart_at_once_hides_nothing(seeds: int) -> None:
    """As on HalfCheetah, where one ULP makes other data before the first update."""

    def of(name: str, arm: str, first: float) -> Gaps:
        values = np.array([[first] + [0.1] * 11] * seeds)
        return Gaps(a="a", b=arm, precision=name, seeds=[*range(seeds)], gaps=values, first_tensor=None)

    def reading(single: float, double: float) -> str:
        control = [of(name, "a", 0.05) for name in ("float32", "float64")]
        return read_mechanism([of("float32", "b", single), of("float64", "b", double)], control).reading

    assert reading(3.5e-3, 3.4e-3) == "real"
    assert reading(1e-7, 2e-16) == "round-off"
    assert reading(1e-7, 1e-9) == "real"


def few_apart(since: int, own: Sequence[int] = range(10)) -> tuple[list[Gaps], list[Gaps]]:
    """Ten seeds' gaps of round-off, of which the first two seeds' jump; and the controls of some of these seeds."""

    def grow(first: float) -> Array:
        return np.array([first * 2.0 ** (4 * np.arange(8) + 0.1 * seed) for seed in range(10)])

    def of(b: str, precision: str, seeds: Sequence[int], gaps: Array) -> Gaps:
        return Gaps(a="a", b=b, precision=precision, seeds=list(seeds), gaps=gaps[list(seeds)], first_tensor=None)

    single, double = np.minimum(1e-2, grow(5e-8)), grow(1e-16)
    jumped = double.copy()
    jumped[:2, since:] = 1e-3
    return (
        [of("b", "float32", range(10), single), of("b", "float64", range(10), jumped)],
        [of("a", "float32", own, single), of("a", "float64", own, double)],
    )


@pytest.mark.parametrize(("since", "reading", "onset"), [(0, "real", None), (3, "late", 4)])
def test_what_few_seeds_show_is_read_too(since: int, reading: str, onset: int | None) -> None:
    both, controls = few_apart(since)
    found = read_mechanism(both, controls)
    assert (found.reading, found.onset, found.beyond, found.seeds) == (reading, onset, 2, 10)
    unchanged = [dataclasses.replace(gaps, b="b") for gaps in controls]
    assert read_mechanism(unchanged, controls).reading == "round-off"


def test_a_seed_that_amplifies_everything_is_no_difference() -> None:
    both, _ = few_apart(3)
    as_far = [dataclasses.replace(gaps, b="a") for gaps in both]
    assert read_mechanism(both, as_far).reading == "round-off"


def test_a_seed_without_a_control_of_its_own_accuses_nobody() -> None:
    found = read_mechanism(*few_apart(3, own=range(1, 10)))
    assert (found.reading, found.beyond) == ("late", 1)
    found = read_mechanism(*few_apart(3, own=range(2, 10)))
    assert (found.reading, found.beyond) == ("untested", 0)
    assert "seed 0, 1, " in found.reason


def test_a_factor_has_its_worst_pairs_reading() -> None:
    found = attribute(study(seeds=2), "final_return", FACTORS)
    contrast = next(effect.contrast for effect in found.effects if effect.factor.name == "implementation")
    names = [arm.name for arm in found.arms]

    def of(a: str, b: str, single: Any, double: Any) -> list[Gaps]:
        return [gaps(a, b, "float32", *single), gaps(a, b, "float64", *double)]

    equal = of("mvn_std", "normal_sqrt", SINGLE, DOUBLE)
    assert read_contrast([*equal, *of("mvn_var", "normal_std", SINGLE, DOUBLE)], contrast, names).reading == "round-off"
    other = of("mvn_var", "normal_std", [1e-3], [1e-3])
    assert read_contrast([*equal, *other], contrast, names).reading == "real"
    assert read_contrast(equal, contrast, names).reading == "untested"


@pytest.mark.parametrize(("levels", "reading"), [(("float64", "bfloat16"), "untested"), (("old", "new"), "real")])
def test_a_gap_of_number_formats_is_never_a_real_difference(levels: tuple[str, str], reading: str) -> None:
    factor = Factor(name="number format", levels=levels)
    contrast = Contrast(factor=factor, level=levels[1], strata=(Stratum({}, (0,), (1,)),), precisions=("any",))
    far = [gaps(*levels, "any", 1e-3), *(gaps(level, level, "any", 1e-16) for level in levels)]
    found = read_contrast(far, contrast, levels)
    assert found.reading == reading
    assert found.size == pytest.approx(1e13)
    assert ("rounding by design" in mechanism_cell(found)) == (reading == "untested")
    assert plain_mechanism(found)["untested_because"] == (BY_DESIGN if reading == "untested" else None)
    seen = Observed(reading="real", gap=1e-3, double_gap=None, tensor=None, onset=None, over_control=None)
    assert observe_contrast({frozenset(levels): seen}, contrast, levels).reading == reading


def fingerprints(runs: pd.DataFrame) -> dict[str, Fingerprints]:
    """Runs that differ by round-off where only the class does, and by 1e-3 where the parameterization does.

    The latter differ in their raw scale first.
    """
    histories = {}
    for row in runs.to_dict("records"):
        rng = np.random.default_rng(row["seed"])
        start = rng.normal(size=50)
        start[:3] *= 1 + (row["parameterization"] == "std") * 1e-3
        epsilon = np.finfo(row["precision"]).eps
        start *= 1 + epsilon * (row["implementation"] == "normal") * rng.integers(0, 2, size=50)
        tensors = {"weight": "0", "bias": row["implementation"], "raw scale": row["parameterization"]}
        later = {**tensors, "weight": row["run"]}
        first = tensors if row["replicate"] == 0 else later
        histories[row["run"]] = fingerprinted([start, start + 1], tensors=[first, later])
    return histories


def comparing(histories: Mapping[str, Fingerprints]) -> Callable[[str, str], Distance]:
    return lambda a, b: compare(histories[a], histories[b])


def test_gaps_are_of_the_seeds_that_both_have() -> None:
    runs = study(seeds=3)
    histories = fingerprints(runs)
    runs = runs[~((runs["seed"] == 1) & (runs["condition"] == "mvn_var"))]
    (found,) = [
        row
        for row in measure_gaps(runs, comparing(histories))
        if (row.a, row.b, row.precision) == ("mvn_std", "mvn_var", "float64")
    ]
    assert (found.seeds, found.gaps.shape) == ([0, 2], (2, 2))
    a, b = (histories[f"{name}-2-float64-0"] for name in ("mvn_std", "mvn_var"))
    assert np.array_equal(found.gaps[1], relative_gap(a, b))


def test_all_pairs_and_controls_are_measured_in_each_precision() -> None:
    runs = study(seeds=2)
    found = measure_gaps(runs, comparing(fingerprints(runs)))
    assert len(found) == 2 * (6 + 4)
    assert {row.a for row in found if row.is_control} == {*CONDITIONS}


def grown(first: float, rate: float, updates: int = 12, largest: float = 1.0) -> Array:
    """A gap that grows by so many orders of magnitude an update, until runs are as far apart as runs get."""
    return np.asarray(np.minimum(largest, first * 10.0 ** (rate * np.arange(updates))))


def test_growth_is_the_slope_up_to_the_onset_and_not_beyond() -> None:
    found = np.array([grown(1e-8, 2.0), grown(1e-8, 0.5, largest=1e-4), [0.0, 0.0, *grown(1e-6, 1.5, 10)], [0.5] * 12])
    assert onsets(found).tolist() == [5.0, math.inf, 6.0, 1.0]
    expected = [2.0, stats.linregress(np.arange(12), np.log10(found[1])).slope, 1.5, math.nan]
    np.testing.assert_allclose(rates(found), expected)


def test_a_pair_differs_first_where_most_of_its_seeds_do() -> None:
    runs = study(seeds=3)
    histories = fingerprints(runs)
    odd = histories["mvn_std-1-float64-0"]
    odd.by_tensor[0] = {"weight": "1", "bias": "1", "raw scale": "1"}
    by_difference: dict[tuple[bool, bool], set[str | None]] = {}
    for row in measure_gaps(runs, comparing(histories)):
        same = [first == second for first, second in zip(CONDITIONS[row.a], CONDITIONS[row.b], strict=True)]
        by_difference.setdefault((same[0], same[1]), set()).add(row.first_tensor)
    assert by_difference == {
        (False, True): {"raw scale"},
        (True, False): {"bias"},
        (False, False): {"all but weight"},
        (True, True): {"weight"},
    }
