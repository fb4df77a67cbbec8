"""What is concluded of studies of known truth: three axes, never mixed, and no label that no test supports."""

import itertools
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from reports import statistics
from reports.analysis import conclusions, warnings
from reports.analysis.attribution import Attribution, attribute, differences_of
from reports.analysis.blocks import Contrast, Stratum
from reports.analysis.conclusions import conclude
from reports.analysis.effects import Effect
from reports.analysis.mean import Estimate
from reports.analysis.mechanism import Mechanism
from reports.analysis.pairs import judge_pairs
from reports.documents import words
from reports.factors import Factor
from reports.statistics import Array
from reports.thread import FACTORS
from tests.helpers.synthetic import study


def as_it_is(contrast: Contrast, _arms: Any) -> Mechanism:
    """Round-off where levels must agree, real elsewhere."""
    return Mechanism(reading="round-off" if contrast.factor.must_agree else "real")


def answer(runs: pd.DataFrame, margin: float | None = None, **options: Any) -> Attribution:
    return attribute(runs, "final_return", FACTORS, margin, mechanism=as_it_is, **options)


def of(found: Attribution, factor: str) -> Effect:
    effect = found.effect(factor)
    assert effect is not None
    return effect


def plain(runs: pd.DataFrame) -> pd.DataFrame:
    return runs[runs["replicate"] == 0]


@pytest.mark.parametrize(
    ("effects", "verdict"),
    [
        ({"parameterization": -2.0}, "parameterization"),
        ({"implementation": 2.0}, "implementation"),
        ({"parameterization": 2.0, "implementation": 2.0}, "both"),
        ({"seeds": 40, "round_off": 0.2, "between_seeds": 2.0}, "no effect"),
        ({"seeds": 5, "parameterization": -9.0}, "undecided"),
    ],
)
def test_a_clear_truth_is_the_verdict(effects: dict[str, Any], verdict: str) -> None:
    assert answer(study(**effects), margin=1.5).verdict == verdict


def test_an_effect_is_the_mean_of_unperturbed_contrasts() -> None:
    runs = study(parameterization=-3.0, implementation=1.0)
    table = plain(runs).pivot_table(index="seed", columns=["parameterization", "implementation"], values="final_return")
    found = answer(runs)
    by_meaning = table.T.groupby(level="parameterization").mean().T
    expected = (by_meaning["std"] - by_meaning["variance"]).to_numpy()
    np.testing.assert_allclose(of(found, "parameterization").main.differences, expected)
    by_class = table.T.groupby(level="implementation").mean().T
    np.testing.assert_allclose(
        of(found, "implementation").main.differences, by_class["normal"] - by_class["mvn"], atol=1e-12
    )


def test_replicates_never_move_an_effect() -> None:
    runs = study(parameterization=1.0)
    runs.loc[runs["replicate"] == 1, "final_return"] += 100.0
    for factor in ("parameterization", "implementation"):
        assert of(answer(runs), factor).main.estimate == of(answer(plain(runs)), factor).main.estimate


def test_the_placebo_is_the_mean_response_to_one_ulp() -> None:
    runs = study()
    means = runs.groupby(["seed", "replicate"])["final_return"].mean().unstack()
    placebo = answer(runs).placebo
    assert placebo is not None
    np.testing.assert_allclose(placebo.differences, means[1] - means[0])


def test_a_seed_that_lacks_a_precision_stays() -> None:
    runs = plain(study(parameterization=-3.0))
    runs = runs[(runs["precision"] == "float32") == (runs["seed"] % 2 == 0)]
    effect = of(answer(runs), "parameterization")
    assert effect.main.size == 10
    assert [(simple.where, simple.size) for simple in effect.mean.simple][-2:] == [
        ("precision float32", 5),
        ("precision float64", 5),
    ]


def test_a_seed_that_lacks_a_control_stays() -> None:
    runs = study()
    found = answer(runs[(runs["replicate"] == 0) | (runs["seed"] < 6)])
    effect = of(found, "implementation")
    assert effect.main.size == 10
    assert effect.spread is not None
    assert effect.spread.either.size == 6


def test_an_incomplete_block_is_named() -> None:
    runs = study()
    runs = runs[~((runs["seed"] == 4) & (runs["condition"] == "mvn_var"))]
    found = answer(runs)
    assert of(found, "parameterization").main.size == 10
    assert [(each.where, each.size) for each in of(found, "parameterization").mean.simple[:2]] == [
        ("implementation mvn", 9),
        ("implementation normal", 10),
    ]
    (said,) = warnings.of_runs(runs, "final_return", found.blocks)
    assert said.startswith("incomplete blocks: a run is missing in seed 4; ")


@pytest.mark.parametrize("ended", [0, 2])
def test_an_arm_that_has_not_ended_takes_no_others_away(ended: int) -> None:
    runs = plain(study(parameterization=3.0, round_off=0.1))
    late = (runs["condition"] == "normal_std") & (runs["seed"] >= ended)
    found = answer(
        runs.assign(status=np.where(late, "missing", "finished"), final_return=runs["final_return"].mask(late))
    )
    assert [effect.main.size for effect in found.effects] == [10, 10]
    assert of(found, "parameterization").mean_conclusion == "different"
    assert of(found, "parameterization").main.estimate == pytest.approx(3.0, abs=0.2)


# Failures are an outcome.


def failing(runs: pd.DataFrame, seeds: set[int], level: str = "normal") -> pd.DataFrame:
    runs = runs.copy()
    failed = runs["seed"].isin(seeds) & (runs["implementation"] == level)
    runs.loc[failed, ["status", "error"]] = ["failed", "NaN in the parameters"]
    runs.loc[failed, "final_return"] = np.nan
    return runs


