"""The report: from tables and run stores, whole or damaged, to the same bytes."""

import base64
import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reports import sources
from reports.analysis import conclusions
from reports.analysis.mechanism import Mechanism
from reports.documents import figures, report, words
from reports.documents.report import Options
from reports.sources import Reading, UnreadableSourceError
from reports.statistics import holm
from reports.thread import CONDITIONS
from study.config.run_config import RunConfig, make_config
from study.training import cohort as training
from tests.helpers.shared import made_once
from tests.helpers.small import SMALL
from tests.helpers.synthetic import study

COLUMNS = ["condition", "seed", "precision", "replicate", "final_return"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small real study: four conditions, two seeds, two precisions, with replicates."""
    return made_once(tmp_path_factory, "small study", train)


def train(runs: Path) -> None:
    for precision in ("float32", "float64"):
        configs = [
            make_config({**SMALL, "condition": condition, "seed": seed, "precision": precision, "replicate": replicate})
            for condition in CONDITIONS
            for seed in (0, 1)
            for replicate in (0, 1)
        ]
        training.train(configs, runs, "disabled")


@pytest.fixture(scope="module")
def written(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on it."""
    output = tmp_path_factory.mktemp("written")
    report.write(str(store), output, Options(html=True))
    return output


@pytest.fixture
def copied(store: Path, tmp_path: Path) -> Path:
    """The same study, to damage."""
    return Path(shutil.copytree(store, tmp_path / "runs"))


def verdict(output: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((output / "verdict.json").read_text())
    return found


def table(tmp_path: Path, runs: pd.DataFrame) -> str:
    path = tmp_path / "runs.csv"
    runs.to_csv(path, index=False)
    return str(path)


def test_a_run_store_is_reported_whole(store: Path, tmp_path: Path) -> None:
    printed = report.write(str(store), tmp_path, Options())
    assert printed.endswith(str(tmp_path / "report.md"))
    text = (tmp_path / "report.md").read_text()
    found = verdict(tmp_path)
    assert (found["schema"], found["outcome"]) == (2, "final_return")
    (design,) = found["designs"]
    assert design["design"] == {"env_id": "Pendulum-v1"}
    for picture in ("first-page-1", "divergence-1", "learning-1", "outcomes-1", "quantiles-1"):
        assert f"({picture}.png)" in text
        assert (tmp_path / f"{picture}.png").stat().st_size > 10_000
        assert ">$" not in (tmp_path / f"{picture}.svg").read_text()  # a tick's label is a formula, and drawn as one
    for run in sources.read(str(store)).table["run"]:
        assert f"| {run} |" in text
    assert not re.search(r"\|\n\n\|", text), "a blank line cuts a table in two"
    assert not re.search(r"\S\s+\*\*\n", text), "a space before its end undoes what is bold"


def test_the_verdict_has_every_key_of_schema_2(written: Path) -> None:
    (design,) = verdict(written)["designs"]
    assert design.keys() >= {
        "design", "n_seeds", "arms", "factors", "placebo", "pairs", "verdict", "warnings",
    }  # fmt: skip
    assert [arm["name"] for arm in design["arms"]] == ["mvn_std", "normal_sqrt", "mvn_var", "normal_std"]
    assert design["arms"][0].keys() >= {"name", "levels", "runs", "failed", "mean", "ci", "ulp_sd"}
    assert list(design["factors"]) == ["parameterization", "implementation"]
    for factor in design["factors"].values():
        assert factor.keys() >= {
            "must_agree", "reference", "level", "mechanism", "mean", "spread", "failures", "simple_effects",
            "interactions", "conclusion",
        }  # fmt: skip
        assert factor["mechanism"].keys() >= {"reading", "gap", "ratio", "first_tensor", "onset"}
        assert factor["mean"].keys() >= {
            "estimate", "ci", "ci_adjusted", "ci90", "p", "p_adjusted", "margin", "p_equivalent", "conclusion",
            "seeds_needed", "detectable",
        }  # fmt: skip
        assert factor["spread"].keys() >= {"ratio", "ci", "conclusion"}
        assert factor["failures"].keys() >= {"reference", "level", "p"}
    assert design["placebo"].keys() == {"estimate", "ci"}
    assert len(design["pairs"]) == 6
    assert design["pairs"][0].keys() == {
        "a", "b", "factor", "estimate", "ci", "p", "p_adjusted", "explained_by",
    }  # fmt: skip


def test_real_runs_have_the_mechanism_of_their_factor(written: Path) -> None:
    factors = verdict(written)["designs"][0]["factors"]
    assert factors["parameterization"]["mechanism"]["reading"] == "real"
    assert 0.99 < factors["parameterization"]["mechanism"]["ratio"] < 1.01
    assert factors["implementation"]["mechanism"]["reading"] == "round-off"
    assert 2**26 < factors["implementation"]["mechanism"]["ratio"] < 2**32


def test_the_same_runs_are_the_same_bytes(store: Path, written: Path, tmp_path: Path) -> None:
    report.write(str(store), tmp_path, Options(html=True))
    files = sorted(path.name for path in written.iterdir())
    assert len(files) == 13  # three documents, and five figures twice
    for name in files:
        assert (tmp_path / name).read_bytes() == (written / name).read_bytes()


def test_the_html_needs_no_other_file(written: Path) -> None:
    page = (written / "report.html").read_text()
    pictures = re.findall(r'src="([^"]*)"', page)
    assert len(pictures) == 5
    for picture in pictures:
        head, _, data = picture.partition("base64,")
        assert head == "data:image/svg+xml;"
        assert b"<svg" in base64.b64decode(data)
    assert "<table>" in page and "<details>" in page
    assert "|---" not in page


def test_other_outcomes_are_a_family_of_their_own(store: Path, tmp_path: Path) -> None:
    report.write(str(store), tmp_path, Options(outcome="eval_return", also=("final_std", "auc_return")))
    (design,) = verdict(tmp_path)["designs"]
    assert list(design["outcomes"]) == ["final_std", "auc_return"]
    (design,) = report.read(str(store), Options(outcome="eval_return", also=("final_std", "auc_return")))[1]
    effects = [effect for other in design.others.values() for effect in other.effects]
    smallest = [
        min(holm([each.p for each in effect.mean.deciding])) for effect in effects
    ]  # what each factor enters the family with
    for effect, p in zip(effects, holm(smallest), strict=True):
        assert min(each.p_adjusted for each in effect.mean.deciding) == pytest.approx(p)
    with pytest.raises(UnreadableSourceError, match="colour: there is no such outcome; choose from auc_return"):
        report.write(str(store), tmp_path, Options(also=("colour",)))


def test_no_report_imports_torch_or_wandb(tmp_path: Path) -> None:
    source = table(tmp_path, study(seeds=3)[COLUMNS])
    program = (
        f"import sys; from study.cli import main; main(['report', {source!r}, '--html']); "
        "print(*{'torch', 'wandb'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ""


def test_effects_differ_in_grey_too() -> None:
    styles = [*figures.STYLES[:5], figures.CONTROL]
    for part in range(1, 3):
        assert len({style[part] for style in styles}) == len(styles)


def test_a_table_alone_is_enough(tmp_path: Path) -> None:
    source = table(tmp_path, study(parameterization=-3.0)[COLUMNS])
    printed = report.write(source, None, Options())
    assert printed.startswith(
        "all runs: final_return differs by what the learned scale is, a variance or a std; whether it differs by the "
        "class that computes, mvn or normal is undecided (10 seeds)\n"
    )
    (design,) = verdict(tmp_path / "runs-report")["designs"]
    assert (design["design"], design["n_seeds"], design["divergence"]) == ({}, 10, [])
    assert design["factors"]["parameterization"]["conclusion"] == "different, cause unknown"
    assert not any((tmp_path / "runs-report").glob("divergence*"))


@pytest.mark.parametrize(
    ("effects", "sentence"),
    [
        (
            {"implementation": 2.0},
            "mvn or normal; by what the learned scale is, a variance or a std, it is equivalent",
        ),
        (
            {"parameterization": 2.0, "implementation": 2.0},
            "differs by what the learned scale is, a variance or a std and by the class that computes, mvn or normal",
        ),
        ({"seeds": 40, "round_off": 0.2, "between_seeds": 2.0}, "final_return is equivalent within ±1.5"),
        ({"seeds": 5, "parameterization": -9.0}, "these runs don't decide whether final_return differs"),
    ],
)
def test_the_verdict_is_a_sentence(tmp_path: Path, effects: dict[str, Any], sentence: str) -> None:
    _, (design,) = report.read(table(tmp_path, study(**effects)[COLUMNS]), Options(margin=1.5))
    assert sentence in str(words.verdict(design.answer, "final_return"))


@pytest.mark.parametrize(
    ("reading", "round_off", "mean"),
    [("round-off", 0.2, "equivalent within ±1.5"), ("identical", 0.0, "the same")],
)
def test_a_verdict_of_round_off_is_a_sentence(
    tmp_path: Path, reading: conclusions.Reading, round_off: float, mean: str
) -> None:
    runs = study(seeds=40, round_off=round_off)[COLUMNS]
    _, (design,) = report.read(table(tmp_path, runs), Options(margin=1.5))
    mechanism = Mechanism(reading=reading)
    effects = tuple(dataclasses.replace(effect, mechanism=mechanism) for effect in design.answer.effects)
    said = words.verdict(dataclasses.replace(design.answer, effects=effects), "final_return")
    assert said == f"the same mathematics up to rounding, and final_return is {mean}"


def test_a_table_without_precision_and_replicate_is_enough(tmp_path: Path) -> None:
    runs = study(parameterization=-3.0)
    runs = runs[(runs["precision"] == "float32") & (runs["replicate"] == 0)]
    printed = report.write(table(tmp_path, runs[["condition", "seed", "final_return"]]), None, Options())
    assert "final_return differs by what the learned scale is" in printed
    assert "untested" in printed


def test_other_conditions_are_their_own_factor(tmp_path: Path) -> None:
    runs = study(seeds=20, implementation=-3.0)
    runs = runs[(runs["parameterization"] == "std") & (runs["replicate"] == 0)].replace(
        {"condition": {"mvn_var": "ours", "normal_std": "theirs"}}
    )
    source = table(tmp_path, runs[COLUMNS])
    printed = report.write(source, None, Options(reading=Reading(must_agree=("condition",))))
    assert "condition (theirs - ours)" in printed
    text = (tmp_path / "runs-report" / "report.md").read_text()
    assert "parameterization" not in text
    (design,) = verdict(tmp_path / "runs-report")["designs"]
    assert (design["verdict"], list(design["factors"])) == (None, ["condition"])
    assert design["factors"]["condition"]["mean"]["conclusion"] == "different"


def test_what_would_settle_an_effect_has_its_cost(tmp_path: Path) -> None:
    runs = study(parameterization=0.9, rng=np.random.default_rng(1)).assign(core_seconds=30.0)
    report.write(table(tmp_path, runs[[*COLUMNS, "core_seconds"]]), None, Options(outcome="final_return"))
    text = (tmp_path / "runs-report" / "report.md").read_text()
    said = re.search(r"seems: (\d+) runs, and (\d+) core-minutes", text)
    assert said
    assert int(said[1]) == 2 * int(said[2])


def test_a_study_knows_what_its_runs_cost(store: Path) -> None:
    runs = sources.read(str(store), None)
    assert "core_seconds" not in runs.outcomes
    costs = [json.loads(path.read_text())["core_seconds"] for path in sorted(store.glob("*/cost.json"))]
    assert sorted(runs.table["core_seconds"]) == sorted(costs)
    assert len(costs) == 32


def test_several_levels_have_an_entry_each(tmp_path: Path) -> None:
    runs = study(seeds=12)
    runs = runs[(runs["replicate"] == 0) & (runs["precision"] == "float32")]
    runs = runs.replace({"condition": {"mvn_std": "ppo", "mvn_var": "sac", "normal_sqrt": "td3", "normal_std": "ddpg"}})
    report.write(table(tmp_path, runs[COLUMNS]), None, Options(reading=Reading(reference="sac")))
    (design,) = verdict(tmp_path / "runs-report")["designs"]
    assert list(design["factors"]) == ["condition=ppo", "condition=td3", "condition=ddpg"]
    assert {factor["reference"] for factor in design["factors"].values()} == {"sac"}


def test_names_from_data_are_no_markup(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>|**x** [y](z)"
    runs = study(seeds=8)
    runs = runs[(runs["replicate"] == 0) & (runs["parameterization"] == "std")]
    runs = runs.replace({"condition": {"mvn_var": evil, "normal_std": "theirs"}}).assign(run="`a`|<b>")
    report.write(table(tmp_path, runs[[*COLUMNS, "run"]]), None, Options(html=True))
    text = (tmp_path / "runs-report" / "report.md").read_text()
    page = (tmp_path / "runs-report" / "report.html").read_text()
    assert "<script" not in text + page
    assert "alert(1)" in page
    assert "<strong>x</strong>" not in page
    assert 'href="z"' not in page
    assert "<b>" not in page


@pytest.mark.parametrize("seeds", [1, 2, 6])
def test_few_seeds_are_undecided_and_say_how_many(tmp_path: Path, seeds: int) -> None:
    source = table(tmp_path, study(seeds=seeds, parameterization=-9.0)[COLUMNS])
    report.write(source, None, Options())
    text = (tmp_path / "runs-report" / "report.md").read_text()
    (design,) = verdict(tmp_path / "runs-report")["designs"]
    assert design["verdict"] == "undecided"
    assert "nothing can be concluded" in text
    assert "[-, -]" not in text


def test_equal_outcomes_are_no_difference(tmp_path: Path) -> None:
    runs = study()
    runs["final_return"] = -5.0
    report.write(table(tmp_path, runs[COLUMNS]), None, Options(margin=1.0))
    mean = verdict(tmp_path / "runs-report")["designs"][0]["factors"]["parameterization"]["mean"]
    assert (mean["estimate"], mean["p"], mean["conclusion"]) == (0.0, 1.0, "identical")


def test_damaged_and_unfinished_runs_are_named(copied: Path, tmp_path: Path) -> None:
    runs = sources.read(str(copied)).table
    first = runs[runs["seed"] == 0]["run"].tolist()
    (copied / first[0] / "config.json").write_text('{"id": ')
    (copied / first[1] / "summary.json").unlink()
    printed = report.write(str(copied), tmp_path / "out", Options())
    assert f"1 run damaged, such as {first[0]}" in printed
    assert f"1 run unfinished, such as {first[1]}" in printed


def test_a_truncated_history_is_one_line(copied: Path, tmp_path: Path) -> None:
    path = next(copied.glob("*/history.jsonl"))
    path.write_text(path.read_text()[:-30])
    with pytest.raises(UnreadableSourceError, match=r"history\.jsonl is damaged"):
        report.write(str(copied), tmp_path / "out", Options())


def test_missing_runs_of_a_sweep_are_counted(store: Path, tmp_path: Path, small: Callable[..., RunConfig]) -> None:
    there = sources.read(str(store)).table["run"]
    expected = {
        config.id: dataclasses.asdict(config)
        for config in (
            small(condition=condition, seed=seed, precision=precision, replicate=replicate)
            for condition in CONDITIONS
            for seed in (0, 1, 2)
            for precision in ("float32", "float64")
            for replicate in (0, 1)
        )
    }
    assert set(there) < set(expected)
    printed = report.write(str(store), tmp_path, Options(), expected)
    assert "16 runs missing" in printed
    assert "incomplete blocks: a run is missing in seed 2" in printed


@pytest.mark.slow
def test_designs_are_answered_each_by_itself(copied: Path, tmp_path: Path, small: Callable[..., RunConfig]) -> None:
    configs = [small(condition=condition, seed=seed, gamma=0.5) for condition in CONDITIONS for seed in (0, 1)]
    training.train(configs, copied, "disabled")
    report.write(str(copied), tmp_path / "out", Options())
    designs = verdict(tmp_path / "out")["designs"]
    assert [design["design"] for design in designs] == [
        {"env_id": "Pendulum-v1", "gamma": 0.5},
        {"env_id": "Pendulum-v1", "gamma": 0.99},
    ]
    assert "| Pendulum-v1, gamma 0.5 | parameterization: " in (tmp_path / "out" / "report.md").read_text()
    chosen = report.write(str(copied), tmp_path / "chosen", Options(where=("gamma=0.5", "precision=float64")))
    assert "Pendulum-v1, gamma" not in chosen


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "can't be read as a table"),
        ("condition,seed,final_return\n", "has no rows"),
        ("seed,final_return\n1,2\n", "every row needs a 'condition'"),
        ("condition,final_return\nmvn_std,2\n", "every row needs a 'seed'"),
        (
            "condition,seed,final_return\nmvn_std,1,good\n",
            "row 2: final_return must be a number, or empty where there is none, not 'good'",
        ),
        (
            "condition,seed,score,length\nmvn_std,1,2,3\n",
            "There is no final_return: name one of length, score",
        ),
        ("condition,seed,final_return\nmvn_std,1,2\nmvn_std,1,3\n", "is there twice"),
        ("condition,seed,final_return\nmvn_std,one,2\n", "row 2: seed must be a whole number, not 'one'"),
    ],
)
def test_a_table_that_is_none_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "runs.csv"
    path.write_text(text)
    with pytest.raises(UnreadableSourceError) as error:
        report.write(str(path), None, Options())
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == [path]


def test_an_empty_directory_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSourceError, match="has no runs"):
        report.write(str(tmp_path), None, Options())


