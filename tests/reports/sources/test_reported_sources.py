"""What a report makes of run stores and tables that lack something, or have too much of it."""

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports import sources
from reports.analysis.design import Question, make_design
from reports.documents import report
from reports.documents.report import Options
from reports.documents.verdict import verdict as verdict_of
from reports.sources import UnreadableSourceError
from reports.thread import CONDITIONS
from tests.helpers.synthetic import rewrite, study, write_run_store

COLUMNS = ["condition", "seed", "precision", "replicate", "final_return"]


RUN = "mvn_std-1-float32-0"


HUGE = json.dumps({"fingerprint": [1.0, 10**400], "episodic_return": 1.0, "global_step": 1})


@pytest.fixture
def store(tmp_path: Path) -> Path:
    write_run_store(tmp_path / "runs", study(seeds=2))
    return tmp_path / "runs"


def verdict(output: Path) -> dict[str, Any]:
    def no_constant(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    found: dict[str, Any] = json.loads((output / "verdict.json").read_text(), parse_constant=no_constant)
    return found


def table(tmp_path: Path, runs: pd.DataFrame) -> str:
    path = tmp_path / "runs.csv"
    runs.to_csv(path, index=False)
    return str(path)


def refused(source: str, options: Options | None = None) -> str:
    with pytest.raises(UnreadableSourceError) as error:
        report.write(source, None, options or Options())
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("rollouts", ["own", "shared"])
def test_a_replayed_training_return_is_said_to_be_another_runs(tmp_path: Path, rollouts: str) -> None:
    write_run_store(tmp_path, study(seeds=2), rollouts=rollouts)
    said = report.write(str(tmp_path), None, Options())
    assert ("final_return isn't these runs' own" in said) == (rollouts == "shared")


@pytest.mark.parametrize("file", ["config.json", "summary.json"])
def test_a_damaged_run_is_named_and_counted(store: Path, file: str) -> None:
    (store / RUN / file).write_text("{}")
    assert f"warning: 1 run damaged, such as {RUN}: {file}" in report.write(str(store), None, Options())
    assert "1 damaged, 31 finished" in (store / "report" / "report.md").read_text()


def test_a_run_that_is_there_twice_is_one_line(store: Path) -> None:
    rewrite(store / RUN / "config.json", seed=0)
    assert f"{RUN} is there twice, first as mvn_std-0-float32-0: condition mvn_std" in refused(str(store))


@pytest.mark.parametrize("updates", ["", "[]\n", '{"fingerprint": [[1]]}\n', HUGE, "one more line"])
def test_a_history_unlike_its_design_is_one_line(store: Path, updates: str) -> None:
    path = store / RUN / "history.jsonl"
    path.write_text(updates if updates != "one more line" else path.read_text() + path.read_text())
    assert f"{path} is damaged" in refused(str(store))


def test_null_fingerprints_leave_the_mechanism_untested(store: Path) -> None:
    for path in store.glob("*/history.jsonl"):
        values = [None, None] if "float32" in str(path) else [0.0, 0.0]
        update = {"global_step": 1, "episodic_return": None, "fingerprint": values}
        path.write_text(2 * (json.dumps(update) + "\n"))
    report.write(str(store), None, Options())
    (design,) = verdict(store / "report")["designs"]
    for factor in design["factors"].values():
        assert factor["mechanism"]["gap"] == {"float32": None, "float64": None}
        assert factor["mechanism"]["reading"] == "untested"


def rewrite_updates(path: Path, **changes: Any) -> None:
    updates = [{**json.loads(line), **changes} for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(update) + "\n" for update in updates))


