"""The statistics against SciPy, brute force, and data of known truth."""

import itertools
import math
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.regression.mixed_linear_model import MixedLM
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from reports import statistics
from reports.calibration.studies import SHAPES
from reports.statistics import Array, Margin, StandardDeviation, resampled_rows, sign_flip, twosample
from reports.statistics.signflip import SEED

# Eighths, whose sums are exact: SciPy takes ties apart that rounding has made unequal.
FINITE = st.floats(-100, 100, allow_subnormal=False).map(lambda value: round(8 * value) / 8)
DIFFERENCES = st.lists(FINITE, min_size=2, max_size=9).map(np.array)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def scipy_p(differences: Array, centre: float, alternative: Literal["greater", "less", "two-sided"]) -> float:
    shifted: Any = (differences - centre,)
    test = stats.permutation_test(
        shifted, np.mean, permutation_type="samples", alternative=alternative, n_resamples=2**12
    )
    return float(test.pvalue)


@settings(max_examples=50, deadline=None)
@given(DIFFERENCES, FINITE)
def test_p_values_are_scipy_own(differences: Array, centre: float) -> None:
    flip = sign_flip(differences)
    assert flip.patterns == 2 ** len(differences)
    assert flip.p_greater(centre) == pytest.approx(scipy_p(differences, centre, "greater"))
    assert flip.p_less(centre) == pytest.approx(scipy_p(differences, centre, "less"))
    assert flip.p_two_sided(centre) == pytest.approx(scipy_p(differences, centre, "two-sided"))
    both = max(scipy_p(differences, -1.5, "greater"), scipy_p(differences, 1.5, "less"))
    assert statistics.p_equivalent(flip, Margin(1.5)) == pytest.approx(both)


@settings(max_examples=50, deadline=None)
@given(st.lists(FINITE, min_size=6, max_size=9, unique=True).map(np.array))
def test_the_interval_is_all_centres_that_the_test_keeps(differences: Array) -> None:
    low, high = sign_flip(differences).interval()
    for centre in (low + 1e-6, high - 1e-6, (low + high) / 2):
        if low < centre < high:
            assert scipy_p(differences, centre, "two-sided") > 0.05
    for centre in (low - 1e-6, high + 1e-6):
        assert scipy_p(differences, centre, "two-sided") <= 0.05


@settings(deadline=None)
@given(st.lists(FINITE, min_size=1, max_size=25).map(np.array))
def test_the_interval_excludes_zero_exactly_if_the_test_rejects(differences: Array) -> None:
    flip = sign_flip(differences)
    low, high = flip.interval()
    if min(abs(low), abs(high)) > 1e-9:
        assert (not low < 0 < high) == (flip.p_two_sided() <= 0.05)


def test_too_few_seeds_reject_nothing() -> None:
    flip = sign_flip(np.array([5.0, 5.1, 5.2, 5.3, 5.4]))
    assert flip.p_two_sided() == 2 / 2**5
    assert flip.interval() == (-math.inf, math.inf)


def test_equal_outcomes_are_no_difference() -> None:
    flip = sign_flip(np.zeros(8))
    assert flip.p_two_sided() == 1.0
    assert flip.interval() == (0.0, 0.0)


def test_many_seeds_are_resampled_and_repeat() -> None:
    differences = np.random.default_rng(1).normal(0.4, 1, size=30)
    flip, again = sign_flip(differences), sign_flip(differences)
    assert flip.interval() == again.interval()
    assert flip.p_two_sided() == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, abs=0.01)
    assert flip.interval() == pytest.approx(tuple(stats.ttest_1samp(differences, 0).confidence_interval()), abs=0.05)


@pytest.mark.parametrize("values", [[], [1.0, math.nan]])
def test_nothing_and_nan_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="at least one difference, all finite"):
        sign_flip(np.array(values))