@pytest.mark.parametrize("where", ["gamma", "colour=red", "gamma=7"])
def test_a_choice_that_chooses_nothing_is_one_line(store: Path, tmp_path: Path, where: str) -> None:
    with pytest.raises(UnreadableSourceError, match=f"^{where}: ") as error:
        report.write(str(store), tmp_path / "out", Options(where=(where,)))
    assert error.value.parameter == "where"


STRANGE = """
figure.facecolor: red
axes.prop_cycle: cycler("color", ["y"])
font.size: 30
axes.labelsize: 40
lines.linewidth: 9
savefig.bbox: tight
svg.fonttype: path
path.sketch: 1, 100, 2
"""


@pytest.mark.slow
def test_a_user_s_matplotlibrc_changes_no_figure(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text(STRANGE)
    source = table(tmp_path, study(seeds=5)[COLUMNS])
    code = (
        "import sys; from pathlib import Path; from reports.documents import report;"
        "report.write(sys.argv[1], Path(sys.argv[2]), report.Options())"
    )
    for name, environment in (("own", {}), ("strange", {"MATPLOTLIBRC": str(tmp_path / "matplotlibrc")})):
        command = [sys.executable, "-c", code, source, str(tmp_path / name)]
        subprocess.run(command, env={**os.environ, **environment}, check=True)
    figures = sorted(path.name for path in (tmp_path / "own").iterdir() if path.suffix in (".png", ".svg"))
    assert len(figures) >= 4
    for figure in figures:
        assert (tmp_path / "own" / figure).read_bytes() == (tmp_path / "strange" / figure).read_bytes()


def test_a_number_has_no_exponent_below_a_million() -> None:
    assert [words.number(value) for value in (999.4, 999.6, 1001.2, -999.9)] == ["999", "1000", "1001", "-1000"]


def test_a_mechanism_without_a_control_says_so() -> None:
    alone = Mechanism(reading="round-off", ratio=2.0**29)
    assert words.mechanism_cell(alone) == "yes, up to rounding: gap float32 / float64 2^29.0, without a ULP control"
    assert "control" not in words.mechanism_cell(dataclasses.replace(alone, size=1.0))


def test_failed_runs_are_counted_by_arm(tmp_path: Path) -> None:
    runs = study(seeds=12)[[*COLUMNS, "status"]]
    lost = (runs["condition"] == "normal_std") & (runs["seed"] < 4) & (runs["replicate"] == 0)
    runs.loc[lost, "status"] = "failed"
    report.write(table(tmp_path, runs), tmp_path, Options(margin=1.0))
    text = (tmp_path / "report.md").read_text()
    said = "mvn_std 0 of 24, normal_sqrt 0 of 24, mvn_var 0 of 24, normal_std 8 of 24."
    assert f"**Failed runs by arm:** {said}" in text
    assert "Look whether a thin line leaves zero out" not in text


def test_the_report_says_what_decides_the_spread(tmp_path: Path) -> None:
    report.write(table(tmp_path, study(seeds=12)[COLUMNS]), tmp_path, Options(margin=1.0))
    text = (tmp_path / "report.md").read_text()
    found = verdict(tmp_path)["designs"][0]["factors"]["implementation"]
    assert "*Bounded*: pairs\nare shown to vary less than 1.25 times each level's own response." in text
    assert f"and {words.p_value(found['spread']['p_bounded'])} that they vary 1.25 times as much" in text
    assert len(found["simple_effects"]) == 9
    assert "| with alternating signs over parameterization variance/std and precision float32/float64 |" in text
    (cell,) = [line for line in text.splitlines() if line.startswith("| at parameterization std, precision float64 |")]
    assert [each.strip() for each in cell.split("|")][4:6] == ["-", "-"]