def test_tensors_in_which_runs_differ_first_are_named(store: Path) -> None:
    for path in store.glob("*/history.jsonl"):
        run = path.parent.name
        tensors = {"actor layer 1 weight": run, "raw scale": "same"}
        rewrite_updates(path, params_norm=50.0, params_sha256=run, tensor_sha256=tensors)
    report.write(str(store), None, Options())
    (design,) = verdict(store / "report")["designs"]
    returns = study(seeds=2).set_index("run")["final_return"]
    a, b = ([returns[f"{arm}-{seed}-float64-0"] for seed in (0, 1)] for arm in ("mvn_std", "mvn_var"))
    (found,) = [
        gaps for gaps in design["divergence"]
        if (gaps["a"], gaps["b"], gaps["precision"]) == ("mvn_std", "mvn_var", "float64")
    ]  # fmt: skip
    assert found["first_gap"] == pytest.approx(np.median(np.abs(np.subtract(a, b))) / 50)
    named = [gaps["first_tensor"] for gaps in design["divergence"]]
    assert named == ["actor layer 1 weight"] * len(named) != []
    assert {factor["mechanism"]["first_tensor"] for factor in design["factors"].values()} == {"actor layer 1 weight"}
    text = (store / "report" / "report.md").read_text()
    assert "| differ first in |" in text
    assert "| actor layer 1 weight |" in text


def test_runs_with_older_fingerprints_are_read_beside_newer_ones(store: Path) -> None:
    for path in store.glob("*/history.jsonl"):
        run = path.parent.name
        if "-1-float" in run:
            rewrite_updates(path, fingerprint=[1.0] * 129, params_sha256="same")
        else:
            rewrite_updates(path, fingerprint=[1.0] * 64, params_sha256="same", params_norm=1.0, tensor_sha256=None)
    report.write(str(store), None, Options())
    (design,) = verdict(store / "report")["designs"]
    assert {factor["mechanism"]["reading"] for factor in design["factors"].values()} == {"identical"}


def test_one_precision_has_a_null_for_the_other(tmp_path: Path) -> None:
    runs = study(seeds=2)
    write_run_store(tmp_path / "runs", runs[runs["precision"] == "float64"])
    report.write(str(tmp_path / "runs"), None, Options())
    for factor in verdict(tmp_path / "runs" / "report")["designs"][0]["factors"].values():
        gap = factor["mechanism"]["gap"]
        assert (gap["float32"], factor["mechanism"]["ratio"]) == (None, None)
        assert gap["float64"] > 0


def test_provenance_is_of_the_chosen_runs_and_of_their_design(tmp_path: Path) -> None:
    runs = study(seeds=2)
    for env_id, cpu in [("Reacher-v5", "a"), ("Pendulum-v1", "b")]:
        write_run_store(tmp_path, runs.assign(run=env_id + runs["run"]), env_id=env_id)
        for path in tmp_path.glob(f"{env_id}*/config.json"):
            rewrite(path, provenance={"cpu": cpu, "leaks_precision": env_id == "Pendulum-v1"})
    other = tmp_path / "Reacher-v5mvn_std-1-float64-0" / "config.json"
    rewrite(other, provenance={"cpu": "a", "version_torch": "3.0"})

    def warnings(**options: Any) -> dict[str, str]:
        report.write(str(tmp_path), tmp_path / "out", Options(**options))
        designs = verdict(tmp_path / "out")["designs"]
        return {design["design"]["env_id"]: " ".join(design["warnings"]) for design in designs}

    found = warnings()
    assert ["processors" in found[name] for name in found] == [False, False]
    assert {name for name in found if "different versions" in found[name]} == {"Reacher-v5"}
    assert {name for name in found if "quantised" in found[name]} == {"Pendulum-v1"}
    assert "different versions" not in warnings(where=("env_id=Reacher-v5", "precision=float32"))["Reacher-v5"]
    text = (tmp_path / "out" / "report.md").read_text()
    assert "- 16 runs: cpu a" in text
    assert "cpu b" not in text