@settings(max_examples=10, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_statsmodels_own(p_values: list[float]) -> None:
    assert statistics.holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


def test_holm_is_its_definition() -> None:
    assert statistics.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert statistics.holm([]) == []
    assert statistics.holm_factors([0.01, 0.04, 0.03]) == [3, 1, 2]


def test_a_deviation_is_anova_own() -> None:
    runs = np.array([[1.0, 10.0], [2.0, 12.0], [4.0, 11.0]])
    found = statistics.standard_deviation(runs)
    assert found is not None
    assert found.value == pytest.approx(math.sqrt((14 / 3 + 2) / 4))
    assert statistics.standard_deviation(runs[:1]) is None
    assert statistics.standard_deviation(runs[:, :0]) is None
    assert statistics.standard_deviation(np.full((3, 2), 0.1)) is None


def test_the_power_to_differ_is_that_of_simulated_t_tests() -> None:
    draws = rng().normal(0.5, 1, size=(10_000, 30))
    share = np.mean(stats.ttest_1samp(draws, 0, axis=1).pvalue <= 0.05)
    assert statistics.power_different(0.5, 1.0, 30) == pytest.approx(share, abs=0.015)
    assert statistics.power_different(0.0, 1.0, 30) == pytest.approx(0.05)
    assert statistics.power_different(-5.0, 10.0, 30) == statistics.power_different(0.5, 1.0, 30)


@pytest.mark.parametrize(("mean", "margin"), [(0.0, 0.6), (0.5, 1.1)])
def test_the_power_to_show_equivalence_is_that_of_simulated_t_tests(mean: float, margin: float) -> None:
    draws = rng().normal(mean, 1, size=(10_000, 30))
    half = stats.t.ppf(0.95, 29) / math.sqrt(30) * draws.std(axis=1, ddof=1)
    share = np.mean((draws.mean(axis=1) - half > -margin) & (draws.mean(axis=1) + half < margin))
    assert statistics.power_equivalent(mean, 1.0, Margin(margin), 30) == pytest.approx(share, abs=0.02)
    assert statistics.power_equivalent(2.0, 1.0, Margin(margin), 30) == 0.0


def test_the_power_grows_with_the_seeds_at_any_level() -> None:
    for level, effect in itertools.product((0.05, 0.05 / 6, 0.05 / 24), (0.05, 0.1, 0.2, 0.5, 1.0, 3.0)):
        seeds = np.unique(np.geomspace(statistics.fewest_for(level), 10_000, 100).astype(int)).tolist()
        power = np.array([statistics.power_different(effect, 1.0, count, level) for count in seeds])
        assert np.all(np.diff(power) > -1e-9)
        centre = effect * np.sqrt(seeds) - stats.norm.isf(level / 2)
        assert power[-1] == pytest.approx(stats.norm.cdf(centre[-1]), abs=0.01)


def test_ratios_of_spread_are_tested_by_swapping_within_seeds() -> None:
    generator = np.random.default_rng(3)
    squares, base = ((generator.normal(0, scale, size=(7, 2)) ** 2).mean(1) for scale in (2, 1))
    found = statistics.Ratio(squares, base)

    def share(excess: Array) -> float:
        flips = itertools.product([1, -1], repeat=7)
        return float(sum(np.dot(signs, excess) >= excess.sum() - 1e-12 for signs in flips)) / 2**7

    assert found.p_larger == pytest.approx(share(squares - base))
    assert found.p_below(3.0) == pytest.approx(share(9 * base - squares))
    assert found.p_unequal == pytest.approx(2 * min(share(squares - base), share(base - squares)))
    assert found.estimate == pytest.approx(np.sqrt(squares.mean() / base.mean()))
    assert found.ci[0] < found.estimate < found.ci[1]


def test_johnsons_p_is_the_papers() -> None:
    differences = np.random.default_rng(1).exponential(size=15) - 0.6
    count, mean, variance = 15, differences.mean(), differences.var(ddof=1)
    third = stats.skew(differences) * differences.var() ** 1.5  # the third central moment
    numerator = (mean) + third / (6 * variance * count) + third / (3 * variance**2) * mean**2
    expected = 2 * stats.t.sf(abs(numerator / np.sqrt(variance / count)), count - 1)
    assert statistics.p_johnson(differences) == pytest.approx(expected)
    assert statistics.p_johnson(np.array([1.0, 2.0])) is None
    assert statistics.p_johnson(np.ones(5)) is None


@pytest.mark.slow
def test_johnsons_p_errs_less_than_sign_flips_where_skewed() -> None:
    generator = rng()
    draws = generator.exponential(size=(1500, 10)) - 1
    johnson = np.mean([(statistics.p_johnson(values) or 1.0) <= 0.05 for values in draws])
    flips = np.mean([sign_flip(values).p_two_sided() <= 0.05 for values in draws])
    assert johnson < flips
    assert flips > 0.06


def studentised(x: Array, y: Array) -> float:
    return float(stats.ttest_ind(x, y, equal_var=False).statistic)


def test_unpaired_intervals_of_many_runs_are_about_welchs() -> None:
    a, b = rng().normal(size=90), np.random.default_rng(1).normal(0.5, 2, size=140)
    found, expected = statistics.TwoSample([(a, b)]), stats.ttest_ind(b, a, equal_var=False)
    assert found.interval() == pytest.approx(tuple(expected.confidence_interval()), abs=0.02)
    assert 2 * min(found.p_greater(0), found.p_less(0)) == pytest.approx(expected.pvalue, abs=0.02)
    assert found.estimate == pytest.approx(b.mean() - a.mean())
    assert found.error == pytest.approx(found.estimate / float(expected.statistic))


@pytest.mark.parametrize("centre", [0.0, 0.7, -3.0])
def test_unpaired_p_values_are_of_permuted_labels(centre: float) -> None:
    a, b = rng().normal(size=5), np.random.default_rng(1).normal(1.2, 1, size=6)
    found = statistics.TwoSample([(a, b)])
    samples = (b - centre, a)
    greater = stats.permutation_test(samples, studentised, alternative="greater", vectorized=False)
    less = stats.permutation_test(samples, studentised, alternative="less", vectorized=False)
    assert found.p_greater(centre) == pytest.approx(greater.pvalue)
    assert found.p_less(centre) == pytest.approx(less.pvalue)
    assert found.p_two_sided(centre) == pytest.approx(min(1.0, 2 * min(greater.pvalue, less.pvalue)))


@pytest.mark.parametrize("strata", [1, 2])
def test_unpaired_intervals_leave_out_what_the_test_rejects(strata: int) -> None:
    draw = np.random.default_rng(2)
    for _ in range(30):
        runs = int(draw.integers(3, 12))
        found = statistics.TwoSample(
            [(draw.exponential(size=runs), draw.poisson(1, size=runs).astype(float)) for _ in range(strata)]
        )
        for level in (0.1, 0.05, 0.02):
            low, high = found.interval(1 - level)
            assert (low > 0 or high < 0) == (found.p_two_sided() <= level)
            for end, beyond in ((low, -1e-6), (high, 1e-6)):
                if math.isfinite(end):
                    assert found.p_two_sided(end + beyond) <= level * (1 + 1e-6)


def test_three_unpaired_runs_a_level_bound_nothing() -> None:
    few = statistics.TwoSample([(np.array([1.0, 2.0, 3.0]), np.array([11.0, 12.0, 13.5]))])
    assert few.p_two_sided() == pytest.approx(0.1)
    assert few.interval() == (-math.inf, math.inf)
    low, high = few.interval(0.9)
    assert 0 < low < few.estimate < high


def test_drawn_permutations_are_as_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    strata = [(rng().normal(size=8), rng().normal(0.8, 2, size=8)), (rng().normal(size=2), rng().normal(size=2))]
    drawn = statistics.TwoSample(strata)
    assert drawn.smallest_p == 2 / (1 + twosample.PERMUTATIONS)
    monkeypatch.setattr(twosample, "PERMUTATIONS", 100_000)
    whole = statistics.TwoSample(strata)
    assert whole.smallest_p == 2 / (math.comb(16, 8) * 6)
    for centre in (0.0, 1.0):
        assert drawn.p_greater(centre) == pytest.approx(whole.p_greater(centre), abs=0.02)
    assert drawn.interval() == pytest.approx(whole.interval(), abs=0.1)


def test_a_single_unpaired_run_tests_nothing() -> None:
    found = statistics.TwoSample([(np.array([1.0]), np.array([2.0, 3.0]))])
    assert (found.p_two_sided(), found.interval()) == (1.0, (-math.inf, math.inf))


def test_failures_are_tested_by_fisher_and_bounded_by_newcombe() -> None:
    assert statistics.p_failures_unpaired((0, 24), (8, 24)) == pytest.approx(
        stats.barnard_exact([[0, 24], [8, 16]]).pvalue, abs=0.01
    )
    assert statistics.are_bounded((3, 300), (4, 300))
    assert not statistics.are_bounded((0, 24), (0, 24))
    assert not statistics.are_bounded((3, 300), (24, 300))


def test_what_is_rarer_is_missed_in_one_study_of_twenty() -> None:
    rate = statistics.rarest_visible(10)
    assert stats.binom.pmf(0, 10, rate) == pytest.approx(0.05)


def test_estimates_that_just_pass_exaggerate_as_simulated() -> None:
    critical = stats.t.isf(0.025, 9)
    drawn = np.abs(rng().normal(critical / 2, 1, size=400_000))
    expected = drawn[drawn > critical].mean() / (critical / 2)
    assert statistics.exaggeration(10, 0.05) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("level", [0.05, 0.025, 0.01, 0.0125])
def test_the_fewest_seeds_for_a_level_can_just_reach_it(level: float) -> None:
    fewest = statistics.fewest_for(level)
    assert sign_flip(np.arange(1.0, fewest + 1)).p_two_sided() <= level
    assert sign_flip(np.arange(1.0, fewest)).p_two_sided() > level


def test_a_detectable_effect_is_found_in_four_of_five() -> None:
    size = statistics.detectable(1 / np.sqrt(12), 12, 0.05)
    draws = rng().normal(size, 1, size=(2000, 12))
    assert np.mean(stats.ttest_1samp(draws, 0, axis=1).pvalue <= 0.05) == pytest.approx(0.8, abs=0.03)


def test_curves_have_the_t_interval() -> None:
    values = np.random.default_rng(0).normal(size=(6, 3))
    mean, low, high = statistics.mean_interval(values)
    for point in range(3):
        expected = tuple(stats.ttest_1samp(values[:, point], 0).confidence_interval())
        assert (low[point], high[point]) == pytest.approx(expected)
    np.testing.assert_allclose(mean, values.mean(0))


@pytest.mark.parametrize("size", [0.5, 1.0, 1.5, 2.0, 3.0, 11.0])
def test_the_fewest_seeds_are_those_of_another_library(size: float) -> None:
    needed = statistics.fewest_seeds(lambda seeds: statistics.power_different(size, 1.0, seeds) >= 0.8)
    solved = TTestPower().solve_power(effect_size=size, alpha=0.05, power=0.8)
    assert needed == max(6, math.ceil(solved))


FAMILIES = st.lists(st.lists(FINITE, min_size=5, max_size=8).map(np.array), min_size=1, max_size=5)


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(FAMILIES)
def test_adjusted_intervals_exclude_zero_exactly_if_holm_rejects(family: list[Array]) -> None:
    flips = [sign_flip(differences) for differences in family]
    p_values = [flip.p_two_sided() for flip in flips]
    rejected = multipletests(p_values, method="holm")[0]
    for flip, level, reject in zip(flips, statistics.holm_levels(p_values), rejected, strict=True):
        low, high = flip.interval(1 - level)
        if min(abs(low), abs(high)) > 1e-9:
            assert (not low < 0 < high) == reject


def test_holm_judges_each_at_its_own_level() -> None:
    assert statistics.holm_levels([0.04, 0.001, 0.02]) == pytest.approx([0.05, 0.05 / 3, 0.025])
    assert statistics.holm_levels([0.04, 0.001, 0.03]) == pytest.approx([0.025, 0.05 / 3, 0.025])
    assert statistics.holm_levels([]) == []


def deviation_of(runs: Array) -> StandardDeviation:
    found = statistics.standard_deviation(runs)
    assert found is not None
    return found


def joined(above: float, below: float, correlation: float) -> float:
    """The error of a difference, from both sides' and their correlation."""
    errors = np.array([above, -below])
    return math.sqrt(float(errors @ np.array([[1, correlation], [correlation, 1]]) @ errors))


def brute_force_p(differences: Array, margin: Margin) -> float:
    """The smallest level at which the joined limit of effect and margin is inside, by all subset means."""
    subsets = itertools.chain.from_iterable(
        itertools.combinations(differences, size) for size in range(1, len(differences) + 1)
    )
    means = np.sort([float(np.mean(subset)) for subset in subsets])
    estimate, patterns = float(differences.mean()), len(means) + 1
    assert margin.sd is not None and margin.sd.pulls is not None
    correlation = float(np.corrcoef(differences, margin.sd.pulls)[0, 1])
    ps = []
    for centre, ordered, r in (
        (estimate, means, min(0.0, correlation)),
        (-estimate, np.sort(-means), min(0.0, -correlation)),
    ):
        inside = [
            rank / patterns
            for rank in range(1, patterns // 2)
            if ordered[-rank] >= centre
            and centre - margin.value + joined(ordered[-rank] - centre, margin.value - margin.lower(rank / patterns), r)
            < 0
        ]
        ps.append(min(inside, default=1.0))
    return max(ps)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(5, 8), st.floats(0.05, 3))
def test_equivalence_in_an_estimated_margin_is_its_definition(seed: int, seeds: int, scale: float) -> None:
    generator = np.random.default_rng(seed)
    differences, reference = generator.normal(0.1, scale, size=seeds), generator.normal(0, 3, size=(seeds, 2))
    deviation = deviation_of(reference)
    margin = Margin(deviation.value / 2, deviation)
    found = statistics.p_equivalent(sign_flip(differences), margin)
    # From a half on, a one-sided p says nothing, and isn't told exactly.
    assert min(found, 0.5) == pytest.approx(min(brute_force_p(differences, margin), 0.5))
    sooner = statistics.p_equivalent(sign_flip(differences), margin, enough=0.05)
    assert (sooner <= 0.05) == (found <= 0.05)


def test_a_deviation_of_infinitely_many_seeds_is_an_exact_margin() -> None:
    differences = np.random.default_rng(2).normal(0.1, 1, size=9)
    exact = statistics.p_equivalent(sign_flip(differences), Margin(1.0))
    known = StandardDeviation(value=2.0, seeds=10**9, degrees=1e12, log_error=1e-9)
    assert statistics.p_equivalent(sign_flip(differences), Margin(1.0, known)) == exact


def test_a_normal_deviation_s_lower_limit_is_at_most_chi_squared() -> None:
    runs = np.random.default_rng(0).normal(size=(10, 1))
    found = deviation_of(runs)
    assert found.degrees == pytest.approx(9)
    limit = runs.std(ddof=1) * math.sqrt(9 / stats.chi2.ppf(0.95, 9))
    assert found.lower(0.05) <= limit
    shares = (runs - runs.mean()) ** 2 / runs.var(ddof=1) * 10 / 9
    layard = runs.std(ddof=1) * math.exp(-stats.t.ppf(0.95, 9) * float(shares.std(ddof=0)) / math.sqrt(9) / 2)
    assert found.lower(0.05) == pytest.approx(min(limit, layard), rel=0.02)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seeds", [5, 20])
def test_a_deviation_is_rarely_below_its_lower_limit(shape: str, seeds: int) -> None:
    generator = rng()
    draws = [SHAPES[shape](generator, (seeds, 1)) + SHAPES[shape](generator, (seeds, 4)) for _ in range(2000)]
    above = np.mean([deviation_of(runs).lower(0.05) > math.sqrt(2) for runs in draws])
    assert above <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 2000)


