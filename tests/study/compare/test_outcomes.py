"""Outcomes of a comparison: what is read of runs, and the report on them."""

import csv
import itertools
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reports.documents import report
from reports.errors import UnreadableSourceError
from reports.sources import read
from study.compare import metrics, outcomes
from study.compare.arms import Arm
from study.compare.launching import Launcher, Shared
from study.errors import ConfigError, NoMetricError
from tests.helpers.command_line import run
from tests.helpers.comparing import TRAINER, compare

STEPS = np.arange(1, 201)


def write_episodes(folder: Path) -> None:
    (folder / "watch").mkdir()
    rows = [
        {"env": env, "id": "Pendulum-v1", "steps": int(step), "all_steps": int(2 * step), "return": float(value)}
        for env, value in ((0, 1.0), (1, 3.0))
        for step in STEPS
    ]
    evaluation = {"env": 2, "id": "Pendulum-v1", "steps": 20, "all_steps": 400, "return": 100.0}
    lines = [json.dumps(row) for row in [*rows, evaluation]]
    (folder / "watch" / "episodes-1.jsonl").write_text("\n".join(lines) + "\n")


def write_tensorboard(folder: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(folder / "runs" / "a")
    for step in STEPS:
        writer.add_scalar("charts/episodic_return", step / 2, int(step))
    writer.close()


def write_csv(folder: Path) -> None:
    with (folder / "0.monitor.csv").open("w", newline="") as file:
        file.write('#{"t_start": 0.0, "env_id": "Pendulum-v1"}\n')
        writer = csv.writer(file)
        writer.writerow(["r", "l", "t"])
        writer.writerows([step / 2, 200, step] for step in STEPS)


def write_json(folder: Path) -> None:
    (folder / "result.json").write_text(json.dumps({"eval": {"return": 7}, "name": "x"}))


def write_output(folder: Path) -> None:
    (folder / "stdout.txt").write_text("".join(f"step {step}: return={step / 2}\n" for step in STEPS))


@pytest.mark.parametrize(
    ("write", "metric", "final", "auc"),
    [
        (write_episodes, "episodes", 2.0, 2.0),
        (write_tensorboard, "tb:charts/episodic_return", 95.25, 50.25),
        (write_csv, "csv:0.monitor.csv:r", 95.25, 50.25),
        (write_json, "json:result.json:eval.return", 7.0, 7.0),
        (write_output, r"stdout:return=([\d.]+)", 95.25, 50.25),
    ],
)
def test_an_outcome_is_read_from_what_a_trainer_writes(
    tmp_path: Path, write: Any, metric: str, final: float, auc: float
) -> None:
    write(tmp_path)
    found = metrics.parse(metric).read(tmp_path)
    assert found.final_return == pytest.approx(final)
    assert found.auc_return == pytest.approx(auc)


def test_steps_count_equally_whatever_the_episodes_lengths() -> None:
    points = [(float(step), 0.0) for step in range(1, 101)] + [(200.0, 1.0)]
    assert metrics.summarise(points).auc_return == pytest.approx(np.mean([0.0] * 10 + [1.0]))


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("episodes", "no episode of an environment of gymnasium's ended: name another metric"),
        ("tb:loss", "TensorBoard has no tag 'loss'; there is charts/episodic_return"),
        ("csv:nowhere.csv:r", "there is no file nowhere.csv"),
        ("csv:0.monitor.csv:x", "0.monitor.csv has no numbers in a column 'x'; there is r, l, t"),
        ("json:result.json:eval.loss", "result.json has no 'eval.loss'; there is return"),
        ("json:result.json:name", "'name' of result.json isn't a number"),
        ("stdout:loss=(.*)", "nothing in its output is like 'loss=(.*)'; there is step 200: return=100.0"),
    ],
)
def test_what_a_run_has_not_written_is_one_line(tmp_path: Path, metric: str, words: str) -> None:
    for write in (write_tensorboard, write_csv, write_json, write_output):
        write(tmp_path)
    with pytest.raises(NoMetricError) as raised:
        metrics.parse(metric).read(tmp_path)
    assert words in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("return", "metric 'return' must be episodes, tb:TAG, csv:FILE:COLUMN, json:FILE:KEY or stdout:REGEX"),
        ("csv:file", "metric 'csv:file' must be"),
        ("stdout:(", "metric stdout:( can't be read: missing ), unterminated subpattern"),
        ("stdout:x", "metric stdout:x must have one group in parentheses, not 0"),
    ],
)
def test_a_metric_that_is_none_is_one_line(metric: str, words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        metrics.parse(metric)
    assert str(raised.value).startswith(words)


SEEDS = range(12)


def write_comparison(folder: Path, reading: str, effect: float = 0.0, failing: int = 0) -> Path:
    """Write a comparison of known truth: a seed's level, and noise of which the ULP control has as much."""
    rng = np.random.default_rng(3)
    level = rng.normal(scale=10, size=len(SEEDS))
    rows = []
    for seed, name, replicate in itertools.product(SEEDS, ("old", "new"), (0, 1)):
        fails = name == "new" and seed < failing
        outcome = level[seed] + effect * (name == "new") + rng.normal()
        rows.append(
            {
                "run": f"{name}/s{seed}-{'jitter-1' if replicate else 'plain'}",
                "condition": name,
                "seed": seed,
                "replicate": replicate,
                "status": "failed" if fails else "finished",
                "error": "exit code 1: NaN" if fails else "",
                "final_return": np.nan if fails else outcome,
            }
        )
    pd.DataFrame(rows).to_csv(folder / "outcomes.csv", index=False)
    first = {"where": "gradient", "step": 1, "largest": 1e-7, "largest_in": "weight", "sizes": {"weight": 1e-7}}
    arm = {
        "reading": reading,
        "first_difference": first,
        "beyond_round_off": {**first, "step": 17} if reading == "late" else None,
        "first_gap_in_float64": 2e-16,
        "over_control": 1.5,
    }
    (folder / "look.json").write_text(json.dumps({"reference": "old", "arms": {"new": arm}}))
    return folder


def answer(folder: Path) -> dict[str, Any]:
    """Return the factor of a comparison's verdict."""
    report.write(f"compare:{folder}", folder / "report", report.Options(margin=5.0))
    (design,) = json.loads((folder / "report" / "verdict.json").read_text())["designs"]
    (factor,) = design["factors"].values()
    found: dict[str, Any] = factor
    return found


@pytest.mark.parametrize(
    ("reading", "effect", "mechanism", "mean"),
    [
        ("round-off", 0.0, "round-off", "equivalent"),
        ("round-off", 8.0, "round-off", "different"),
        ("real", 0.0, "real", "equivalent"),
        ("real", 8.0, "real", "different"),
        ("late", 8.0, "late", "different"),
        ("unseen", 0.0, "untested", "equivalent"),
    ],
)
def test_the_report_has_the_mechanism_that_was_seen(
    tmp_path: Path, reading: str, effect: float, mechanism: str, mean: str
) -> None:
    factor = answer(write_comparison(tmp_path, reading, effect))
    assert (factor["must_agree"], factor["reference"], factor["level"]) == (True, "old", "new")
    assert (factor["mechanism"]["reading"], factor["mean"]["conclusion"]) == (mechanism, mean)
    assert factor["mechanism"]["onset"] == (17 if mechanism == "late" else None)
    assert factor["mechanism"]["gap"] == {"float32": 1e-7, "float64": 2e-16}


def test_failures_of_one_arm_count(tmp_path: Path) -> None:
    factor = answer(write_comparison(tmp_path, "round-off", failing=8))
    assert factor["failures"]["level"] == [8, 12]
    assert factor["mean"]["conclusion"] == "different"


def test_what_could_not_be_paired_is_not(tmp_path: Path) -> None:
    assert read(f"compare:{write_comparison(tmp_path, 'real')}").paired
    assert not read(f"compare:{write_comparison(tmp_path, 'unpaired')}").paired


def test_a_folder_that_is_no_comparison_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSourceError, match=r"there is no such directory"):
        read("compare:nowhere")
    with pytest.raises(UnreadableSourceError, match=r"outcomes\.csv"):
        read(f"compare:{tmp_path}")
    (tmp_path / "look.json").write_text("[")
    with pytest.raises(UnreadableSourceError, match=r"look\.json can't be read"):
        read(f"compare:{tmp_path}")