def lost_where(runs: pd.DataFrame, rows: "pd.Series[bool]") -> pd.DataFrame:
    runs = runs.copy()
    runs.loc[rows, "status"] = "failed"
    runs.loc[rows, "final_return"] = np.nan
    return runs


def test_failures_of_one_arm_are_an_alarm() -> None:
    runs = failing(study(seeds=24, round_off=0.2), set(range(0, 24, 3)))
    effect = of(answer(runs, margin=1.0), "implementation")
    assert (effect.failures.reference, effect.failures.level) == ((0, 96), (32, 96))
    assert effect.failures.conclusion == "different"
    assert effect.mean_conclusion == "different"
    assert effect.conclusion == conclusions.ALARM


def test_a_failed_run_is_the_worst_whatever_its_sign() -> None:
    runs = failing(study(seeds=24, round_off=0.2), set(range(0, 24, 3)))
    for goal, sign in (("maximize", -1), ("minimize", 1)):
        main = of(answer(runs, goal=goal), "implementation").main
        assert main.ranked is not None
        assert np.sign(main.ranked.estimate) == sign
        assert main.size == 16


def test_an_arm_that_always_fails_is_different() -> None:
    effect = of(answer(failing(study(), set(range(10)))), "implementation")
    assert effect.main.size == 0
    assert effect.mean_conclusion == "different"
    said = words.headline(answer(failing(study(), set(range(10)))), effect, "final_return", str)
    assert "no runs finished at both levels" in said
    assert "unbounded" not in said


def test_one_failure_leaves_nothing_equivalent() -> None:
    runs = study(seeds=24, round_off=0.2)
    assert of(answer(runs, margin=1.0), "implementation").mean_conclusion == "equivalent"
    effect = of(answer(failing(runs, {3}), margin=1.0), "implementation")
    assert effect.failures.conclusion == "undecided"
    assert effect.mean_conclusion == "undecided"


def test_no_level_is_equivalent_where_its_runs_fail() -> None:
    runs = study(seeds=24, round_off=0.2)
    fails = (runs["implementation"] == "normal") & (runs["parameterization"] == "std") & (runs["seed"] < 4)
    effect = of(answer(lost_where(runs, fails), margin=1.0), "implementation")
    said = {each.where: each.conclusion for each in effect.mean.simple}
    assert said["parameterization std"] == "undecided"
    assert said["parameterization variance"] == "equivalent"


def test_few_runs_that_finished_are_not_equal() -> None:
    runs = study(seeds=20, round_off=0.01)
    runs = lost_where(runs, runs["seed"] < 17)
    effect = of(answer(runs, margin=1.0), "implementation")
    assert effect.failures.conclusion == "same"
    assert effect.main.can_reject
    assert effect.mean_conclusion == "undecided"


def test_failures_of_the_same_seeds_are_no_difference() -> None:
    runs = failing(failing(study(seeds=24, round_off=0.2), {3, 5}), {3, 5}, "mvn")
    effect = of(answer(runs, margin=1.0), "implementation")
    assert effect.failures.conclusion == "same"
    assert effect.mean_conclusion == "equivalent"


@pytest.mark.parametrize(("column", "first"), [("parameterization", "variance"), ("precision", "float32")])
def test_failures_that_cancel_are_not_the_same(column: str, first: str) -> None:
    runs = study(seeds=40, round_off=0.2)
    turned = (runs["implementation"] == "normal") == (runs[column] == first)
    runs = lost_where(runs, turned & (runs["seed"] < 16))
    effect = of(answer(runs, margin=1.0), "implementation")
    assert effect.failures.reference == effect.failures.level
    assert effect.failures.conclusion == "different"
    runs = study(seeds=40, round_off=0.2)
    runs = lost_where(runs, turned & (runs["seed"] < 2))
    effect = of(answer(runs, margin=1.0), "implementation")
    assert effect.failures.conclusion == "undecided"
    assert effect.mean_conclusion == "undecided"


def test_a_control_that_fails_bounds_no_spread() -> None:
    runs = study(seeds=60, round_off=0.2)
    assert of(answer(runs, margin=1.0), "implementation").spread_conclusion == "bounded"
    lost = (runs["condition"] == "normal_std") & (runs["replicate"] == 1) & (runs["seed"] < 12)
    runs = lost_where(runs, lost)
    found = answer(runs, margin=1.0)
    effect = of(found, "implementation")
    assert effect.failures.conclusion == "none"
    assert effect.spread_conclusion == "undecided"
    assert effect.conclusion != conclusions.ROUND_OFF
    assert any("24 of 120 of normal_std" in word for word in warnings.of_answer(found))


@pytest.mark.parametrize("value", [np.inf, np.nan, 1e200])
def test_an_outcome_that_is_not_finite_is_a_failure(value: float) -> None:
    runs = study()
    runs.loc[(runs["condition"] == "mvn_std") & (runs["seed"] == 0), "final_return"] = value
    found = answer(runs)
    assert of(found, "implementation").failures.reference == (2, 40)
    said = warnings.of_runs(runs, "final_return", found.blocks)
    assert any("4 finished runs without a finite final_return" in word for word in said)


# Few seeds.


@pytest.mark.parametrize("seeds", [1, 2, 5, 6])
def test_where_no_test_can_reject_nothing_is_concluded(seeds: int) -> None:
    found = answer(study(seeds=seeds, implementation=20.0, round_off=0.1), margin=50.0)
    effect = of(found, "implementation")
    assert effect.mean_conclusion == "undecided"
    assert effect.conclusion == conclusions.ROUND_OFF_AT_FIRST
    assert {pair.explained_by for pair in judge_pairs(found)} == {"undecided"}
    said = warnings.of_answer(found)
    assert any("no test can find a difference" in word and "are needed" in word for word in said)