def test_a_seed_s_equal_runs_add_no_degrees_of_freedom() -> None:
    one = rng().normal(size=(8, 1))
    assert deviation_of(np.repeat(one, 3, axis=1)).degrees == pytest.approx(7)
    many = rng().normal(size=(4000, 3))
    assert deviation_of(many).degrees == pytest.approx(3 * 3999, rel=0.02)


def test_seeds_for_an_estimated_margin_have_nearly_the_power() -> None:
    """The formula approximates the test: the power is 0.79, with a standard error of 0.02 here."""
    generator = rng()
    fewest = statistics.fewest_seeds(
        lambda seeds: statistics.power_equivalent(0.0, 0.4, Margin(0.5, deviation_of(REFERENCE)), seeds) >= 0.8
    )
    assert fewest is not None
    equivalent = 0
    for _ in range(300):
        differences, reference = generator.normal(0, 0.4, size=fewest), generator.normal(0, 1, size=(fewest, 1))
        own = deviation_of(reference)
        margin = Margin(own.value / 2, own)
        equivalent += statistics.p_equivalent(sign_flip(differences), margin, enough=0.05) <= 0.05
    assert equivalent / 300 > 0.79 - 3 * math.sqrt(0.79 * 0.21 / 300)


REFERENCE = np.random.default_rng(11).normal(0, 1, size=(200, 1))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(3, 9), st.floats(0, 3))
def test_a_ratio_is_all_that_a_t_test_keeps(seed: int, seeds: int, mean: float) -> None:
    generator = np.random.default_rng(seed)
    whole = generator.normal(mean, 1, size=seeds)
    part = 0.4 * whole + generator.normal(0, 0.3, size=seeds)
    found = statistics.ratio(part, whole)

    def p(candidate: float) -> float:
        return float(stats.ttest_1samp(part - candidate * whole, 0).pvalue)

    assert found.estimate == pytest.approx(part.mean() / whole.mean())
    if math.isinf(found.low):
        assert stats.ttest_1samp(whole, 0).pvalue > 0.05
    else:
        assert (p(found.low), p(found.high)) == pytest.approx((0.05, 0.05), rel=1e-3)