@pytest.mark.parametrize("columns", [[*COLUMNS, "status"], [*COLUMNS[:-1], "status"]])
def test_a_table_in_which_all_failed_says_so(tmp_path: Path, columns: list[str]) -> None:
    runs = study(seeds=2).assign(status="failed", final_return=None)
    printed = report.write(table(tmp_path, runs[columns]), None, Options())
    assert "no run has finished with a final_return" in printed
    assert "32 runs failed, such as row 2" in printed
    (design,) = verdict(tmp_path / "runs-report")["designs"]
    assert design["verdict"] == "undecided"
    for factor in design["factors"].values():
        assert factor["failures"] | {"p": None, "p_adjusted": None} == {
            "reference": [8, 8], "level": [8, 8], "p": None, "p_adjusted": None, "conclusion": "same",
        }  # fmt: skip
        assert (factor["mean"]["estimate"], factor["mean"]["conclusion"]) == (None, "undecided")


def test_a_failed_run_store_of_null_outcomes_says_so(store: Path) -> None:
    for path in store.glob("*/summary.json"):
        path.write_text('{"status": "failed", "error": "the machine\\nburned", "final_return": null}')
    printed = report.write(str(store), None, Options())
    assert "32 runs failed, such as mvn_std-0-float32-0: the machine burned\n" in printed
    assert "no run has finished with a final_return" in printed


def test_failed_runs_are_said_wherever_a_mean_is(tmp_path: Path) -> None:
    rng = random.Random(0)
    rows = [
        {"condition": arm, "seed": seed, "score": rng.gauss(0, 1),
         "status": "failed" if arm == "new" and seed < 8 else "finished"}
        for arm in ("old", "new")
        for seed in range(24)
    ]  # fmt: skip
    printed = report.write(table(tmp_path, pd.DataFrame(rows)), None, Options())
    (line,) = [line for line in printed.splitlines() if line.startswith("  condition")]
    assert "(finished runs; ranks decide)" in line
    assert "mean undecided" in line
    assert "failed runs 0 of 24, 8 of 24: different" in line
    text = (tmp_path / "runs-report" / "report.md").read_text()
    assert "8 of 24 runs failed" in text.split("|")[0]
    assert "The condition effect on failures is found" in text


def test_a_column_that_tells_the_arms_apart_is_said(tmp_path: Path) -> None:
    rows = [
        {"condition": arm, "seed": seed, "score": float(seed % 5), "length": seed, "batch": batch, "epochs": 4}
        for arm, batch in (("old", 64), ("new", 128))
        for seed in range(8)
    ]
    printed = report.write(table(tmp_path, pd.DataFrame(rows)), None, Options(outcome="score"))
    assert "warning: column batch is the same in all runs of a condition and not between them" in printed
    assert "(128 in new, 64 in old)" in printed
    assert "column epochs" not in printed
    assert "column length" not in printed


@pytest.mark.parametrize(
    ("choose", "words"),
    [
        (lambda runs: runs[runs["replicate"] == 1], "no unperturbed run (replicate 0) has ended"),
        (
            lambda runs: runs.assign(seed=runs["seed"] + 100 * runs["condition"].str.startswith("mvn")),
            "no seed has runs of both levels that ended; if seeds pair nothing, read the runs as unpaired",
        ),
        (lambda runs: runs[runs["seed"] == 0], "with 1 seed no test can find a difference"),
        (lambda runs: runs[runs["condition"] == "mvn_std"], "All runs are of one condition, mvn_std"),
        (lambda runs: runs.assign(final_return=0.1), "every run has the same final_return"),
        (lambda runs: runs[runs["replicate"] == 0], "no ULP control: whether round-off alone"),
    ],
)
def test_too_little_of_something_is_said(
    tmp_path: Path, choose: Callable[[pd.DataFrame], pd.DataFrame], words: str
) -> None:
    printed = report.write(table(tmp_path, choose(study()[COLUMNS])), None, Options())
    assert words in printed
    text = (tmp_path / "runs-report" / "report.md").read_text()
    assert "±-" not in text
    assert "[-, -]" not in text


