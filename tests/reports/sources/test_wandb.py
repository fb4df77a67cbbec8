"""What is read of W&B: a study's own runs as from its run store, and other people's as a mapping has it."""

import json
import os
import shutil
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import wandb

from reports import sources
from reports.factors import Factor
from reports.sources import Reading, UnreadableSourceError
from reports.sources.reading import AS_IS
from reports.sources.runs import Runs
from tests.helpers.wandb_desk import PROJECT, Desk
from tests.helpers.wandb_server import WandbServer
from tests.helpers.wandb_server.store import Run

pytestmark = pytest.mark.slow

STUDY = f"wandb:someone/{PROJECT}"
RETURN = "charts/episodic_return"
CLEANRL = f"condition=config.exp_name,seed=config.seed,env_id=config.env_id,outcome=history.{RETURN}:last10%"


@pytest.fixture(scope="module")
def server() -> Iterator[WandbServer]:
    """For projects of other people."""
    with WandbServer() as server:
        yield server


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    """The client in this process, which remembers from its first use whom it asks."""
    wandb.teardown()
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("WANDB_MODE", raising=False)
    yield monkeypatch
    wandb.teardown()


@pytest.fixture
def study_client(client: pytest.MonkeyPatch, desk: Desk) -> None:
    client.setenv("WANDB_BASE_URL", desk.server.url)
    client.setenv("XDG_CACHE_HOME", str(desk.folder / "cache"))


@pytest.fixture
def others_client(client: pytest.MonkeyPatch, server: WandbServer) -> None:
    client.setenv("WANDB_BASE_URL", server.url)


def read(project: str, mapping: str, **reading: Any) -> Runs:
    return sources.read(f"wandb:someone/{project}", reading=Reading(mapping=sources.Mapping.parse(mapping), **reading))


def refused(source: str, reading: Reading = AS_IS) -> str:
    with pytest.raises(UnreadableSourceError) as error:
        sources.read(source, reading=reading)
    assert "\n" not in str(error.value)
    return str(error.value)


def add(
    server: WandbServer,
    project: str,
    name: str,
    config: Mapping[str, Any],
    summary: Mapping[str, Any] | None = None,
    history: list[dict[str, Any]] | None = None,
    state: str = "finished",
) -> Run:
    """A run of other people, as W&B has it."""
    runs = server.store.project("someone", project).runs
    run = Run(
        name,
        config={key: {"value": value} for key, value in config.items()},
        summary=dict(summary or {}),
        history=[json.dumps(row) for row in history or []],
        about={"displayName": name},
        exit_code={"finished": 0, "failed": 1}.get(state),
        created=float(len(runs)),
    )
    if state == "crashed":
        run.heard = -1e9
    runs[name] = run
    return run


def episodes(seed: int, updates: int) -> list[dict[str, Any]]:
    """A history as CleanRL logs it: returns in some rows, losses in others."""
    rng = np.random.default_rng(seed)
    return [
        {"_step": step, RETURN: float(rng.normal(step))} if step % 3 == 0 else {"_step": step, "losses/value_loss": 1.0}
        for step in range(updates)
    ]