@settings(max_examples=30, deadline=None)
@given(st.lists(FINITE, min_size=6, max_size=30, unique=True).map(np.array))
def test_a_median_has_the_interval_of_scipys_quantile_test(values: Array) -> None:
    found = statistics.median_interval(values)
    expected: Any = stats.quantile_test(values, q=0, p=0.5).confidence_interval(0.95)
    assert (found.low, found.high) == (expected.low, expected.high)


def test_a_median_over_seeds_that_never_come_apart_is_infinite() -> None:
    found = statistics.median_interval(np.array([3.0, math.inf, math.inf]))
    assert (found.estimate, found.low, found.high) == (math.inf, -math.inf, math.inf)


def test_the_variance_shares_are_the_mixed_models() -> None:
    generator = rng()
    levels = np.array(list(itertools.product((-1.0, 1.0), (-1.0, 1.0), (0, 1))))
    factors = {"parameterization": levels[:, 0], "implementation": levels[:, 1]}
    configs = [int(2 * (a > 0) + (b > 0)) for a, b, _ in levels]
    outcomes = (
        generator.normal(0, 2, size=(60, 1))
        + (2 + generator.normal(0, 1, size=(60, 1))) * levels[:, 0]
        + (1 + generator.normal(0, 1, size=(60, 1))) * levels[:, 1]
        + generator.normal(0, 1.5, size=(60, 8))
    )
    found = statistics.variance_shares(outcomes, factors, configs)
    assert found is not None
    model = mixed_model(outcomes, factors)
    assert found == pytest.approx(model, abs=0.01)
    assert found["seed_by_factor"] == pytest.approx(2 / (4 + 4 + 1 + 2 + 2.25), abs=0.06)


