"""The report: from tables and ledgers, whole or damaged, to the same bytes."""

import base64
import dataclasses
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from reports import report, sources
from reports.report import Options
from reports.sources import UnreadableSourceError
from reports.statistics import holm
from reports.writing import figures
from study import training
from study.cells import Cell
from tests.synthetic import study

COLUMNS = ["condition", "seed", "precision", "replicate", "final_return"]


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small real study: four conditions, two seeds, two precisions, with replicates."""
    from study.cells import make_cell
    from tests.conftest import SMALL

    runs = tmp_path_factory.mktemp("ledger")
    for precision in ("float32", "float64"):
        cells = [
            make_cell({**SMALL, "condition": condition, "seed": seed, "precision": precision, "replicate": replicate})
            for condition in sources.FACTORS
            for seed in (0, 1)
            for replicate in (0, 1)
        ]
        training.train(cells, runs, "disabled")
    return runs


@pytest.fixture
def copied(ledger: Path, tmp_path: Path) -> Path:
    """The same study, to damage."""
    return Path(shutil.copytree(ledger, tmp_path / "runs"))


def verdict(output: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((output / "verdict.json").read_text())
    return found


def table(tmp_path: Path, runs: pd.DataFrame) -> str:
    path = tmp_path / "runs.csv"
    runs.to_csv(path, index=False)
    return str(path)


def test_a_ledger_is_reported_whole(ledger: Path, tmp_path: Path) -> None:
    printed = report.write(str(ledger), tmp_path, Options())
    assert printed.endswith(str(tmp_path / "report.md"))
    text = (tmp_path / "report.md").read_text()
    (design,) = verdict(tmp_path)["designs"]
    assert design["design"] == {"env_id": "Pendulum-v1"}
    assert design["n_seeds"] == 2
    assert set(design["effects"]) == {"parameterization", "implementation"}
    assert set(design["effects"]["parameterization"]) >= {
        "estimate", "ci", "p", "p_adjusted", "p_equivalent", "margin", "conclusion", "seeds_needed",
    }  # fmt: skip
    assert len(design["pairs"]) == 6
    for pair in design["pairs"]:
        assert set(pair) >= {
            "a", "b", "kind", "estimate", "ci", "p", "p_adjusted",
            "spread", "control_spread", "spread_p", "explained_by",
        }  # fmt: skip
    assert set(design["variance_share"]) >= {"seed", "parameterization", "implementation", "round_off"}
    for picture in ("divergence-1", "learning-1", "outcomes-1"):
        assert f"({picture}.png)" in text
        assert (tmp_path / f"{picture}.png").stat().st_size > 10_000
        assert ">$" not in (tmp_path / f"{picture}.svg").read_text()  # a tick's label is a formula, and drawn as one
    for run in sources.read(str(ledger)).table["run"]:
        assert f"`{run}`" in text


def test_the_mechanism_of_real_runs_is_round_off_within_a_parameterization_and_real_between(
    ledger: Path, tmp_path: Path
) -> None:
    report.write(str(ledger), tmp_path, Options())
    for row in verdict(tmp_path)["designs"][0]["mechanism"]:
        alike = sources.FACTORS[row["a"]][0] == sources.FACTORS[row["b"]][0]
        assert row["scales_with_precision"] is alike
        low, high = (2**29 / 100, 2**29 * 100) if alike else (0.99, 1.01)
        assert low < row["ratio"] < high


def test_the_same_runs_are_the_same_bytes(ledger: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        report.write(str(ledger), tmp_path / name, Options(html=True))
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert len(files) == 13
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_the_html_needs_no_other_file(ledger: Path, tmp_path: Path) -> None:
    report.write(str(ledger), tmp_path, Options(html=True))
    page = (tmp_path / "report.html").read_text()
    pictures = re.findall(r'src="([^"]*)"', page)
    assert len(pictures) == 5
    for picture in pictures:
        head, _, data = picture.partition("base64,")
        assert head == "data:image/svg+xml;"
        assert b"<svg" in base64.b64decode(data)
    assert "<table>" in page and "<details>" in page
    assert "|---" not in page


def test_other_outcomes_are_a_family_of_their_own(ledger: Path, tmp_path: Path) -> None:
    report.write(str(ledger), tmp_path, Options(outcome="eval_return", also=("final_std", "auc_return")))
    (design,) = verdict(tmp_path)["designs"]
    assert list(design["outcomes"]) == ["final_std", "auc_return"]
    others = [effect for name in design["outcomes"] for effect in design["outcomes"][name]["effects"].values()]
    assert [effect["p_adjusted"] for effect in others] == pytest.approx(holm([effect["p"] for effect in others]))
    primary = list(design["effects"].values())
    assert [effect["p_adjusted"] for effect in primary] == pytest.approx(holm([effect["p"] for effect in primary]))
    with pytest.raises(UnreadableSourceError, match="--also colour: there is no such outcome; choose from auc_return"):
        report.write(str(ledger), tmp_path, Options(also=("colour",)))


def test_no_report_imports_torch(tmp_path: Path) -> None:
    source = table(tmp_path, study(seeds=3)[COLUMNS])
    program = (
        f"import sys; from study.cli import main; main(['report', {source!r}, '--html']); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_conditions_differ_in_grey_too() -> None:
    assert len(set(figures.LINES.values())) == len(figures.LINES) == len(sources.FACTORS)
    for part in range(1, 3):
        assert len({style[part] for style in figures.KINDS.values()}) == len(figures.KINDS)


def test_a_table_alone_is_enough(tmp_path: Path) -> None:
    source = table(tmp_path, study(parameterization=-3.0)[COLUMNS])
    printed = report.write(source, None, Options())
    assert "verdict: parameterization" in printed
    (design,) = verdict(tmp_path / "runs-report")["designs"]
    assert (design["design"], design["n_seeds"], design["mechanism"]) == ({}, 10, [])
    assert not any((tmp_path / "runs-report").glob("divergence*"))


def test_a_table_without_precision_and_replicate_is_enough(tmp_path: Path) -> None:
    runs = study(parameterization=-3.0)
    runs = runs[(runs["precision"] == "float32") & (runs["replicate"] == 0)]
    printed = report.write(table(tmp_path, runs[["condition", "seed", "final_return"]]), None, Options())
    assert "verdict: parameterization" in printed
    assert "untested" in printed


def test_other_conditions_bring_their_factors(tmp_path: Path) -> None:
    runs = study(parameterization=-3.0).replace({"condition": {"mvn_std": "ours", "normal_std": "theirs"}})
    with pytest.raises(UnreadableSourceError, match="'parameterization' and 'implementation' must say"):
        report.write(table(tmp_path, runs[COLUMNS]), None, Options())
    own = runs[[*COLUMNS, "parameterization", "implementation"]]
    assert "verdict: parameterization" in report.write(table(tmp_path, own), None, Options(margin=1.0))


@pytest.mark.parametrize("seeds", [1, 2])
def test_few_seeds_are_undecided_and_their_interval_unbounded(tmp_path: Path, seeds: int) -> None:
    source = table(tmp_path, study(seeds=seeds, parameterization=-9.0)[COLUMNS])
    report.write(source, None, Options())
    (design,) = verdict(tmp_path / "runs-report")["designs"]
    assert design["verdict"] == "undecided"
    assert design["effects"]["parameterization"]["ci"] == [None, None]


def test_one_condition_is_a_warning(tmp_path: Path) -> None:
    runs = study()
    source = table(tmp_path, runs[runs["condition"] == "mvn_std"][COLUMNS])
    assert "can't be estimated" in report.write(source, None, Options())


def test_equal_outcomes_are_no_difference(tmp_path: Path) -> None:
    runs = study()
    runs["final_return"] = -5.0
    report.write(table(tmp_path, runs[COLUMNS]), None, Options(margin=1.0))
    effect = verdict(tmp_path / "runs-report")["designs"][0]["effects"]["parameterization"]
    assert (effect["estimate"], effect["p"], effect["conclusion"]) == (0.0, 1.0, "equivalent")


def test_a_damaged_and_an_unfinished_run_are_named_and_their_blocks_leave(copied: Path, tmp_path: Path) -> None:
    runs = sources.read(str(copied)).table
    first = runs[runs["seed"] == 0]["run"].tolist()
    (copied / first[0] / "cell.json").write_text('{"id": ')
    (copied / first[1] / "outcome.json").unlink()
    printed = report.write(str(copied), tmp_path / "out", Options())
    assert f"1 runs are damaged, such as {first[0]}" in printed
    assert f"1 runs are unfinished, such as {first[1]}" in printed
    assert "holes: seeds 0" in printed
    assert verdict(tmp_path / "out")["designs"][0]["n_seeds"] == 1


def test_a_truncated_history_is_one_line(copied: Path, tmp_path: Path) -> None:
    path = next(copied.glob("*/updates.jsonl"))
    path.write_text(path.read_text()[:-30])
    with pytest.raises(UnreadableSourceError, match=r"updates\.jsonl is damaged"):
        report.write(str(copied), tmp_path / "out", Options())


def test_missing_cells_of_a_sweep_are_counted(ledger: Path, tmp_path: Path, small: Callable[..., Cell]) -> None:
    there = sources.read(str(ledger)).table["run"]
    expected = {
        cell.id: dataclasses.asdict(cell)
        for cell in (
            small(condition=condition, seed=seed, precision=precision, replicate=replicate)
            for condition in sources.FACTORS
            for seed in (0, 1, 2)
            for precision in ("float32", "float64")
            for replicate in (0, 1)
        )
    }
    assert set(there) < set(expected)
    printed = report.write(str(ledger), tmp_path, Options(), expected)
    assert "16 runs are missing" in printed
    assert "2 seeds" in printed


def test_designs_are_answered_each_by_itself(copied: Path, tmp_path: Path, small: Callable[..., Cell]) -> None:
    cells = [small(condition=condition, seed=seed, gamma=0.5) for condition in sources.FACTORS for seed in (0, 1)]
    training.train(cells, copied, "disabled")
    report.write(str(copied), tmp_path / "out", Options())
    designs = verdict(tmp_path / "out")["designs"]
    assert [design["design"] for design in designs] == [
        {"env_id": "Pendulum-v1", "gamma": 0.5},
        {"env_id": "Pendulum-v1", "gamma": 0.99},
    ]
    assert "| Pendulum-v1, gamma 0.5 | 2 |" in (tmp_path / "out" / "report.md").read_text()
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
        ("condition,seed,score\nmvn_std,1,2\n", "--outcome final_return: there is no such outcome; choose from score"),
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
def test_a_choice_that_chooses_nothing_is_one_line(ledger: Path, tmp_path: Path, where: str) -> None:
    with pytest.raises(UnreadableSourceError, match=f"--where {where}: "):
        report.write(str(ledger), tmp_path / "out", Options(where=(where,)))