# Effects that cancel.


@pytest.mark.parametrize(("column", "first"), [("parameterization", "variance"), ("precision", "float32")])
def test_effects_that_cancel_are_different(column: str, first: str) -> None:
    runs = study(seeds=20, round_off=0.2)
    normal = runs["implementation"] == "normal"
    runs.loc[normal, "final_return"] += np.where(runs.loc[normal, column] == first, 1.0, -1.0)
    effect = of(answer(runs, margin=0.5), "implementation")
    assert not effect.main.is_different
    assert effect.main.is_equivalent
    assert effect.mean_conclusion == "different"
    assert {simple.where.split()[0] for simple in effect.mean.differing} == {column}


def test_an_effect_in_one_precision_is_not_equivalent() -> None:
    runs = study(seeds=20, round_off=1.0)
    runs.loc[(runs["implementation"] == "normal") & (runs["precision"] == "float32"), "final_return"] += 0.5
    effect = of(answer(runs, margin=0.5), "implementation")
    assert effect.mean_conclusion != "equivalent"


@pytest.mark.parametrize("size", [1.0, 0.3])
def test_effects_that_cancel_over_conditions_are_no_equivalence(size: float) -> None:
    runs = study(seeds=30, round_off=0.2)
    same = (runs["parameterization"] == "std") == (runs["precision"] == "float32")
    runs["final_return"] += size * np.where(same, 1.0, -1.0) * (runs["implementation"] == "normal")
    effect = of(answer(runs, margin=0.5), "implementation")
    (interaction,) = effect.mean.interactions
    assert all(each.is_equivalent for each in (effect.main, *effect.mean.simple))
    assert (
        interaction.place == "with alternating signs over parameterization variance/std and precision float32/float64"
    )
    assert interaction.estimate == pytest.approx(-size, abs=0.1)
    assert effect.mean.differing == [interaction]
    assert effect.mean_conclusion == "different"
    assert not of(answer(runs, margin=0.5), "parameterization").mean.cells


def test_an_interaction_with_several_factors_is_that_of_the_cells() -> None:
    runs = study(seeds=8, round_off=1.0)
    mean = of(answer(runs, margin=0.5), "implementation").mean
    assert [each.where for each in mean.cells[:2]] == [
        "parameterization variance, precision float32",
        "parameterization variance, precision float64",
    ]
    cells = np.stack([each.differences for each in mean.cells])
    assert mean.interactions[0].differences == pytest.approx(np.array([1, -1, -1, 1]) @ cells / 4)


def test_an_effect_in_one_condition_alone_is_no_equivalence() -> None:
    runs = study(seeds=30, round_off=1.0)
    assert of(answer(runs, margin=1.2), "implementation").mean_conclusion == "equivalent"
    there = (runs["condition"] == "normal_std") & (runs["precision"] == "float32")
    runs.loc[there, "final_return"] += 1.0
    effect = of(answer(runs, margin=1.2), "implementation")
    assert all(each.is_equivalent for each in (effect.main, *effect.mean.simple))
    assert effect.mean_conclusion != "equivalent"


def test_p_values_are_holms_over_factors_and_within_each() -> None:
    rng, orders = np.random.default_rng(8), set()
    for _ in range(8):
        effects = answer(study(seeds=10, parameterization=0.3, implementation=0.9, rng=rng)).effects
        within = [multipletests([each.p for each in with_a_test(effect)], method="holm")[1] for effect in effects]
        smallest = [min(own) for own in within]
        over = multipletests(smallest, method="holm")[1]
        for effect, own, smallest_own, adjusted in zip(effects, within, smallest, over, strict=True):
            times = 2 if smallest_own == min(smallest) else 1
            expected = np.minimum(1, np.maximum(adjusted, times * own))
            assert [each.p_adjusted for each in with_a_test(effect)] == pytest.approx(expected)
        orders.add(bool(smallest[0] < smallest[1]))
    assert orders == {True, False}


def with_a_test(effect: Effect) -> list[Estimate]:
    return [each for each in effect.mean.deciding if each.is_tested]


def test_a_cell_is_judged_for_equivalence_alone() -> None:
    runs = study(seeds=30, round_off=0.2)
    runs.loc[(runs["condition"] == "normal_std") & (runs["precision"] == "float32"), "final_return"] += 0.3
    mean = of(answer(runs, margin=0.2), "implementation").mean
    there = next(each for each in mean.cells if each.where == "parameterization std, precision float32")
    assert there.p < 0.001
    assert (there.is_tested, there.conclusion) == (False, "undecided")
    assert all(each.is_equivalent for each in mean.cells if each is not there)


def test_an_interaction_is_the_difference_of_effects() -> None:
    runs = study(seeds=12, round_off=0.1)
    both = (runs["implementation"] == "normal") & (runs["parameterization"] == "std")
    runs.loc[both, "final_return"] += 2.0
    found = answer(runs)
    (row,) = [row for row in found.interactions if (row.factor, row.other) == ("implementation", "parameterization")]
    assert row.test.estimate == pytest.approx(2.0, abs=0.2)
    assert row.is_different
    assert any("isn't the same at each level" in word for word in warnings.of_answer(found))


# Round-off is said only where everything says so.