def mixed_model(outcomes: Array, factors: dict[str, Array]) -> dict[str, float]:
    """The shares by statsmodels' linear mixed model, fitted by restricted maximum likelihood."""
    seeds, runs = outcomes.shape
    long = pd.DataFrame({name: np.tile(levels, seeds) for name, levels in factors.items()})
    long["seed"] = np.repeat(np.arange(seeds), runs)
    long["outcome"] = ((outcomes - outcomes.mean()) / outcomes.std()).ravel()
    fit = MixedLM.from_formula(
        f"outcome ~ {'*'.join(factors)}",
        groups="seed",
        re_formula="1",
        vc_formula={name: f"0 + {name}" for name in factors},
        data=long,
    ).fit(reml=True)
    fixed = {
        name: max(0.0, fit.fe_params[name] ** 2 - fit.bse_fe[name] ** 2)
        for name in fit.fe_params.index.drop("Intercept")
    }
    parts = {
        "seed": float(fit.cov_re.iloc[0, 0]),
        **{name: fixed[name] for name in factors},
        "together": sum(part for name, part in fixed.items() if ":" in name),
        "seed_by_factor": float(np.sum(fit.vcomp)),
        "round_off": float(fit.scale),
    }
    return {name: part / sum(parts.values()) for name, part in parts.items()}