def test_a_report_never_proposes_to_drop_an_arm(tmp_path: Path) -> None:
    runs = study(seeds=8)[COLUMNS]
    runs = runs[(runs["replicate"] == 0) | (runs["condition"] == "normal_std")]
    printed = report.write(table(tmp_path, runs), None, Options())
    assert "choose" not in printed
    assert verdict(tmp_path / "runs-report")["designs"][0]["factors"]["implementation"]["mean"]["n_seeds"] == 8


def test_names_are_no_formulas(tmp_path: Path) -> None:
    runs = study(seeds=2).replace({"condition": {"mvn_std": r"$\ours$"}}).drop(columns="run")
    report.write(table(tmp_path, runs), None, Options())
    assert r"$\ours$" in (tmp_path / "runs-report" / "outcomes-1.svg").read_text()


@pytest.mark.parametrize("place", ["file", "file/below", "taken"])
def test_a_report_that_cannot_be_written_is_one_line(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "taken" / "verdict.json").mkdir(parents=True)
    with pytest.raises(UnreadableSourceError) as error:
        report.write(table(tmp_path, study(seeds=2)[COLUMNS]), tmp_path / place, Options())
    assert str(error.value).startswith(f"{tmp_path / place}: no report can be written there (")
    assert "\n" not in str(error.value)


CONFIGS = st.dictionaries(
    st.tuples(
        st.sampled_from([*CONDITIONS, "jax"]),
        st.integers(0, 6),
        st.sampled_from(["float32", "float64"]),
        st.integers(0, 2),
    ),
    st.sampled_from([0.1, 0.1, 0.2, -1.0, 1e-320, 1e149, -1e149, 1e200, float("inf"), None]),
    min_size=1,
)


STRANGE = st.sampled_from(["", "inf", "-1", "0.5", "1e30", "10000000000000000000000", "odd", "failed", "float32"])


@settings(max_examples=200, deadline=None)
@given(CONFIGS, st.none() | st.tuples(st.sampled_from([*COLUMNS, "status", "implementation"]), STRANGE))
def test_any_table_is_answered_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory,
    configs: dict[tuple[str, int, str, int], float | None],
    strange: tuple[str, str] | None,
) -> None:
    runs = pd.DataFrame([(*place, value) for place, value in configs.items()], columns=COLUMNS, dtype=object)
    runs = runs.assign(parameterization="std", implementation="jax", status="finished")
    for condition, factors in CONDITIONS.items():
        runs.loc[runs["condition"] == condition, ["parameterization", "implementation"]] = factors
    if strange:
        runs.loc[0, strange[0]] = strange[1]
    source = table(tmp_path_factory.mktemp("any"), runs)
    try:
        read = sources.read(source).with_numbers("final_return")
    except UnreadableSourceError as complaint:
        assert strange
        assert "\n" not in str(complaint)  # noqa: PT017  (a refusal is one of two right ends)
        return
    design = make_design(read, read.table, Question())
    json.dumps(verdict_of("final_return", [design]), allow_nan=False)
    for effect in design.answer.effects:
        for each in (effect.main, *effect.mean.simple):
            assert 0 < each.p <= each.p_adjusted <= 1
            if each.size:
                assert each.ci[0] <= each.estimate <= each.ci[1] or math.isclose(*each.ci)


def test_ranks_that_decide_a_simple_effect_give_its_direction(tmp_path: Path) -> None:
    runs = study(seeds=24)[COLUMNS].assign(status="finished")
    dies = (runs["condition"] == "normal_std") & (runs["seed"] < 14)
    dies |= (runs["condition"] == "mvn_std") & (runs["seed"] >= 10)
    runs.loc[dies, "status"] = "failed"
    report.write(table(tmp_path, runs), None, Options())
    headline = (tmp_path / "runs-report" / "report.md").read_text().split("|")[0]
    assert "better in ranks at parameterization variance; worse in ranks at parameterization std" in headline
