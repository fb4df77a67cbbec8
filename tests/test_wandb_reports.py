"""Reports from W&B: the ledger's own, whatever else is in the project."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.synthetic import study
from tests.wandb_desk import PROJECT, Desk
from tests.wandb_server import WandbServer
from tests.wandb_server.store import Run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """With a study of all conditions and three seeds in W&B, whose ledger is still here."""
    with WandbServer() as server:
        desk = Desk(server, tmp_path_factory.mktemp("desk"))
        sweep = desk.write(condition=["mvn_std", "mvn_var", "normal_sqrt", "normal_std"], seeds=["0-2"])
        desk.type("study", "sweep", str(sweep), "--workers", "1", WANDB_PROJECT=PROJECT, WANDB_MODE="online")
        yield desk
        desk.close()


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_report_from_wandb_is_the_ledger_s_but_for_the_source(desk: Desk) -> None:
    source = f"wandb:someone/{PROJECT}"
    desk.type("study", "report", "runs", "-o", "from-ledger")
    desk.type("study", "report", source, "-o", "from-wandb")
    here, there = files(desk.folder / "from-ledger"), files(desk.folder / "from-wandb")
    assert {"report.md", "verdict.json", "divergence-1.png"} <= here.keys()
    there["report.md"] = there["report.md"].replace(source.encode(), b"runs")
    assert there == here


def test_a_second_report_downloads_nothing_and_a_new_run_alone(desk: Desk) -> None:
    source = f"wandb:someone/{PROJECT}"
    desk.type("study", "report", source)
    before = desk.server.operations["download"]
    desk.type("study", "report", source)
    assert desk.server.operations["download"] == before
    run = desk.runs()[0]
    shutil.rmtree(desk.folder / "cache" / "rl-roundoff" / "wandb" / "someone" / PROJECT / "all" / cell(run))
    desk.type("study", "report", source)
    assert desk.server.operations["download"] == before + 3


def test_runs_that_never_ended_are_counted(desk: Desk) -> None:
    source = f"wandb:someone/{PROJECT}"
    run = desk.runs()[0]
    kept = dict(run.files), dict(run.summary)
    del run.files["outcome.json"], run.files["updates.jsonl"], run.files["cell.json"]
    run.summary, run.exit_code = {"status": "interrupted", "_step": 1}, 255
    said = desk.type("study", "report", source, "-o", "unfinished")
    run.files, run.summary, run.exit_code = *kept, 0
    assert "1 runs are unfinished" in said
    assert "11 finished, 1 unfinished" in (desk.folder / "unfinished" / "report.md").read_text()


def test_of_a_cell_that_two_runs_have_the_finished_one_counts(desk: Desk) -> None:
    project = desk.server.store.project("someone", PROJECT)
    run = desk.runs()[0]
    project.runs["second"] = Run("second", config=run.config, summary={"status": "interrupted"}, created=0.0)
    project.runs["second"].about = run.about
    said = desk.type("study", "report", f"wandb:someone/{PROJECT}")
    del project.runs["second"]
    assert "unfinished" not in said


def test_runs_of_others_are_mapped(desk: Desk, tmp_path: Path) -> None:
    project = desk.server.store.project("someone", "others")
    table = study(seeds=4, parameterization=3.0)
    for number, row in enumerate(table.to_dict("records")):
        config = {"dist": row["condition"], "seed": row["seed"], "dtype": row["precision"], "r": row["replicate"]}
        project.runs[row["run"]] = Run(
            row["run"],
            config={"args": {"value": config}, "dist": {"value": row["condition"]}},
            summary={"eval/return": row["final_return"]},
            about={"displayName": row["run"]},
            exit_code=0,
            created=float(number),
        )
    crashed = next(iter(project.runs.values()))
    crashed.exit_code, crashed.heard = None, -1e9
    mapping = (
        "condition=config.dist,seed=config.args.seed,precision=config.args.dtype,replicate=config.args.r,"
        "outcome=summary.eval/return"
    )
    desk.type("study", "report", "wandb:someone/others", "--map", mapping, "-o", "mapped")
    table.loc[0, ["status", "error", "final_return"]] = "failed", "W&B calls it crashed", None
    table.rename(columns={"final_return": "eval/return"}).to_csv(tmp_path / "table.csv", index=False)
    desk.type("study", "report", str(tmp_path / "table.csv"), "--outcome", "eval/return", "-o", "tabled")
    mapped, tabled = desk.folder / "mapped", desk.folder / "tabled"
    assert json.loads((mapped / "verdict.json").read_text()) == json.loads((tabled / "verdict.json").read_text())
    assert "63 finished" in (mapped / "report.md").read_text()
    desk.type("study", "report", "wandb:someone/others", "--map", mapping, "-o", "mapped", "--any-state")
    assert "64 finished" in (mapped / "report.md").read_text()


def test_a_report_is_published_beside_its_runs(desk: Desk) -> None:
    source = f"wandb:someone/{PROJECT}"
    said = desk.type("study", "report", source, "-o", "published", "--publish")
    (run,) = [run for run in desk.runs() if run.about.get("jobType") == "report"]
    del desk.server.store.project("someone", PROJECT).runs[run.name]
    assert desk.state(run) == "finished"
    assert f"/someone/{PROJECT}/runs/{run.name}" in said
    (artifact,) = [one for one in desk.server.store.artifacts.values() if one.run == run.name]
    assert (artifact.type, artifact.committed) == ("report", True)
    written = files(desk.folder / "published")
    assert {name: artifact.files[name] for name in written} == written
    (page,) = desk.server.store.project("someone", PROJECT).pages
    spec = page["spec"]
    assert "charts/episodic_return" in spec
    assert "## Again" in spec


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["wandb:someone/nothing"], "wandb:someone/nothing can't be read"),
        (["wandb:someone/others"], "for others, give --map"),
    ],
)
def test_a_project_without_a_study_is_said(desk: Desk, arguments: list[str], words: str) -> None:
    desk.server.store.project("someone", "others")
    said = desk.type("study", "report", *arguments, code=2)
    assert words in said.splitlines()[-1]
    assert "Traceback" not in said


def cell(run: Run) -> str:
    return str(run.values()["cell_id"])
