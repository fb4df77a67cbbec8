"""The verdict on studies of known truth."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reports.attribution import Attribution, _explain, attribute
from reports.layout import Layout, Place
from reports.statistics import holm
from tests.synthetic import study


def answer(runs: pd.DataFrame, margin: float | None = None) -> Attribution:
    return attribute(runs, "final_return", margin)


@pytest.mark.parametrize(
    ("effects", "verdict"),
    [
        ({"parameterization": -2.0}, "parameterization"),
        ({"implementation": 2.0}, "implementation"),
        ({"parameterization": 2.0, "implementation": 2.0}, "both"),
        ({"between_seeds": 5.0}, "round-off"),
        ({"seeds": 5, "parameterization": -2.0}, "undecided"),
    ],
)
def test_a_clear_truth_is_the_verdict(effects: dict[str, float], verdict: str) -> None:
    assert answer(study(**effects)).verdict == verdict  # type: ignore[arg-type]


def test_an_effect_is_the_mean_of_its_contrasts_and_its_sign_the_contract() -> None:
    runs = study(parameterization=-3.0, implementation=1.0)
    table = runs.pivot_table(index="seed", columns=["parameterization", "implementation"], values="final_return")
    found = answer(runs)
    by_meaning = table.T.groupby(level="parameterization").mean().T
    expected = (by_meaning["std"] - by_meaning["variance"]).to_numpy()
    np.testing.assert_allclose(found.effects["parameterization"].differences, expected)
    assert (found.effects["parameterization"].a, found.effects["parameterization"].b) == ("variance", "std")
    assert found.effects["parameterization"].estimate == pytest.approx(expected.mean())
    by_class = table.T.groupby(level="implementation").mean().T
    np.testing.assert_allclose(found.effects["implementation"].differences, by_class["normal"] - by_class["mvn"])


def test_pairs_are_all_six_and_named_for_what_they_differ_in() -> None:
    runs = study(parameterization=-3.0)
    found = answer(runs, margin=2.0)
    kinds = {(pair.difference.a, pair.difference.b): pair.kind for pair in found.pairs}
    assert kinds == {
        ("mvn_std", "mvn_var"): "parameterization",
        ("mvn_std", "normal_sqrt"): "implementation",
        ("mvn_std", "normal_std"): "both",
        ("mvn_var", "normal_sqrt"): "both",
        ("mvn_var", "normal_std"): "implementation",
        ("normal_sqrt", "normal_std"): "parameterization",
    }
    causes = {pair.kind: pair.explained_by for pair in found.pairs}
    assert causes == {"parameterization": "parameterization", "implementation": "round-off", "both": "parameterization"}
    means = runs.groupby("condition")["final_return"].mean()
    for pair in found.pairs:
        assert pair.difference.estimate == pytest.approx(means[pair.difference.b] - means[pair.difference.a])


def test_an_equal_pair_that_scatters_more_than_one_ulp_is_not_round_off() -> None:
    runs = study(seeds=15, round_off=0.1)
    extra = np.random.default_rng(1).normal(0, 2.0, size=15)
    # Something that depends on seed and class, and that a nudge doesn't bring about.
    runs["final_return"] += np.where(runs["implementation"] == "normal", extra[runs["seed"]], 0.0)
    causes = {pair.explained_by for pair in answer(runs).pairs if pair.kind == "implementation"}
    assert causes == {"undecided"}


def test_the_margin_is_half_the_reference_deviation_between_seeds() -> None:
    runs = study(between_seeds=3.0)
    reference = runs[runs["condition"] == "normal_std"]
    variances = reference.groupby(["precision", "replicate"])["final_return"].var(ddof=1)
    found, given = answer(runs).margin, answer(runs, margin=7.0).margin
    assert found is not None and given is not None
    assert found.value == pytest.approx(math.sqrt(variances.mean()) / 2)
    assert (given.value, given.deviation) == (7.0, None)


def test_without_a_reference_all_conditions_set_the_margin() -> None:
    runs = study(between_seeds=3.0)
    others = runs[runs["condition"] != "normal_std"]
    variances = others.groupby(["condition", "precision", "replicate"])["final_return"].var(ddof=1)
    found = answer(others).margin
    assert found is not None
    assert found.value == pytest.approx(math.sqrt(variances.mean()) / 2)


def test_without_a_deviation_there_is_no_margin_and_no_equivalence() -> None:
    runs = study()
    found = answer(runs.assign(final_return=runs.groupby("condition")["final_return"].transform("mean")))
    assert found.margin is None
    assert {effect.p_equivalent for effect in found.effects.values()} == {None}
    assert any("equivalence is untested" in warning for warning in found.warnings)


def test_without_replicates_round_off_is_untested() -> None:
    runs = study(between_seeds=5.0)
    found = answer(runs[runs["replicate"] == 0])
    assert {pair.spread for pair in found.pairs} == {None}
    assert found.verdict == "undecided"
    assert any("untested" in warning for warning in found.warnings)
    assert found.shares is None


def test_a_block_with_a_hole_leaves_and_is_named() -> None:
    runs = study(parameterization=-3.0)
    hole = (runs["seed"] == 4) & (runs["condition"] == "mvn_var") & (runs["replicate"] == 1)
    run = int(np.flatnonzero(hole & (runs["precision"] == "float32"))[0])
    runs.loc[run, "status"], runs.loc[run, "error"], runs.loc[run, "final_return"] = "failed", "parameters", np.nan
    found = answer(runs)
    assert found.seeds == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert any("1 runs are failed" in warning and "parameters" in warning for warning in found.warnings)
    assert any(warning.endswith("holes: seeds 4") for warning in found.warnings)


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_an_outcome_that_is_not_finite_is_counted(value: float) -> None:
    runs = study()
    runs.loc[0, "final_return"] = value
    assert any("1 finished runs have no finite final_return" in warning for warning in answer(runs).warnings)


def test_where_nothing_is_whole_nothing_is_concluded() -> None:
    runs = study(seeds=2)
    runs = runs[~((runs["seed"] == 0) & (runs["condition"] == "mvn_std"))]
    runs = runs[~((runs["seed"] == 1) & (runs["condition"] == "mvn_var"))]
    found = answer(runs)
    assert (found.verdict, found.effects, found.pairs) == ("undecided", {}, [])
    assert any("nothing can be concluded" in warning for warning in found.warnings)


def test_confounded_factors_have_no_effect() -> None:
    runs = study()
    found = answer(runs[runs["condition"].isin(["mvn_std", "normal_std"])], margin=1.0)
    assert found.effects == {}
    assert [pair.kind for pair in found.pairs] == ["both"]
    assert sum("can't be estimated" in warning for warning in found.warnings) == 2


def test_levels_are_compared_only_where_the_rest_is_the_same() -> None:
    places = (
        Place("a", "variance", "mvn", "float32", 0),
        Place("b", "std", "mvn", "float32", 0),
        Place("c", "std", "normal", "float64", 0),
    )
    contrasts = Layout(places).contrasts
    assert set(contrasts) == {"parameterization"}
    low, high = contrasts["parameterization"].of(np.array([[1.0, 3.0, 100.0]]))
    assert (low.tolist(), high.tolist()) == ([1.0], [3.0])


def test_variance_shares_find_the_truth() -> None:
    runs = study(seeds=400, parameterization=4.0, implementation=2.0, round_off=2.0, between_seeds=3.0)
    # Variances: seed 9, parameterization (4/2)^2 = 4, implementation 1, round-off 4.
    found = answer(runs)
    assert found.shares is not None
    expected = {"seed": 9 / 18, "parameterization": 4 / 18, "implementation": 1 / 18, "round_off": 4 / 18}
    nothing = dict.fromkeys(("precision", "together", "seed_by_factor"), 0.0)
    assert found.shares.shares == pytest.approx({**expected, **nothing}, abs=0.04)
    for name, (low, high) in found.shares.intervals.items():
        assert low <= found.shares.shares[name] <= high


def test_a_factor_that_was_not_varied_has_no_share() -> None:
    runs = study(parameterization=2.0)
    found = answer(runs[runs["implementation"] == "normal"])
    assert found.shares is not None
    assert "implementation" not in found.shares.shares
    assert sum(found.shares.shares.values()) == pytest.approx(1.0)
    assert any("implementation effect can't be estimated: all runs are of one, normal" in w for w in found.warnings)


def test_a_third_level_is_said_to_be_one_too_many() -> None:
    runs = study()
    third = runs[runs["condition"] == "normal_std"].assign(condition="jax_std", implementation="jax")
    found = answer(pd.concat([runs, third]), margin=1.0)
    assert set(found.effects) == {"parameterization"}
    assert any(
        warning.startswith("the implementation effect can't be estimated")
        and warning.endswith("two levels, and here are 3: mvn, normal, jax")
        for warning in found.warnings
    )


def test_a_pair_different_in_both_is_the_parameterization_only_where_the_implementation_is_equivalent() -> None:
    runs = study(parameterization=-9.0)
    undecided = answer(runs, margin=1e-3)
    assert undecided.effects["implementation"].conclusion == "undecided"
    for found, cause in [(undecided, "undecided"), (answer(runs, margin=2.0), "parameterization")]:
        assert {pair.explained_by for pair in found.pairs if pair.kind == "both"} == {cause}


def test_without_pairs_nothing_is_round_off() -> None:
    runs = study(seeds=12, round_off=0.1)
    # No run of a condition has its like in another: their spread can't be seen.
    alone = runs[(runs["parameterization"] == "std") & ((runs["implementation"] == "mvn") == (runs["replicate"] == 0))]
    found = answer(alone, margin=1.0)
    assert found.effects["implementation"].conclusion == "equivalent"
    assert (found.pairs, found.verdict) == ([], "undecided")


def test_equal_outcomes_are_equal_however_often_they_are_averaged() -> None:
    runs = study().assign(final_return=0.1)
    third = runs[(runs["condition"] == "normal_std") & (runs["replicate"] == 1)].assign(replicate=2)
    assert sum([0.1] * 3) / 3 != 0.1
    found = answer(pd.concat([runs, third]))
    assert found.margin is None
    assert {(effect.estimate, effect.p) for effect in found.effects.values()} == {(0.0, 1.0)}
    assert any("every run has the same final_return" in warning for warning in found.warnings)


def test_outcomes_too_large_to_square_are_no_outcomes() -> None:
    runs = study()
    runs.loc[runs["seed"] < 3, "final_return"] *= 1e200
    found = answer(runs)
    assert found.seeds == list(range(3, 10))
    assert any("48 finished runs have no finite final_return" in warning for warning in found.warnings)


def test_where_nothing_finished_that_alone_is_said() -> None:
    runs = study(seeds=2).assign(status="failed", error="the machine burned", final_return=None)
    found = answer(runs)
    assert (found.verdict, found.effects, found.seeds) == ("undecided", {}, [])
    assert found.shares is None
    assert len(found.warnings) == 2
    assert found.warnings[1].startswith("no run has finished")


@pytest.mark.slow
def test_false_equivalences_at_a_given_margin_are_rare() -> None:
    rng = np.random.default_rng(8)
    equivalent = [
        answer(study(seeds=8, parameterization=1.0, rng=rng), margin=1.0).effects["parameterization"].conclusion
        == "equivalent"
        for _ in range(300)
    ]
    assert sum(equivalent) <= 300 * 0.05 + 3 * math.sqrt(300 * 0.05 * 0.95)


@pytest.mark.parametrize("seeds", [1, 4])
def test_too_few_seeds_never_show_round_off(seeds: int) -> None:
    runs = study(seeds=seeds, implementation=100.0)
    found = answer(runs[runs["parameterization"] == "std"])
    assert found.verdict == "undecided"
    assert {pair.explained_by for pair in found.pairs} == {"undecided"}


def test_an_alarm_on_the_effect_is_not_round_off_in_its_pairs() -> None:
    found = answer(study(seeds=7, implementation=2.0))
    assert found.effects["implementation"].conclusion == "different"
    assert "round-off" not in {pair.explained_by for pair in found.pairs if pair.kind == "implementation"}


@pytest.mark.parametrize(
    ("parameterization", "implementation", "cause"),
    [
        ("different", "equivalent", "parameterization"),
        ("equivalent", "different", "implementation"),
        ("different", "different", "undecided"),
        ("different", "undecided", "undecided"),
        ("undecided", "equivalent", "undecided"),
    ],
)
def test_a_pair_different_in_both_is_one_factors_only_where_the_other_is_cleared(
    parameterization: str, implementation: str, cause: str
) -> None:
    effects: Any = {
        "parameterization": SimpleNamespace(conclusion=parameterization),
        "implementation": SimpleNamespace(conclusion=implementation),
    }
    pair: Any = SimpleNamespace(is_different=True)
    assert _explain("both", pair, 1.0, effects) == cause


def test_spread_is_judged_over_all_pairs_at_once() -> None:
    found = answer(study(seeds=12))
    told = [(pair.spread.p, pair.spread_p_adjusted) for pair in found.pairs if pair.spread]
    assert len(told) == 6
    assert [adjusted for _, adjusted in told] == pytest.approx(holm([p for p, _ in told]))
    for pair in found.pairs:
        assert pair.spread is not None
        low, high = pair.spread.ratio_ci
        assert low < pair.spread.spread / pair.spread.control_spread < high


def test_the_adjusted_interval_and_the_conclusion_agree() -> None:
    rng = np.random.default_rng(4)
    for _ in range(30):
        for effect in answer(study(seeds=9, parameterization=0.5, implementation=0.4, rng=rng)).effects.values():
            low, high = effect.ci_adjusted
            assert (not low < 0 < high) == (effect.conclusion == "different")
            low, high = effect.ci
            assert (not low < 0 < high) == (effect.p <= 0.05)