def test_round_off_needs_all_axes() -> None:
    calm = study(seeds=40, round_off=0.2, between_seeds=2.0)
    effect = of(answer(calm, margin=0.5), "implementation")
    assert effect.spread_conclusion == "bounded"
    assert effect.conclusion == conclusions.ROUND_OFF
    without_controls = of(answer(plain(calm), margin=0.5), "implementation")
    assert without_controls.conclusion == conclusions.BUT_FOR_THE_SPREAD["untested"]
    untested = attribute(calm, "final_return", FACTORS, 0.5).effect("implementation")
    assert untested is not None
    assert untested.conclusion == conclusions.EQUIVALENT


def test_a_real_mechanism_without_effect_is_never_round_off() -> None:
    calm = study(seeds=40, round_off=0.2, between_seeds=2.0)
    found = answer(calm, margin=0.5)
    assert of(found, "parameterization").conclusion == "real, but it doesn't matter within the margin"
    assert found.verdict == "no effect"


def test_twice_the_chaos_is_larger_spread() -> None:
    runs = study(seeds=20)
    rng = np.random.default_rng(5)
    normal = runs["implementation"] == "normal"
    runs.loc[normal, "final_return"] += rng.normal(0, 1.7, normal.sum())
    effect = of(answer(runs), "implementation")
    assert effect.spread is not None
    assert effect.spread.sensitivity.estimate > 1.5
    assert effect.spread_conclusion == "larger"


@pytest.mark.parametrize("kept", ["float32", "float64"])
def test_controls_of_one_precision_say_nothing_of_the_other(kept: str) -> None:
    runs = study(seeds=40)
    rng = np.random.default_rng(6)
    single = runs["precision"] == "float32"
    runs.loc[single, "final_return"] += rng.normal(0, 3.0, single.sum())
    found = answer(runs[(runs["replicate"] == 0) | (runs["precision"] == kept)], margin=50.0)
    spread = of(found, "implementation").spread
    assert spread is not None
    alone = of(answer(runs[runs["precision"] == kept]), "implementation").spread
    assert alone is not None
    assert spread.either.estimate == pytest.approx(alone.either.estimate)
    assert alone.conclusion == "bounded"
    assert spread.conclusion == "undecided"
    lacking = {"float32": "float64", "float64": "float32"}[kept]
    assert all(part.endswith(f"precision {lacking}") for part in spread.uncovered)
    assert any(f"precision {lacking}, so the spread is untested there" in word for word in warnings.of_answer(found))
    assert found.precision is None


def test_controls_of_one_stratum_are_compared_there_alone() -> None:
    runs = study(seeds=40)
    rng = np.random.default_rng(7)
    std = runs["parameterization"] == "std"
    runs.loc[std, "final_return"] += rng.normal(0, 3.0, std.sum())
    found = answer(runs[(runs["replicate"] == 0) | ~std])
    assert of(found, "parameterization").spread is None
    assert sum("no seed has ULP controls of both levels" in word for word in warnings.of_answer(found)) == 2
    spread = of(found, "implementation").spread
    assert spread is not None
    assert spread.conclusion == "undecided"
    assert spread.either.estimate == pytest.approx(1.0, abs=0.15)


def test_precisions_are_compared_in_the_arms_that_have_both() -> None:
    runs = study(seeds=20)
    normal = runs["implementation"] == "normal"
    runs.loc[normal & (runs["replicate"] == 1), "final_return"] += 9.0
    whole = answer(runs[~normal]).precision
    partial = answer(runs[~(normal & (runs["precision"] == "float64") & (runs["replicate"] == 1))]).precision
    assert whole is not None and partial is not None
    assert partial.ratio.estimate == pytest.approx(whole.ratio.estimate)


def controlled(arm: str, seeds: Array, chaos: float, rng: np.random.Generator) -> pd.DataFrame:
    """Runs of an arm and their ULP controls, each a seed's own part and chaos."""
    outcomes = [
        pd.DataFrame({"seed": range(len(seeds)), "replicate": replicate,
                      "final_return": seeds + chaos * rng.normal(size=len(seeds))})
        for replicate in (0, 1)
    ]  # fmt: skip
    return pd.concat(outcomes).assign(condition=arm)


def together(arms: list[pd.DataFrame]) -> pd.DataFrame:
    runs = pd.concat(arms, ignore_index=True)
    return runs.assign(run=runs.index.astype(str), precision="unknown", status="finished", error="")


@pytest.mark.parametrize(("chaos", "conclusion"), [(1.0, "seeds differ"), (3.0, "larger")])
def test_seeds_that_arms_do_not_share_are_no_larger_spread(chaos: float, conclusion: str) -> None:
    rng = np.random.default_rng(9)
    arms = [controlled(arm, rng.normal(size=20), 0.2 * times, rng) for arm, times in (("a", 1.0), ("b", chaos))]
    effect = of(attribute(together(arms), "final_return", CONDITION), "condition")
    assert effect.spread_conclusion == conclusion
    said = {"seeds differ": "seeds respond differently", "larger": "it changes how much runs vary"}[conclusion]
    assert effect.conclusion == f"{said}, cause unknown"


@pytest.mark.parametrize(("levels", "conclusion"), [(("a", "b"), "larger"), (("float64", "bfloat16"), "untested")])
def test_responses_of_number_formats_are_described_and_not_tested(levels: tuple[str, str], conclusion: str) -> None:
    rng = np.random.default_rng(9)
    seeds = rng.normal(size=20)
    arms = [controlled(level, seeds, response, rng) for level, response in zip(levels, (1.0, 0.1), strict=True)]
    effect = of(attribute(together(arms), "final_return", [Factor(name="condition", levels=levels)]), "condition")
    assert effect.spread is not None
    assert effect.spread.sensitivity.estimate == pytest.approx(0.1, abs=0.05)
    assert effect.spread_conclusion == conclusion
    assert (" (p " in words.sensitivity_cell(effect)) == (conclusion == "larger")