def test_arms_that_share_weights_wait_for_those_of_the_first(tmp_path: Path) -> None:
    arms = [Arm(name=name, command=f"{name} {{seed}}") for name in ("old", "new")]
    first, rest = outcomes.Plan(arms=arms, seeds=[4, 5], control="jitter", shared=Shared()).jobs(tmp_path)
    assert [(job.arm.name, job.seed, job.kind) for job in first] == [
        ("old", 4, "plain"), ("old", 4, "jitter-1"), ("old", 5, "plain"), ("old", 5, "jitter-1"),
    ]  # fmt: skip
    assert {job.arm.name for job in rest} == {"new"}
    assert [job.watch["weights"] for job in rest if job.kind == "plain"] == [
        str(tmp_path / "old" / f"s{seed}-plain" / "watch") for seed in (4, 5)
    ]


FAILS = """
import sys
if int(sys.argv[1]) % 3 == 0:
    sys.exit("loss is NaN")
print("return=1.5")
"""


def test_a_run_that_fails_is_an_outcome(tmp_path: Path) -> None:
    (tmp_path / "fails.py").write_text(FAILS)
    arms = [Arm(name="a", command=f"{sys.executable} {tmp_path}/fails.py {{seed}}")]
    plan = outcomes.Plan(arms=arms, seeds=[3, 4], control="rerun")
    table = outcomes.train(plan, tmp_path, Launcher(tmp_path, 2), metrics.parse("stdout:return=(.*)"))
    assert list(table["status"]) == ["failed", "failed", "finished", "finished"]
    assert table["error"].iloc[0] == "exit code 1: loss is NaN"
    assert list(table["final_return"].iloc[2:]) == [1.5, 1.5]


@pytest.mark.slow
def test_all_seeds_are_trained_once_reported_and_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "--arm",
        f"old={TRAINER}",
        "--arm",
        f"new={TRAINER} twice",
        "--seeds",
        "0-1",
        "--steps",
        "5",
        "-o",
        "here",
    ]
    done = compare(tmp_path, *arguments, "--metric", "csv:returns.csv:last_reward")
    assert done.returncode == 1, done.stderr
    assert "8 of 8" in done.stderr
    assert "mechanism real" in done.stdout
    assert (tmp_path / "here" / "report" / "report.md").is_file()
    table = pd.read_csv(tmp_path / "here" / "outcomes.csv")
    assert len(table) == 8
    monkeypatch.chdir(tmp_path)
    planned = run("compare", *arguments, "--metric", "csv:returns.csv:last_reward", "--plan", capsys=capsys)
    assert (planned[0], planned[2]) == (1, "")
    assert "A seed takes" in planned[1]
    assert (tmp_path / "here" / "plan" / "plan.md").is_file()
    code, _, said = run("compare", *arguments, "--metric", "csv:returns.csv:nothing", capsys=capsys)
    assert code == 2
    assert "returns.csv has no numbers in a column 'nothing'; there is last_reward" in said