def cleanrl(server: WandbServer, project: str) -> dict[str, float]:
    """Two agents in two environments with three seeds. Returns the last tenth's mean return of each run."""
    expected = {}
    for exp_name in ("ppo_continuous_action", "sac_continuous_action"):
        for env_id in ("Hopper-v4", "Walker2d-v4"):
            for seed in (1, 2, 3):
                name = f"{exp_name}-{env_id}-{seed}"
                history = episodes(zlib.crc32(name.encode()), 3300)
                config = {"exp_name": exp_name, "env_id": env_id, "seed": seed, "learning_rate": 3e-4}
                add(server, project, name, config, {RETURN: -1.0}, history)
                returns = pd.DataFrame(history)[RETURN].dropna()
                expected[name] = float(returns.tail(len(returns) // 10).mean())
    return expected


@pytest.mark.usefixtures("study_client")
def test_a_study_from_wandb_is_its_run_store(desk: Desk) -> None:
    here, there = sources.read(str(desk.folder / "runs")), sources.read(STUDY)
    pd.testing.assert_frame_equal(here.table, there.table)
    assert (here.factors, here.hyperparameters, here.provenance) == (
        there.factors,
        there.hyperparameters,
        there.provenance,
    )
    for run in here.table["run"]:
        assert (
            here.history(run, "global_step")["global_step"].tolist()
            == there.history(run, "global_step")["global_step"].tolist()
        )


@pytest.mark.usefixtures("study_client")
def test_a_second_reading_downloads_what_is_new_alone(desk: Desk) -> None:
    sources.read(STUDY)
    before = desk.server.operations["download"]
    sources.read(STUDY)
    assert desk.server.operations["download"] == before
    run = str(desk.runs()[0].values()["run_id"])
    shutil.rmtree(Path(os.environ["XDG_CACHE_HOME"]) / "rl-roundoff" / "wandb" / "someone" / PROJECT / "all" / run)
    sources.read(STUDY)
    assert desk.server.operations["download"] == before + 4


@pytest.mark.usefixtures("study_client")
def test_a_study_s_run_that_never_ended_is_unfinished(desk: Desk) -> None:
    run = desk.runs()[0]
    kept = dict(run.files), dict(run.summary)
    del run.files["summary.json"], run.files["history.jsonl"], run.files["config.json"]
    run.summary, run.exit_code = {"status": "interrupted", "_step": 1}, 255
    counts = sources.read(STUDY).table["status"].value_counts().to_dict()
    run.files, run.summary, run.exit_code = *kept, 0
    assert counts == {"finished": 11, "unfinished": 1}


@pytest.mark.usefixtures("study_client")
def test_of_a_run_that_two_runs_have_the_finished_one_counts(desk: Desk) -> None:
    project = desk.server.store.project("someone", PROJECT)
    run = desk.runs()[0]
    project.runs["second"] = Run("second", config=run.config, summary={"status": "interrupted"}, created=0.0)
    project.runs["second"].about = run.about
    counts = sources.read(STUDY).table["status"].value_counts().to_dict()
    del project.runs["second"]
    assert counts == {"finished": 12}


@pytest.mark.usefixtures("study_client")
def test_a_study_s_runs_are_never_unpaired() -> None:
    assert refused(STUDY, Reading(unpaired=True)).startswith(f"{STUDY}: a study's runs are paired by their seeds")


@pytest.mark.usefixtures("others_client")
def test_a_cleanrl_project_is_one_table(server: WandbServer) -> None:
    expected = cleanrl(server, "cleanrl")
    runs = read("cleanrl", CLEANRL, design=("env_id",))
    levels = ("ppo_continuous_action", "sac_continuous_action")
    assert runs.factors == (Factor(name="condition", levels=levels),)
    assert (runs.hyperparameters, runs.outcomes) == (["env_id"], [RETURN])
    assert runs.table.groupby(["env_id", "condition"])["seed"].apply(list).tolist() == [[1, 2, 3]] * 4
    assert dict(zip(runs.table["run"], runs.table[RETURN], strict=True)) == pytest.approx(expected)


@pytest.mark.usefixtures("others_client")
@pytest.mark.parametrize(
    ("window", "outcome"), [("last10%", 99.0), ("last50%", 79.0), ("last", 99.0), ("mean", 59.4), ("max", 103.0)]
)
def test_a_window_is_over_the_rows_that_have_the_key(server: WandbServer, window: str, outcome: float) -> None:
    values = [9.0, 19.0, 29.0, 39.0, 103.0, 59.0, 69.0, 79.0, 89.0, 99.0]
    history = [{"_step": 7 * step, "r": value} for step, value in enumerate(values)]
    history += [{"_step": 71 + step, "loss": 1.0} for step in range(5)]
    project = f"window-{window.rstrip('%')}"
    add(server, project, "a", {"exp": "ppo", "seed": 0}, history=history)
    runs = read(project, f"condition=config.exp,seed=config.seed,outcome=history.r:{window}")
    assert runs.table["r"].tolist() == pytest.approx([outcome])


@pytest.mark.usefixtures("others_client")
def test_a_key_may_lead_into_a_group_or_be_a_constant(server: WandbServer) -> None:
    config = {"args": {"seed": 4, "layers": [64, 64]}, "exp.name": "a"}
    add(server, "nested", "a", config, {"eval/return": 2.0, "eval": {"length": 7}})
    mapping = (
        "condition=config.exp.name,seed=config.args.seed,layers=config.args.layers,precision='float32',"
        "length=summary.eval.length,outcome=summary.eval/return"
    )
    (row,) = read("nested", mapping).table.to_dict("records")
    assert (row["condition"], row["seed"], row["layers"], row["precision"]) == ("a", 4, "[64, 64]", "float32")
    assert (row["length"], row["eval/return"]) == (7, 2.0)


@pytest.mark.usefixtures("others_client")
def test_only_a_failed_run_failed(server: WandbServer) -> None:
    for state in ("finished", "failed", "crashed", "running"):
        add(server, "states", state, {"exp": "ppo", "seed": 0}, history=[{"_step": 0, "r": 1.0}], state=state)
    mapping = "condition=config.exp,seed=config.seed,outcome=history.r:last"
    table = read("states", mapping).table.set_index("run")
    assert table["status"].to_dict() == {
        "finished": "finished",
        "failed": "failed",
        "crashed": "unfinished",
        "running": "unfinished",
    }
    assert table["error"]["crashed"] == "W&B calls it crashed"
    table = read("states", mapping, any_state=True).table
    assert (set(table["status"]), set(table["r"])) == ({"finished"}, {1.0})


@pytest.mark.usefixtures("others_client")
def test_a_finished_run_without_the_outcome_stays(server: WandbServer) -> None:
    add(server, "empty", "a", {"exp": "ppo", "seed": 0}, history=[{"_step": 0, "r": 1.0}])
    add(server, "empty", "b", {"exp": "ppo", "seed": 1}, history=[{"_step": 0, "loss": 1.0}])
    add(server, "empty", "c", {"exp": "ppo", "seed": 2}, history=[{"_step": 0, "r": "NaN"}])
    table = read("empty", "condition=config.exp,seed=config.seed,outcome=history.r:last").table
    assert set(table["status"]) == {"finished"}
    assert table["r"].isna().tolist() == [False, True, True]


@pytest.mark.usefixtures("others_client")
def test_a_summary_that_is_not_finite_is_a_number(server: WandbServer) -> None:
    for name, value in (("a", "NaN"), ("b", "-Infinity"), ("c", 1.0)):
        add(server, "diverged", name, {"exp": "ppo", "seed": ord(name)}, {"r": value})
    runs = read("diverged", "condition=config.exp,seed=config.seed,outcome=summary.r").with_numbers("r")
    assert runs.table["r"].fillna(0.0).tolist() == [0.0, float("-inf"), 1.0]


@pytest.mark.usefixtures("others_client")
@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        (CLEANRL, "column 'env_id' has 2 values in condition 'ppo_continuous_action'"),
        (
            CLEANRL.replace("config.seed", "config.exp_name"),
            "run ppo_continuous_action-Hopper-v4-1: seed (config.exp_name) must be a whole number, not 'ppo_c",
        ),
        (CLEANRL.replace("config.exp_name", "config.name"), "there are no runs, or none has condition (config.name)"),
        (CLEANRL.replace("seed=config.seed,", ""), "the mapping must say where seed is"),
        (CLEANRL.replace("config.seed", "Seed"), "seed=Seed must be config.KEY, summary.KEY, history.KEY:WINDOW"),
    ],
)
def test_a_mapping_that_does_not_fit_names_the_project(server: WandbServer, mapping: str, words: str) -> None:
    if ("someone", "unfit") not in server.store.projects:
        cleanrl(server, "unfit")
    line = refused("wandb:someone/unfit", Reading(mapping=sources.Mapping.parse(mapping)))
    assert line.startswith("wandb:someone/unfit: ")
    assert words in line


@pytest.mark.usefixtures("others_client")
def test_an_unknown_window_is_one_line() -> None:
    mapping = sources.Mapping.parse(CLEANRL.replace("last10%", "last10"))
    assert "window 'last10' of" in refused("wandb:someone/unfit", Reading(mapping=mapping))


@pytest.mark.usefixtures("others_client")
@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("wandb:someone", "a W&B source is wandb:entity/project"),
        ("wandb:someone/nothing", "wandb:someone/nothing can't be read"),
        ("wandb:someone/others", "other people's runs need a mapping"),
    ],
)
def test_a_project_without_a_study_is_one_line(server: WandbServer, source: str, words: str) -> None:
    server.store.project("someone", "others")
    assert words in refused(source)