def test_by_johnsons_correction_a_larger_mean_is_significant_too() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        shape = rng.exponential(size=8) * rng.choice([-1, 1])
        p_values = [statistics.p_johnson(shape - shape.mean() + mean) for mean in np.linspace(0.5, 20, 40)]
        known = [p for p in p_values if p is not None]
        assert all(later <= earlier * (1 + 1e-9) for earlier, later in itertools.pairwise(known))


def test_unpaired_runs_without_variance_are_told_apart() -> None:
    same = statistics.TwoSample([(np.ones(10), np.ones(10))])
    other = statistics.TwoSample([(np.ones(10), np.full(10, 2.0))])
    assert same.p_two_sided() == 1.0
    assert other.p_two_sided() == other.smallest_p
    assert statistics.fewest_unpaired(0.05) == 4


MEMORY = """
import sys
import numpy as np
from reports.statistics import Ratio, TwoSample, sign_flip, sizes

runs = np.random.default_rng(0).normal(size=(int(sys.argv[1]), 2))
sign_flip(runs[:, 0]).interval()
Ratio(runs[:, 0] ** 2, runs[:, 1] ** 2).ci
TwoSample([(runs[:, 0], runs[:, 1])]).p_two_sided()
sizes(runs[:, :1], runs[:, 1:], np.random.default_rng(0))
with open("/proc/self/status") as status:  # getrusage's maximum is the parent's, where that has more
    print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux has a process's peak memory there")
@pytest.mark.slow
def test_ten_thousand_seeds_need_little_memory() -> None:
    told = subprocess.run([sys.executable, "-c", MEMORY, "10000"], capture_output=True, text=True, check=True)
    assert 1024 * int(told.stdout) < 500e6


def test_seeds_that_fail_alike_say_nothing_on_failures() -> None:
    differences = np.array([0.0, 1.0, 0.0, 0.5, 1.0, -0.5, 0.0, 0.5])
    assert statistics.p_failures(differences) == sign_flip(differences).p_two_sided()
    assert statistics.p_failures(np.repeat([0.0, 1.0], [30, 6])) == 2 / 2**6
    assert statistics.p_failures(np.zeros(30)) == 1.0


def test_drawn_sign_flips_are_of_subsets_with_half_of_the_seeds() -> None:
    seeds, resamples = 43, 9000
    differences, generator = rng().normal(0.1, 1.0, size=seeds), np.random.default_rng(SEED)
    numbers = [generator.integers(2**bits, size=(resamples, 1), dtype=np.uint8) for bits in (8, 8, 8, 8, 8, 3)]
    bits = [np.unpackbits(number, axis=1, bitorder="little") for number in numbers]
    members = np.concatenate(bits, axis=1)[:, :seeds].astype(bool)
    assert members.mean(axis=0) == pytest.approx(np.full(seeds, 0.5), abs=5 * 0.5 / math.sqrt(resamples))
    assert np.corrcoef(members.T) == pytest.approx(np.eye(seeds), abs=5 / math.sqrt(resamples))
    means = np.sort([differences[row].mean() for row in members])
    found = sign_flip(differences, resamples)
    assert [found.subset_means.nth(rank + 1) for rank in range(resamples)] == pytest.approx(means)
    assert found.p_greater(0.0) == (1 + (means <= 0.0).sum()) / (1 + resamples)


def test_bootstrap_samples_in_blocks_are_those_of_one_draw() -> None:
    blocks = list(resampled_rows(rng(), 700, 900))
    assert len(blocks) > 1
    assert np.array_equal(np.concatenate(blocks), rng().integers(700, size=(900, 700)))


def test_equivalence_of_a_huge_difference_is_soon_denied() -> None:
    rng = np.random.default_rng(0)
    runs = rng.normal(size=(6, 1))
    huge = sign_flip(-1e149 * (1 + 1e-16 * rng.random(6)))
    margin = Margin(0.1, statistics.standard_deviation(runs))
    assert statistics.p_equivalent(huge, margin) == 1.0