def test_a_shift_of_the_mean_is_no_spread() -> None:
    runs = study(seeds=20)
    moved = runs.copy()
    moved.loc[moved["implementation"] == "normal", "final_return"] += 5.0
    spreads = [of(answer(each), "implementation").spread for each in (runs, moved)]
    assert spreads[0] is not None and spreads[1] is not None
    assert spreads[0].either.estimate == pytest.approx(spreads[1].either.estimate)


@pytest.mark.parametrize(
    ("axes", "conclusion"),
    [
        (("identical", "identical", "untested", "none"), "identical"),
        (("round-off", "different", "bounded", "none"), "alarm: a late difference, or chance"),
        (("round-off", "equivalent", "bounded", "none"), "round-off"),
        (("round-off", "equivalent", "undecided", "none"), "round-off at first; spread undecided"),
        (("round-off", "equivalent", "untested", "none"), "round-off at first; spread untested"),
        (("round-off", "identical", "bounded", "undecided"), "round-off at first; outcome undecided"),
        (("round-off", "equivalent", "larger", "none"), "round-off at first; it changes how much runs vary"),
        (("real", "equivalent", "larger", "none"), "real, and it changes how much runs vary"),
        (("real", "undecided", "bounded", "different"), "real, and it changes how often runs fail"),
        (("round-off", "equivalent", "seeds differ", "none"), "round-off at first; seeds respond differently"),
        (("real", "equivalent", "seeds differ", "none"), "real, and seeds respond differently"),
        (("real", "different", "larger", "none"), "real, and it matters"),
        (("untested", "equivalent", "larger", "none"), "it changes how much runs vary, cause unknown"),
        (("round-off", "undecided", "bounded", "none"), "round-off at first; outcome undecided"),
        (("round-off", "undecided", "bounded", "different"), "alarm: a late difference, or chance"),
        (("real", "different", "bounded", "none"), "real, and it matters"),
        (("real", "equivalent", "bounded", "none"), "real, but it doesn't matter within the margin"),
        (("real", "undecided", "bounded", "none"), "real; outcome undecided"),
        (("late", "different", "bounded", "none"), "real from update 7 on, and it matters"),
        (("untested", "different", "bounded", "none"), "different, cause unknown"),
        (("untested", "equivalent", "bounded", "none"), "equivalent, cause unknown"),
        (("untested", "undecided", "bounded", "none"), "undecided"),
    ],
)
def test_the_conclusion_is_the_table_s(axes: tuple[Any, Any, Any, Any], conclusion: str) -> None:
    mechanism, mean, spread, failures = axes
    assert conclude(mechanism, mean, spread, failures, onset=7) == conclusion


# Families, intervals, margins.


def test_the_adjusted_interval_and_the_conclusion_agree() -> None:
    rng = np.random.default_rng(4)
    for _ in range(30):
        for effect in answer(study(seeds=9, parameterization=0.5, implementation=0.4, rng=rng)).effects:
            for each in effect.mean.lines:
                low, high = each.ci_adjusted
                assert (not low < 0 < high) == each.is_different or not each.is_tested
                low, high = each.ci
                assert (not low < 0 < high) == (each.p <= 0.05)


def test_the_margin_is_half_the_reference_arms_deviation() -> None:
    runs = study(between_seeds=3.0)
    reference = plain(runs[runs["condition"] == "mvn_std"])
    variances = reference.groupby("precision")["final_return"].var(ddof=1)
    found, given = answer(runs).margin, answer(runs, margin=7.0).margin
    assert found is not None and given is not None
    assert found.value == pytest.approx(np.sqrt(variances.mean()) / 2)
    assert (given.value, given.sd) == (7.0, None)


@pytest.mark.slow
def test_an_estimated_unpaired_margin_is_rarely_wrong() -> None:
    rng, false = np.random.default_rng(12), 0
    deviation = math.sqrt((math.e - 1) * math.e)
    for _ in range(300):
        reference, level = (np.exp(rng.normal(size=40)) / deviation for _ in range(2))
        runs = two_arms(list(reference), list(level + 0.5))
        found = attribute(runs, "final_return", CONDITION, paired=False)
        false += of(found, "condition").mean_conclusion == "equivalent"
    assert false <= 300 * (0.05 + 3 * math.sqrt(0.05 * 0.95 / 300))


def test_a_difference_within_the_margin_is_flagged() -> None:
    found = answer(study(seeds=12, parameterization=1.0, round_off=0.1), margin=3.0)
    assert of(found, "parameterization").mean_conclusion == "different"
    assert any("by less than the equivalence margin" in word for word in warnings.of_answer(found))


def test_skewed_differences_are_flagged() -> None:
    rng = np.random.default_rng(2)
    flagged = 0
    for _ in range(40):
        runs = plain(study(seeds=12, round_off=0.05, rng=rng))
        grows = rng.exponential(size=12) - 1
        runs.loc[runs["parameterization"] == "std", "final_return"] += grows[runs["seed"]][
            (runs["parameterization"] == "std").to_numpy()
        ]
        flagged += any("skew-corrected" in word for word in warnings.of_answer(answer(runs)))
    assert flagged > 0


# Any factor, any number of arms.

ALGORITHM = Factor(name="condition", levels=("ppo", "sac", "td3"))


