"""What is read of tables: any arms, factors, designs and outcomes; and what is refused."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports import sources
from reports.factors import Factor
from reports.sources import Mapping, Reading, UnreadableSourceError
from reports.sources.reading import AS_IS
from reports.sources.runs import COLUMNS, Runs
from reports.thread import CONDITIONS, FACTORS
from tests.helpers.paths import DATA
from tests.helpers.synthetic import study

OWN = ["condition", "seed", "precision", "replicate", "final_return"]


def table(tmp_path: Path, runs: pd.DataFrame) -> str:
    path = tmp_path / "runs.csv"
    runs.to_csv(path, index=False)
    return str(path)


def read(tmp_path: Path, runs: pd.DataFrame, **reading: Any) -> Runs:
    return sources.read(table(tmp_path, runs), reading=Reading(**reading))


def refused(source: str | pd.DataFrame, reading: Reading = AS_IS, outcome: str = "final_return") -> str:
    with pytest.raises(UnreadableSourceError) as error:
        sources.read(source, reading=reading).with_numbers(outcome)
    assert "\n" not in str(error.value)
    return str(error.value)


def arms(*conditions: str, seeds: int = 3) -> pd.DataFrame:
    """Runs of a few arms, each with its place in the list as the outcome."""
    rows = [(condition, seed, float(place)) for place, condition in enumerate(conditions) for seed in range(seeds)]
    return pd.DataFrame(rows, columns=["condition", "seed", "score"])


def levels(runs: Runs) -> dict[str, tuple[str, ...]]:
    return {factor.name: factor.levels for factor in runs.factors}


def test_the_thread_s_conditions_have_the_thread_s_factors(tmp_path: Path) -> None:
    runs = read(tmp_path, study(seeds=2)[OWN])
    assert runs.factors == FACTORS
    told = study(seeds=2)[["parameterization", "implementation"]].astype(str)
    pd.testing.assert_frame_equal(runs.table[[*told.columns]].astype(object), told.astype(object))


def test_a_reference_reorders_the_thread_s_levels(tmp_path: Path) -> None:
    runs = read(tmp_path, study(seeds=2)[OWN], reference="mvn_var")
    assert levels(runs) == {"parameterization": ("std", "variance"), "implementation": ("mvn", "normal")}


def test_without_factor_columns_the_condition_is_the_factor(tmp_path: Path) -> None:
    runs = read(tmp_path, arms("ppo", "sac", "td3", "ddpg", "trpo"))
    assert runs.factors == (Factor(name="condition", levels=("ppo", "sac", "td3", "ddpg", "trpo")),)
    assert runs.outcomes == ["score"]


def test_the_condition_itself_must_agree_if_it_is_declared(tmp_path: Path) -> None:
    runs = read(tmp_path, arms("ours", "theirs").assign(library=["a"] * 3 + ["b"] * 3), must_agree=("condition",))
    assert runs.factors == (Factor(name="condition", levels=("ours", "theirs"), must_agree=True),)


def test_the_reference_comes_first_then_the_order_of_rows(tmp_path: Path) -> None:
    runs = read(tmp_path, arms("ppo", "sac", "td3"), reference="td3")
    assert levels(runs) == {"condition": ("td3", "ppo", "sac")}


def test_text_columns_are_factors(tmp_path: Path) -> None:
    runs = arms("a-sb3", "a-rl", "b-sb3", "b-rl").assign(
        algorithm=["a"] * 6 + ["b"] * 6, library=(["sb3"] * 3 + ["rl"] * 3) * 2
    )
    found = read(tmp_path, runs, must_agree=("library",), reference="a-rl")
    assert levels(found) == {"library": ("rl", "sb3"), "algorithm": ("a", "b")}
    assert [factor.must_agree for factor in found.factors] == [True, False]


def test_the_thread_s_conditions_may_have_other_factors(tmp_path: Path) -> None:
    runs = arms("mvn_std", "normal_std").assign(library=["a"] * 3 + ["b"] * 3)
    assert levels(read(tmp_path, runs)) == {"library": ("a", "b")}


def test_a_text_column_of_one_value_is_no_factor(tmp_path: Path) -> None:
    runs = arms("ppo", "sac").assign(env_id="Walker2d", note=pd.Series(["odd"]))
    assert levels(read(tmp_path, runs)) == {"condition": ("ppo", "sac")}


def test_a_declared_number_is_a_factor_of_text(tmp_path: Path) -> None:
    runs = arms("one", "two", "half").assign(layers=[1.0] * 3 + [2.0] * 3 + [0.5] * 3)
    found = read(tmp_path, runs, factors=("layers",))
    assert levels(found) == {"layers": ("1", "2", "0.5")}
    assert found.table["layers"].tolist() == ["1"] * 3 + ["2"] * 3 + ["0.5"] * 3
    assert found.outcomes == ["score"]


def test_design_columns_are_hyperparameters(tmp_path: Path) -> None:
    runs = pd.concat([arms("ppo", "sac").assign(env_id=env, lr=0.1) for env in ("Hopper", "Walker2d")])
    found = read(tmp_path, runs, design=("env_id", "lr"))
    assert (found.hyperparameters, found.outcomes) == (["env_id", "lr"], ["score"])
    assert levels(found) == {"condition": ("ppo", "sac")}


def test_unpaired_runs_need_no_seed(tmp_path: Path) -> None:
    runs = read(tmp_path, arms("ppo", "sac").drop(columns="seed"), unpaired=True)
    assert not runs.paired
    assert runs.table["seed"].tolist() == [0, 1, 2, 0, 1, 2]


def test_unpaired_runs_keep_their_seeds(tmp_path: Path) -> None:
    runs = read(tmp_path, arms("ppo", "sac").assign(seed=range(6)), unpaired=True)
    assert runs.table["seed"].tolist() == list(range(6))


def test_every_table_has_the_columns_of_every_run(tmp_path: Path) -> None:
    runs = read(tmp_path, arms("ppo", "sac"))
    assert [*runs.table.columns] == [*COLUMNS, "score"]
    first = runs.table.iloc[0].to_dict()
    assert first == {
        "run": "row 2",
        "status": "finished",
        "error": "",
        "condition": "ppo",
        "precision": "unknown",
        "replicate": 0,
        "seed": 0,
        "score": 0.0,
    }


def test_outcomes_that_are_not_finite_or_empty_stay(tmp_path: Path) -> None:
    runs = arms("ppo", "sac").assign(score=[float("inf"), float("-inf"), float("nan"), 1.0, 2.0, 3.0])
    values = read(tmp_path, runs).with_numbers("score").table["score"]
    assert values.isna().tolist() == [False, False, True, False, False, False]
    assert values[:2].tolist() == [float("inf"), float("-inf")]


@pytest.mark.parametrize(
    ("reading", "words"),
    [
        (Reading(), "column 'env_id' has 3 values in condition 'ppo', and a condition is one arm: let it name the"),
        (Reading(factors=("env_id",)), "column 'env_id' has 3 values in condition 'ppo'"),
        (Reading(design=("env",)), "design 'env' is not a column. Did you mean 'env_id'?"),
        (Reading(factors=("x",)), "factor 'x' is not a column; choose from score, env_id, library"),
        (Reading(must_agree=("librari",)), "factor 'librari' is not a column. Did you mean 'library'?"),
        (Reading(factors=("seed",)), "factor 'seed' is a column of every run"),
        (Reading(design=("condition",)), "design 'condition' is a column of every run"),
        (Reading(design=("env_id",), reference="x"), "'x' is not a condition; the conditions are ppo, sac, td3"),
        (Reading(design=("env_id", "library"), factors=("library",)), "can't be both a design column and a factor"),
        (Reading(design=("env_id",), factors=("library", "condition")), "'condition' is a factor only by itself"),
        (Reading(design=("env_id",)), "conditions 'sac' and 'td3' are the same in every factor (library)"),
    ],
)
def test_a_name_that_is_no_factor_or_design_is_one_line(tmp_path: Path, reading: Reading, words: str) -> None:
    runs = arms("ppo", "sac", "td3").assign(env_id=["a", "b", "c"] * 3, library=["x"] * 3 + ["y"] * 6)
    line = refused(table(tmp_path, runs), reading, "score")
    assert line.startswith(f"{tmp_path / 'runs.csv'}: ")
    assert words in line


@pytest.mark.parametrize(
    ("reading", "parameter"),
    [(Reading(), "design"), (Reading(design=("env_id",)), "factors"), (Reading(design=("x",)), "design")],
)
def test_an_error_says_which_parameter_mends_it(tmp_path: Path, reading: Reading, parameter: str) -> None:
    runs = arms("ppo", "sac", "td3").assign(env_id=["a", "b", "c"] * 3, library=["x"] * 3 + ["y"] * 6)
    with pytest.raises(UnreadableSourceError) as refusal:
        sources.read(table(tmp_path, runs), reading=reading)
    assert refusal.value.parameter == parameter


def test_a_factor_with_an_empty_value_is_one_line(tmp_path: Path) -> None:
    runs = arms("ppo", "sac").assign(library=pd.Series(["a", "a", None, "b", "b", "b"]))
    assert "row 4: column 'library' is empty: fill it in" in refused(table(tmp_path, runs))


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("precision", None, "row 4: precision must be said in every row, not empty"),
        ("status", None, "row 4: status must be said in every row, not empty"),
        ("status", "Finished", "row 4: status must be one of finished, failed"),
        ("seed", float("inf"), "row 4: seed must be a whole number, not "),
        ("seed", 10**400, "row 4: seed must be a whole number, not "),
        ("seed", 0.5, "row 4: seed must be a whole number, not 0.5"),
        ("seed", None, "row 4: seed must be a whole number, not empty"),
        ("replicate", "one", "row 4: replicate must be a whole number, not 'one'"),
        ("condition", None, "row 4: condition must be said in every row, not empty"),
        ("final_return", "good", "row 4: final_return must be a number, or empty where there is none, not 'good'"),
        ("implementation", "normal", "row 4: implementation must be what the condition's name says, not 'normal'"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_its_row(tmp_path: Path, column: str, value: object, words: str) -> None:
    runs = study(seeds=2).drop(columns="run")
    values = [value if row == 2 else old for row, old in enumerate(runs[column])]
    assert words in refused(table(tmp_path, runs.assign(**{column: pd.Series(values, dtype=object)})))


def test_a_wrong_value_of_a_named_run_names_the_run(tmp_path: Path) -> None:
    runs = arms("ppo", "sac").assign(run=[f"r{number}" for number in range(6)], seed=[0, 1, "x", 0, 1, 2])
    assert "run r2: seed must be a whole number, not 'x'" in refused(table(tmp_path, runs))


@pytest.mark.parametrize("column", ["condition", "seed"])
def test_a_table_without_what_every_run_needs_is_one_line(tmp_path: Path, column: str) -> None:
    line = refused(table(tmp_path, arms("ppo", "sac").drop(columns=column)))
    assert f"every row needs a '{column}'; choose from " in line


def test_text_in_an_outcome_matters_only_if_it_is_asked_for(tmp_path: Path) -> None:
    runs = study(seeds=2)[OWN].assign(eval_return=1.0).astype({"eval_return": object})
    runs.loc[3, "eval_return"] = "lost"
    source = table(tmp_path, runs)
    assert sources.read(source).with_numbers("final_return").outcomes == ["eval_return", "final_return"]
    assert "row 5: eval_return must be a number" in refused(source, outcome="eval_return")


def test_a_declared_outcome_is_no_factor(tmp_path: Path) -> None:
    runs = arms("ppo", "sac").assign(score=["lost", "gone", "lost", "won", "lost", "lost"])
    source = table(tmp_path, runs)
    assert "row 2: score must be a number" in refused(source, Reading(outcome="score"), "score")


def test_a_mapping_renames_a_table_s_columns(tmp_path: Path) -> None:
    runs = arms("ppo", "sac").rename(columns={"condition": "algo", "seed": "Seed"}).assign(steps=7)
    text = "condition=algo,seed=Seed,outcome=score,precision='float32, mixed'"
    found = read(tmp_path, runs, mapping=Mapping.parse(text))
    assert [*found.table.columns] == [*COLUMNS, "steps", "score"]
    assert found.table["condition"].tolist() == ["ppo"] * 3 + ["sac"] * 3
    assert set(found.table["precision"]) == {"float32, mixed"}
    assert found.outcomes == ["score", "steps"]


def test_a_mapped_column_is_named_in_an_error(tmp_path: Path) -> None:
    runs = arms("ppo", "sac").rename(columns={"seed": "Seed"}).assign(Seed="x")
    reading = Reading(mapping=Mapping.parse("seed=Seed"))
    assert "row 2: seed (Seed) must be a whole number, not 'x'" in refused(table(tmp_path, runs), reading)
    reading = Reading(mapping=Mapping.parse("seed=Sed"))
    assert "seed=Sed is not a column. Did you mean 'Seed'?" in refused(table(tmp_path, runs), reading)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed", "'seed' must be NAME=VALUE"),
        ("seed=", "'seed=' must be NAME=VALUE"),
        ("", "can't be read"),
        ("seed=a,,x=b", "can't be read"),
        ("seed='a", "can't be read"),
        ("seed=a,seed=b", "seed is there twice"),
        ("outcome='a'", "outcome='a' is a constant"),
    ],
)
def test_what_is_no_mapping_is_one_line(text: str, words: str) -> None:
    with pytest.raises(UnreadableSourceError) as error:
        Mapping.parse(text)
    assert words in str(error.value)


def test_a_table_of_broken_lines_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_text("condition,seed,final_return\nmvn_std,1,2\nmvn_std,1,2,3\n")
    assert "can't be read as a table" in refused(str(path))
    path.write_text("condition,seed,final_return\nmvn_std,1,2,3\nmvn_std,2,2,3\n")
    assert "more fields than its header" in refused(str(path))


def test_a_spreadsheets_own_csv_is_read_as_any_other(tmp_path: Path) -> None:
    runs = study(seeds=3)[OWN]
    plain = sources.read(table(tmp_path, runs)).with_numbers("final_return").table
    text = runs.rename(columns={"seed": " seed "}).to_csv(index=False, sep=";", decimal=",", lineterminator="\r\n")
    (tmp_path / "runs.csv").write_text("\ufeff" + text + ";;;;\r\n\r\n", encoding="utf-8")
    spreadsheet = sources.read(str(tmp_path / "runs.csv")).with_numbers("final_return").table
    pd.testing.assert_frame_equal(plain, spreadsheet)


NESTED = ([[1.0, 2.0]] * 6, [{"a": 1}] * 6, [np.zeros(2)] * 6, [1.0] * 5 + [[1.0]], [1j] * 6)


@pytest.mark.parametrize("values", NESTED, ids=["list", "mapping", "array", "a single list", "complex"])
def test_a_nested_column_that_nobody_asked_for_is_ignored(values: list[Any]) -> None:
    runs = arms("ppo", "sac")
    found = sources.read(runs.assign(curve=values))
    pd.testing.assert_frame_equal(found.table, sources.read(runs).table)
    for reading in (Reading(factors=("curve",)), Reading(design=("curve",)), Reading(outcome="curve")):
        assert refused(runs.assign(curve=values), reading) == (
            "the table: column 'curve' must have a number or text in each row, not lists, arrays or mappings"
        )
    assert "column 'seed' must have" in refused(runs.assign(seed=values))


def test_a_nested_column_of_a_parquet_file_is_ignored(tmp_path: Path) -> None:
    runs = arms("ppo", "sac")
    runs.assign(curve=pd.Series([[1.0, 2.0]] * 6, dtype=object)).to_parquet(tmp_path / "runs.parquet")
    found = sources.read(str(tmp_path / "runs.parquet")).table
    pd.testing.assert_frame_equal(found, sources.read(runs).table, check_dtype=False)


def test_arrows_types_are_as_numpys() -> None:
    runs = study(seeds=2)[OWN].assign(library=pd.Series(["torch", None] * 16, dtype=object))
    runs.loc[3, "final_return"] = np.nan
    found = sources.read(runs.convert_dtypes(dtype_backend="pyarrow"), reading=Reading(design=("library",)))
    expected = sources.read(runs, reading=Reading(design=("library",)))
    for each in (found, expected):
        each.table["library"] = each.table["library"].fillna("none")
    pd.testing.assert_frame_equal(found.table.astype(object), expected.table.astype(object))


def test_where_no_column_is_an_outcome_no_option_is_blamed() -> None:
    for score in (np.nan, "1,5"):
        with pytest.raises(UnreadableSourceError, match=r"which outcome\? No column has numbers: name one"):
            sources.read(arms("ppo", "sac").assign(score=score)).usual_outcome  # noqa: B018


def test_a_columns_name_is_text_and_there_once() -> None:
    runs = arms("ppo", "sac")
    found = sources.read(runs.rename(columns={"score": 0}))
    assert found.outcomes == ["0"]
    twice = pd.concat([runs, runs[["score"]]], axis=1)
    assert refused(twice) == "the table: column 'score' is there 2 times: rename or remove all but one"


def test_a_parquet_file_is_read_as_its_csv(tmp_path: Path) -> None:
    runs = arms("ppo", "sac").assign(library=["a"] * 3 + ["b"] * 3)
    runs.to_parquet(tmp_path / "runs.parquet")
    plain = read(tmp_path, runs)
    parquet = sources.read(str(tmp_path / "runs.parquet"))
    pd.testing.assert_frame_equal(plain.table.astype(object), parquet.table.astype(object))
    assert plain.factors == parquet.factors


def test_a_column_chooses_among_several_designs(tmp_path: Path) -> None:
    runs = pd.concat([study(seeds=2)[OWN].assign(env=env) for env in ("a", "b")])
    found = sources.where(read(tmp_path, runs, design=("env",)), ["env=a"])
    assert (set(found.table["env"]), len(found.table)) == ({"a"}, 32)


def test_a_comparison_of_published_algorithms_is_read() -> None:
    path = DATA / "adastop_walker.csv"
    runs = sources.read(str(path), reading=Reading(unpaired=True, reference="SAC"))
    assert levels(runs) == {"condition": ("SAC", "PPO", "DDPG", "TRPO")}
    assert (runs.outcomes, runs.paired) == (["mean_return"], False)
    means = pd.read_csv(path).groupby("condition")["mean_return"].mean()
    pd.testing.assert_series_equal(runs.table.groupby("condition")["mean_return"].mean(), means, check_index_type=False)


CONFIGS = st.dictionaries(
    st.tuples(
        st.sampled_from([*CONDITIONS, "jax"]), st.integers(0, 6), st.sampled_from(["float32", "float64"]),
        st.integers(0, 2),
    ),
    st.sampled_from([0.1, 0.1, 0.2, -1.0, 1e-320, 1e149, -1e149, 1e200, float("inf"), None]),
    min_size=1,
)  # fmt: skip
STRANGE = st.sampled_from(["", "inf", "-1", "0.5", "1e30", "10000000000000000000000", "odd", "failed", "float32"])


@settings(max_examples=200, deadline=None)
@given(CONFIGS, st.none() | st.tuples(st.sampled_from([*OWN, "status", "implementation"]), STRANGE))
def test_any_table_is_read_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory,
    configs: dict[tuple[str, int, str, int], float | None],
    strange: tuple[str, str] | None,
) -> None:
    rows = [(*place, value) for place, value in configs.items()]
    runs = pd.DataFrame(rows, columns=OWN, dtype=object)
    runs = runs.assign(parameterization="std", implementation="jax", status="finished")
    for condition, told in CONDITIONS.items():
        runs.loc[runs["condition"] == condition, ["parameterization", "implementation"]] = told
    if strange:
        runs.loc[0, strange[0]] = strange[1]
    try:
        found = sources.read(table(tmp_path_factory.mktemp("any"), runs)).with_numbers("final_return")
    except UnreadableSourceError as complaint:
        assert strange
        assert "\n" not in str(complaint)  # noqa: PT017  (a refusal is one of two right ends)
        return
    assert len(found.table) == len(runs)
    for factor in found.factors:
        assert found.table.groupby("condition")[factor.name].nunique().max() == 1
        assert {*found.table[factor.name]} <= {*factor.levels}


@pytest.mark.parametrize(
    "header", ["condition,seed,x,x", "condition,seed,x, x ", "condition;seed;x;x", '"x",condition,seed,x']
)
def test_a_column_that_is_there_twice_is_refused(tmp_path: Path, header: str) -> None:
    path = tmp_path / "runs.csv"
    row = header.replace("condition", "a").replace("seed", "0").replace("x", "1")
    path.write_text(f"{header}\n{row}\n", encoding="utf-8")
    assert refused(str(path)).endswith("column 'x' is there 2 times: rename or remove all but one")


def test_a_frame_s_column_that_is_there_twice_is_refused() -> None:
    table = pd.DataFrame([["a", 0, 1.0, 2.0]], columns=["condition", "seed", "x", "x"])
    with pytest.raises(UnreadableSourceError, match="the table: column 'x' is there 2 times"):
        sources.read(table)


@pytest.mark.parametrize("name", ["runs.csv", "runs.parquet"])
def test_a_pipe_in_a_table_s_place_is_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    assert refused(str(tmp_path / name)) == f"{tmp_path / name} can't be read: it isn't a regular file"