def algorithms(seeds: int = 12, **shifts: float) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = [
        {"run": f"{name}-{seed}", "status": "finished", "error": "", "condition": name, "seed": seed,
         "precision": "unknown", "replicate": 0, "score": shifts.get(name, 0.0) + rng.normal()}
        for name in ALGORITHM.levels
        for seed in range(seeds)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_each_level_is_compared_with_the_reference() -> None:
    found = attribute(algorithms(sac=100.0, td3=1000.0), "score", [ALGORITHM])
    assert [(effect.level, effect.mean_conclusion) for effect in found.effects] == [
        ("sac", "different"),
        ("td3", "different"),
    ]
    assert found.effects[1].main.estimate == pytest.approx(1000.0, abs=2.0)
    assert (found.verdict, found.shares) == (None, None)


def test_unpaired_runs_need_no_common_seeds() -> None:
    runs = algorithms(sac=5.0)
    runs.loc[runs["condition"] == "sac", "seed"] += 100
    found = attribute(runs, "score", [ALGORITHM], paired=False)
    first = runs[runs["condition"] == "ppo"]["score"]
    second = runs[runs["condition"] == "sac"]["score"]
    assert found.effects[0].main.estimate == pytest.approx(second.mean() - first.mean())
    assert found.effects[0].mean_conclusion == "different"
    assert attribute(runs, "score", [ALGORITHM]).of("condition")[0].level == "td3"


def test_unpaired_runs_of_one_seed_are_all_counted() -> None:
    runs = algorithms(sac=5.0)
    together = attribute(runs, "score", [ALGORITHM], paired=False).effects[0].main
    for seeds in (runs["seed"] % 3, 0):
        main = attribute(runs.assign(seed=seeds), "score", [ALGORITHM], paired=False).effects[0].main
        assert (main.size, main.estimate, main.p) == (together.size, together.estimate, together.p)


def test_few_unpaired_runs_that_differ_are_warned_of() -> None:
    for seeds, is_warned in ((10, True), (20, False)):
        found = attribute(algorithms(seeds=seeds, sac=5.0), "score", [ALGORITHM], paired=False)
        said = sum("are exact only for levels that vary alike" in warning for warning in warnings.of_answer(found))
        assert said == is_warned


def test_unpaired_runs_need_as_many_as_a_t_test() -> None:
    rng = np.random.default_rng(4)
    runs = algorithms(seeds=20, td3=0.0)
    runs["score"] = rng.normal(size=len(runs)) + 0.5 * (runs["condition"] == "sac")
    mean = attribute(runs, "score", [ALGORITHM], paired=False).effects[0].mean
    main = mean.main
    error = math.sqrt(sum(runs[runs["condition"] == arm]["score"].var(ddof=1) / 20 for arm in ("ppo", "sac")))
    assert main.margin
    needed = next(
        size
        for size in range(21, 10_000)
        if TTestPower().power(abs(main.estimate) / (error * math.sqrt(20)), size, main.level) >= 0.8
        or statistics.power_equivalent(main.estimate, error * math.sqrt(20), main.margin, size) >= 0.8
    )
    assert mean.seeds_needed == needed


def test_seeds_that_would_decide_show_all_effects_equivalent() -> None:
    mean = of(answer(study(seeds=12, round_off=1.0), margin=1.1), "implementation").mean

    def missed(differences: Array, size: int) -> float:
        sides = (1.1 + np.array([1, -1]) * differences.mean()) / differences.std(ddof=1)
        return float(sum(1 - TTestPower().power(side, size, 0.05, alternative="larger") for side in sides))

    def decides(size: int) -> bool:
        return sum(missed(line.differences, size) for line in mean.deciding) <= 0.2

    assert len(mean.deciding) == 10
    assert mean.seeds_needed == next(size for size in range(13, 10_000) if decides(size))


def test_seeds_that_would_decide_find_an_effect_that_exceeds_the_margin() -> None:
    runs = study(seeds=12, round_off=1.0)
    runs.loc[(runs["implementation"] == "normal") & (runs["precision"] == "float32"), "final_return"] += 0.9
    mean = of(answer(runs, margin=0.8), "implementation").mean
    (line,) = [each for each in mean.deciding if each.exceeds_margin and each.is_tested]
    assert (line.where, line.is_different) == ("precision float32", False)
    effect = abs(line.estimate) / line.differences.std(ddof=1)
    solved = math.ceil(TTestPower().solve_power(effect_size=effect, alpha=line.level, power=0.8))
    assert mean.seeds_needed == solved


@pytest.mark.parametrize(("seeds", "can_reject"), [(7, False), (8, False), (9, True)])
def test_cells_are_not_taken_for_tests_that_can_reject(seeds: int, can_reject: bool) -> None:
    effect = of(answer(study(seeds=seeds), margin=1.0), "implementation")
    assert effect.mean.can_reject == can_reject
    assert any("no test can find a difference" in each for each in warnings.of_answer(answer(study(seeds=seeds)))) != (
        can_reject
    )


def test_an_interaction_needs_runs_in_all_its_cells() -> None:
    """A main effect alone is no interaction, whatever runs are missing."""
    runs = plain(study(seeds=20, round_off=0.1))
    runs.loc[runs["implementation"] == "normal", "final_return"] += 3.0
    float64 = runs["precision"] == "float64"
    without_an_arm = runs[~((runs["condition"] == "normal_std") & float64)]
    some_missing = runs[~((runs["condition"] == "normal_std") & float64 & (runs["seed"] < 6))]
    each_in_one = runs[float64 == (runs["seed"] % 2 == 0)]
    for found, seeds in ((without_an_arm, 0), (some_missing, 14), (each_in_one, 20)):
        mean = of(answer(found, margin=5.0), "implementation").mean
        assert [each.size for each in mean.interactions] == [seeds] * (seeds > 0)
        assert all(abs(each.estimate) < 0.2 for each in mean.interactions)
    unpaired = of(answer(without_an_arm, margin=5.0, paired=False), "implementation").mean
    assert not unpaired.interactions


def test_an_interaction_is_of_levels_that_are_all_there() -> None:
    strata = tuple(
        Stratum({"a": a, "b": b}, (0,), (1,)) for a, b in itertools.product("012", "xyz") if (a, b) not in {("1", "y")}
    )
    factor = Factor(name="factor", levels=("p", "q"), must_agree=True)
    names = [each.name for each in Contrast(factor, "q", strata, ("float32",)).crossings]
    assert names == ["a 0/1 and b x/z", "a 0/2 and b x/y", "a 0/2 and b x/z"]


def test_two_levels_that_differ_from_each_other_are_explained() -> None:
    found = attribute(algorithms(sac=100.0, td3=1000.0), "score", [ALGORITHM])
    (pair,) = [pair for pair in judge_pairs(found) if {pair.difference.a, pair.difference.b} == {"sac", "td3"}]
    assert pair.explained_by == "condition"


def test_no_scale_of_the_outcome_changes_what_is_concluded() -> None:
    runs = study(parameterization=3.0)
    for scale in (1e-14, 1e100):
        found = answer(runs.assign(final_return=runs["final_return"] * scale))
        assert [effect.conclusion for effect in found.effects] == [effect.conclusion for effect in answer(runs).effects]
        assert found.effects[0].main.p_skew == pytest.approx(answer(runs).effects[0].main.p_skew)


def test_effects_that_cancel_are_not_inside_the_margin() -> None:
    runs = study(seeds=20, round_off=0.2)
    normal = runs["implementation"] == "normal"
    runs.loc[normal, "final_return"] += np.where(runs.loc[normal, "precision"] == "float32", 3.0, -3.0)
    found = answer(runs, margin=1.0)
    assert of(found, "implementation").mean_conclusion == "different"
    assert not of(found, "implementation").mean.is_inside_margin
    said = warnings.of_answer(found)
    assert not any("by less than the" in word for word in said)
    # 0.86 to the power of 20 is 5%.
    assert any("fewer than 14% of the runs may not have shown up there (95%, 20 seeds)" in word for word in said)


def test_simple_effects_that_may_differ_are_one_family() -> None:
    rng = np.random.default_rng(0)
    factors = [Factor(name=name, levels=("x", "y", "z")) for name in ("first", "second")]
    arms = list(itertools.product("xyz", repeat=2))
    false = 0
    for _ in range(100):
        rows = [
            {"run": f"{a}{b}{seed}", "condition": a + b, "first": a, "second": b, "seed": seed, "precision": "unknown",
             "replicate": 0, "status": "finished", "error": "", "score": rng.normal()}
            for a, b in arms
            for seed in range(12)
        ]  # fmt: skip
        found = attribute(pd.DataFrame(rows), "score", factors)
        false += any(effect.mean.differing for effect in found.effects)
    assert false <= 10  # 5% on average: more than 10 of 100 in one of a hundred tests


def test_a_seed_without_a_counterpart_is_named() -> None:
    runs = study()
    runs = runs[(runs["condition"] == "mvn_std") | (runs["precision"] == "float32")]
    found = answer(runs)
    (said,) = warnings.of_runs(runs, "final_return", found.blocks)
    assert said.startswith("incomplete blocks: a run is missing in seeds 0, 1, 2, 3, 4, 5, 6, 7, 8, 9;")


def test_confounded_factors_have_no_effect() -> None:
    runs = study()
    found = answer(runs[runs["condition"].isin(["mvn_std", "normal_std"])], margin=1.0)
    assert found.effects == ()
    assert [pair.factor for pair in judge_pairs(found)] == ["both"]
    assert sum("can't be estimated" in word for word in warnings.of_answer(found)) == 2


def test_a_factor_of_one_level_is_said_to_have_one() -> None:
    runs = study()
    found = answer(runs[runs["implementation"] == "normal"])
    assert [effect.factor.name for effect in found.effects] == ["parameterization"]
    said = "the implementation effect can't be estimated: all runs are of one level, normal"
    assert said in warnings.of_answer(found)


# Pairs.


def test_pairs_are_named_for_what_they_differ_in() -> None:
    found = answer(study(seeds=40, parameterization=-3.0, round_off=0.2, between_seeds=2.0), margin=0.5)
    pairs = {(pair.difference.a, pair.difference.b): pair for pair in judge_pairs(found)}
    assert {names: pair.factor for names, pair in pairs.items()} == {
        ("mvn_std", "normal_sqrt"): "implementation",
        ("mvn_std", "mvn_var"): "parameterization",
        ("mvn_std", "normal_std"): "both",
        ("normal_sqrt", "mvn_var"): "both",
        ("normal_sqrt", "normal_std"): "parameterization",
        ("mvn_var", "normal_std"): "implementation",
    }
    causes = {pair.factor: pair.explained_by for pair in pairs.values()}
    assert causes == {"parameterization": "parameterization", "implementation": "round-off", "both": "parameterization"}


def test_a_pair_says_no_more_than_its_factors() -> None:
    runs = study(parameterization=-9.0)
    undecided = answer(runs, margin=1e-3)
    assert of(undecided, "implementation").mean_conclusion == "undecided"
    assert {pair.explained_by for pair in judge_pairs(undecided) if pair.factor != "parameterization"} == {"undecided"}


def test_variance_shares_find_the_truth() -> None:
    runs = study(seeds=400, parameterization=4.0, implementation=2.0, round_off=2.0, between_seeds=3.0)
    # Variances: seed 9, parameterization (4/2)^2 = 4, implementation 1, round-off 4.
    shares = answer(runs).shares
    expected = {"seed": 9 / 18, "parameterization": 4 / 18, "implementation": 1 / 18, "round_off": 4 / 18}
    nothing = dict.fromkeys(("precision", "together", "seed_by_factor"), 0.0)
    assert shares == pytest.approx({**expected, **nothing}, abs=0.04)


def test_without_any_finished_run_nothing_is_said() -> None:
    runs = study(seeds=2).assign(status="unfinished", error="the machine burned", final_return=None)
    found = answer(runs)
    assert (found.effects, found.verdict) == ((), "undecided")
    said = warnings.of_runs(runs, "final_return", found.blocks)
    assert said[0] == "32 runs unfinished, such as mvn_std-0-float32-0: the machine burned"
    assert "no run has finished with a final_return: nothing can be concluded" in said


def test_an_answer_shows_itself() -> None:
    found = answer(study(parameterization=-3.0))
    assert "parameterization (std - variance)" in repr(found)
    assert differences_of(found, "parameterization").keys() == set(range(10))


def two_arms(first: list[float], second: list[float]) -> pd.DataFrame:
    """Runs of two conditions, paired by seed."""
    rows = [
        {"condition": arm, "seed": seed, "precision": "unknown", "replicate": 0, "final_return": value}
        for arm, values in (("a", first), ("b", second))
        for seed, value in enumerate(values)
    ]
    return pd.DataFrame(rows).assign(run=range(len(rows)), status="finished", error="")


CONDITION = (Factor(name="condition", levels=("a", "b"), must_agree=True),)


@pytest.mark.parametrize(
    ("seeds", "conclusion"), [(1, "undecided"), (3, "undecided"), (12, "equivalent, cause unknown")]
)
def test_a_few_equal_outcomes_show_nothing(seeds: int, conclusion: str) -> None:
    values = [float(seed) for seed in range(seeds)]
    found = attribute(two_arms(values, values), "final_return", CONDITION, margin=1.0)
    assert of(found, "condition").conclusion == conclusion


def test_one_pair_that_is_left_is_not_identical() -> None:
    values = [math.nan] * 10 + [1.0]
    found = attribute(lost_where(two_arms(values, values), np.isnan(two_arms(values, values)["final_return"])),
                      "final_return", CONDITION, margin=1.0)  # fmt: skip
    assert of(found, "condition").mean_conclusion == "undecided"


def test_where_ranks_decide_no_detectable_effect_is_claimed() -> None:
    runs = study(seeds=24, round_off=0.2)
    assert of(answer(runs), "implementation").main.detectable is not None
    found = answer(failing(runs, {3}))
    assert of(found, "implementation").main.detectable is None
    assert "80%" not in words.blind_spots(found, str)


def test_it_is_said_where_alone_a_factor_is_compared() -> None:
    runs = plain(study(seeds=20, round_off=0.2))
    three = runs[runs["condition"] != "normal_sqrt"]
    found = of(answer(three, margin=1.0), "implementation")
    assert found.contrast.compared_at == (
        "parameterization std, precision float32",
        "parameterization std, precision float64",
    )
    assert "compared at parameterization std" in words.headline(answer(three), found, "final_return", str)
    assert any("compared at parameterization std" in each for each in warnings.of_answer(answer(three)))
    lacking = runs[(runs["implementation"] == "mvn") | (runs["precision"] == "float32")]
    at = of(answer(lacking), "implementation").contrast.compared_at
    assert at == ("parameterization variance, precision float32", "parameterization std, precision float32")
    assert of(answer(runs), "implementation").contrast.compared_at is None


def test_the_effect_that_keeps_a_factor_from_equivalence_is_told() -> None:
    runs = plain(study(seeds=20, round_off=0.1, between_seeds=0.1))
    normal, std = runs["implementation"] == "normal", runs["parameterization"] == "std"
    runs.loc[normal, "final_return"] += np.where(std[normal], 0.3, -0.3)
    mean = of(answer(runs, margin=0.35), "implementation").mean
    assert mean.main.is_equivalent
    assert mean.decisive.where in ("parameterization variance", "parameterization std")


def test_if_no_test_can_reject_no_detectable_effect_is_claimed() -> None:
    rng = np.random.default_rng(0)
    found = attribute(
        two_arms(list(rng.normal(size=5)), list(rng.normal(size=5))), "final_return", CONDITION, margin=1.0
    )
    assert of(found, "condition").main.detectable is None


def test_effects_that_cancel_across_levels_are_no_equivalence() -> None:
    runs = plain(study(seeds=20, round_off=0.1, between_seeds=0.1))
    sign = np.where(runs["implementation"] == "normal", 1.0, -1.0)
    runs["final_return"] += 0.5 * sign * (runs["parameterization"] == "std")
    found = of(answer(runs, margin=0.4), "parameterization")
    assert found.main.is_equivalent
    assert found.mean_conclusion == "undecided"
    assert len(found.mean.differing) == 2


def test_the_threads_words_are_of_its_levels_alone() -> None:
    runs = plain(study(implementation=2.0))
    other = runs.replace({"implementation": {"mvn": "torch", "normal": "jax"}})
    factors = (Factor(name="implementation", levels=("torch", "jax"), must_agree=True),)
    found = attribute(other[other["parameterization"] == "std"], "final_return", factors, margin=1.0)
    assert not found.is_thread
    assert found.verdict is None
    assert answer(runs).is_thread
