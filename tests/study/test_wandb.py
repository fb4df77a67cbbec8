"""Sweeps and agents, with the real client, before a stand-in server that can fail on purpose."""

import json
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb
import yaml

from agents.fingerprints import TENSORS
from study.config.shipped import find_sweep
from tests.helpers.paths import ROOT
from tests.helpers.small import SMALL
from tests.helpers.sweeps import SWEEPS
from tests.helpers.wandb_desk import PROJECT, RUN_WITH, Desk, end, saved, store, wait_until
from tests.helpers.wandb_server import Mood, WandbServer

pytestmark = pytest.mark.slow

PAGE = ROOT / "docs" / "wandb.md"

SLOW = "tests.helpers.misbehaving:Slow-v0"
"""An environment whose runs go on for long enough to be disturbed, and cost little meanwhile."""
LONG: dict[str, list[Any]] = {"total_timesteps": [256 * 2 * 400], "env_id": [SLOW]}

STUDY_TRAIN = (
    "study", "train", "--condition=mvn_std", "--seed=0", "--precision=float64", "--num-steps=64", "--hidden-size=16",
    "--num-minibatches=2", "--update-epochs=1", "--eval-episodes=1",
)  # fmt: skip


@pytest.fixture
def server() -> Iterator[WandbServer]:
    with WandbServer() as server:
        yield server


@pytest.fixture
def desk(server: WandbServer, tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(server, tmp_path)
    yield desk
    desk.close()


def shorten(sweep: Path, to: Path, **axes: Any) -> None:
    """Write a sweep file as it is, but of one update and two seeds.

    Args:
        sweep: The file.
        to: Where it is written.
        axes: Values to be had in full.
    """
    content = yaml.safe_load(sweep.read_text(encoding="utf-8"))
    values = {name: given.get("value") for name, given in content["parameters"].items()}
    content["parameters"]["total_timesteps"] = {"value": values["num_envs"] * values["num_steps"]}
    content["parameters"]["seeds"] = {"value": "0-1"}
    content["parameters"] |= {name: {"values": given} for name, given in axes.items()}
    to.write_text(yaml.safe_dump(content), encoding="utf-8")


def test_two_agents_share_a_sweep_and_train_no_run_twice(desk: Desk) -> None:
    sweep = desk.sweep(condition=["mvn_std", "normal_std"], seeds=["0-2", "3,4"])
    agents = [desk.agent(sweep), desk.agent(sweep)]
    for code, said in map(end, agents):
        assert code == 0, said
        assert "finished: final_return" in said
    runs = desk.runs()
    assert {run.sweep for run in runs} == {sweep.rpartition("/")[2]}
    assert {desk.state(run) for run in runs} == {"finished"}
    assert len(runs) == len({run.values()["run_id"] for run in runs}) == 10
    trained = store(desk.folder / "runs")
    assert trained == {run.values()["run_id"]: saved(run) for run in runs}
    # The same bits as one by one.
    small = {**SMALL, "condition": "normal_std", "seed": 4}
    alone = [f"--{name}={value}" for name, value in small.items()]
    desk.type("study", "train", *alone, "--runs-dir=alone", WANDB_MODE="disabled")
    ((config, files),) = store(desk.folder / "alone").items()
    assert files["history.jsonl"] == trained[config]["history.jsonl"]


def test_a_run_is_told_to_wandb_whole_by_cleanrl_s_names(desk: Desk) -> None:
    sweep = desk.sweep(seed=[0], ppo={"clip_coef": [0.3], "deeper": {"gae_lambda": [0.9]}})
    code, said = end(desk.agent(sweep))
    assert code == 0, said
    (run,) = desk.runs()
    assert json.loads(saved(run)["config.json"]).items() >= {"clip_coef": 0.3, "gae_lambda": 0.9}.items()
    assert run.values().items() >= {"clip_coef": 0.3, "ppo": {"clip_coef": 0.3, "deeper": {"gae_lambda": 0.9}}}.items()
    updates = [json.loads(line) for line in saved(run)["history.jsonl"].splitlines()]
    assert len(updates) == 2
    for row, update in zip(run.rows(), updates, strict=True):
        named = {name.rpartition("/")[2]: value for name, value in row.items()}
        assert update.pop("tensor_sha256").keys() == set(TENSORS)
        assert "tensor_sha256" not in named
        assert named.items() >= update.items()
        assert {"charts/episodic_return", "charts/episodic_length"} <= row.keys()
        assert {"charts/learning_rate", "losses/policy_loss", "global_step"} <= row.keys()
        assert row["charts/SPS"] > 0
    outcome = json.loads(saved(run)["summary.json"])
    assert run.summary.items() >= {name: value for name, value in outcome.items() if value is not None}.items()
    assert run.summary["losses/value_loss"]["min"] == min(update["value_loss"] for update in updates)
    assert run.summary["charts/episodic_return"]["max"] == max(update["episodic_return"] for update in updates)
    assert not [name for name, value in run.summary.items() if isinstance(value, list)]
    assert run.about["group"].startswith("Pendulum-v1 normal_std float64 r0 ")
    assert run.about["jobType"] == "train"
    assert run.values()["provenance"] == json.loads(saved(run)["config.json"])["provenance"]
    assert "version_torch" in run.values()["provenance"]


def test_a_run_that_fails_says_why_and_the_agent_continues(desk: Desk) -> None:
    sweep = desk.sweep(learning_rate=[1e30, 1e-3], env_id=["Pendulum-v1", "Nowhere-v0"])
    code, said = end(desk.agent(sweep, WANDB_AGENT_DISABLE_FLAPPING="true"))
    assert code == 0, said
    assert "An agent gives up after 3 failures" in said
    by_place = {(run.values()["env_id"], float(run.values()["learning_rate"])): run for run in desk.runs()}
    assert len(by_place) == 4
    assert desk.state(by_place["Pendulum-v1", 1e-3]) == "finished"
    for place, reason in (
        (("Pendulum-v1", 1e30), "parameters became non-finite at update 1"),
        (("Nowhere-v0", 1e30), "environment 'Nowhere-v0' can't be made"),
        (("Nowhere-v0", 1e-3), "environment 'Nowhere-v0' can't be made"),
    ):
        run = by_place[place]
        assert desk.state(run) == "failed"
        assert run.summary["status"] == "failed"
        assert reason in run.summary["error"]
        assert reason in run.console[-1]
        assert reason in said


def test_what_is_finished_in_wandb_is_not_paid_for_again(desk: Desk) -> None:
    code, said = end(desk.agent(desk.sweep(seeds=["0-1"])))
    assert code == 0, said
    first = {run.values()["run_id"]: run for run in desk.runs()}
    again = desk.sweep(seeds=["0-2"])
    (desk.folder / "runs").rename(desk.folder / "another machine's")
    code, said = end(desk.agent(again))
    assert code == 0, said
    new = {run.values()["run_id"]: run for run in desk.runs() if run.sweep == again.rpartition("/")[2]}
    assert len(new) == 3
    for config, run in new.items():
        assert desk.state(run) == "finished"
        assert len(run.history) == 2
        assert run.summary.get("copied_from") == (first[config].name if config in first else None)
        if config in first:
            assert saved(run) == saved(first[config])  # config.json says where it was trained
    assert said.count("which has trained this run") == 2
    # Once more, from the run store.
    third = desk.sweep(seeds=["0-2"])
    code, said = end(desk.agent(third))
    assert code == 0, said
    assert said.count("had finished before") == 3
    repeated = [run for run in desk.runs() if run.sweep == third.rpartition("/")[2]]
    assert [run.summary["copied_from"] for run in repeated] == ["the run store"] * 3


def test_a_run_that_another_run_is_training_is_left_to_it(desk: Desk) -> None:
    first = desk.agent(desk.sweep(seed=[0], **LONG), "--count", "1")
    wait_until(lambda: any(run.history for run in desk.runs()))
    (training,) = desk.runs()
    second = desk.sweep(seed=[0], **LONG)
    elsewhere = desk.folder / "elsewhere"
    elsewhere.mkdir()
    other = Desk(desk.server, elsewhere)
    code, said = end(other.agent(second, "--count", "1"))
    assert code == 0, said
    assert f"is being trained by {training.name}" in said
    (left,) = [run for run in desk.runs() if run is not training]
    assert desk.state(left) == "finished"
    assert (left.summary["status"], left.summary["same_as"]) == ("elsewhere", training.name)
    assert not list(elsewhere.glob("runs/*/summary.json"))
    # An agent waits for its run at the first Ctrl-C, and terminates it at the second.
    first.send_signal(signal.SIGINT)
    time.sleep(1.0)
    first.send_signal(signal.SIGINT)
    code, said = end(first)
    assert "Terminating and syncing runs" in said
    assert training.exit_code == 255
    assert training.summary["status"] == "interrupted"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_run_is_finished_cleanly(desk: Desk, how: signal.Signals) -> None:
    process = desk.start(
        *STUDY_TRAIN, "--total-timesteps=1000000", WANDB_PROJECT=PROJECT
    )  # fmt: skip
    wait_until(lambda: any(run.history for run in desk.runs()))
    process.send_signal(how)
    code, said = end(process)
    assert code == 130, said
    assert said.splitlines()[-1].startswith("study: interrupted")
    assert "Traceback" not in said
    (run,) = desk.runs()
    assert run.exit_code == 255
    assert run.summary["status"] == "interrupted"
    written = len((desk.folder / "runs" / run.name / "history.jsonl").read_text().splitlines())
    # It may have been interrupted between telling the run store and telling W&B.
    assert len(run.history) in (written, written - 1)
    assert [row["update"] for row in run.rows()] == list(range(1, len(run.history) + 1))


def test_an_interrupted_sweep_closes_the_runs_of_all_workers(desk: Desk) -> None:
    sweep = desk.write(condition=["mvn_std", "normal_std"], seed=[0, 1], **LONG)
    process = desk.start("study", "sweep", str(sweep), "--workers", "2", WANDB_PROJECT=PROJECT)
    wait_until(lambda: sum(bool(run.history) for run in desk.runs()) == 4)
    process.send_signal(signal.SIGTERM)
    code, said = end(process)
    assert code == 130, said
    assert "Traceback" not in said
    assert [(run.exit_code, run.summary["status"]) for run in desk.runs()] == [(255, "interrupted")] * 4


@pytest.mark.parametrize("mood", ["drop", "error", "slow"])
def test_training_outlives_a_lost_server_and_no_row_is_lost(desk: Desk, mood: Mood) -> None:
    process = desk.start(*STUDY_TRAIN, f"--env-id={SLOW}", f"--total-timesteps={64 * 60}", WANDB_PROJECT=PROJECT)
    wait_until(lambda: any(run.history for run in desk.runs()))
    (run,) = desk.runs()
    updates = desk.folder / "runs" / run.name / "history.jsonl"
    with desk.server.being(mood):
        wait_until(lambda: updates.read_text().count("\n") == 60, seconds=240)
        assert mood == "slow" or len(run.history) < 60
        assert process.poll() is None
    code, said = end(process)
    assert code == 0, said
    assert "W&B has failed" not in said
    assert desk.state(run) == "finished"
    assert [row["update"] for row in run.rows()] == list(range(1, 61))
    assert saved(run)["history.jsonl"] == updates.read_text()


def test_a_server_that_is_away_at_the_beginning_costs_no_row(desk: Desk) -> None:
    with desk.server.being("error"):
        said = desk.type(
            *STUDY_TRAIN, "--total-timesteps=640", WANDB_PROJECT=PROJECT, WANDB_MODE="online",
            WANDB_INIT_TIMEOUT="2",
        )  # fmt: skip
    assert "W&B runs offline, since" in said
    assert not desk.runs()
    desk.type("wandb", "sync", *map(str, (desk.folder / "runs" / "wandb").glob("offline-run-*")))
    (run,) = desk.runs()
    assert len(run.history) == 10
    assert desk.state(run) == "finished"
    assert {run.values()["run_id"]: saved(run)} == store(desk.folder / "runs")


def test_a_run_deleted_while_it_trains_is_trained_to_its_end(desk: Desk) -> None:
    process = desk.start(
        *STUDY_TRAIN, "--total-timesteps=12800", WANDB_PROJECT=PROJECT
    )  # fmt: skip
    wait_until(lambda: any(run.history for run in desk.runs()))
    (run,) = desk.runs()
    desk.server.forget("someone", PROJECT, run.name)
    code, said = end(process)
    assert code == 0, said
    assert len((desk.folder / "runs" / run.name / "history.jsonl").read_text().splitlines()) == 200
    assert json.loads((desk.folder / "runs" / run.name / "summary.json").read_text())["status"] == "finished"


QUEUE = """
import sys
from importlib.metadata import entry_points

(program,) = entry_points(group="console_scripts", name="wandb")
command = program.load()
for path in sys.argv[1:]:
    command(["sweep", path], standalone_mode=False)
"""
"""`wandb sweep` for each file, in one process."""


def test_wandb_takes_every_sweep_file(desk: Desk) -> None:
    names = ["-".join(path.parts[-3:]) for path in SWEEPS]  # files of several folders have the same name
    for path, name in zip(SWEEPS, names, strict=True):
        shorten(path, desk.folder / name)
    said = desk.type(sys.executable, "-c", QUEUE, *names)
    assert said.count(f"{RUN_WITH}someone/rl-roundoff/") == len(SWEEPS)


def test_a_sweep_file_goes_through_an_agent_and_is_reported(desk: Desk) -> None:
    (path,) = [path for path in SWEEPS if path.stem == "precision"]  # the page's commands train the thread's
    shorten(path, desk.folder / path.name)
    sweep = desk.queue(Path(path.name))
    code, said = end(desk.agent(sweep, "--count", "1"))
    assert code == 0, said
    runs = desk.runs(sweep.split("/")[1])
    assert len(runs) == 2
    api: Any = wandb.Api(overrides={"base_url": desk.server.url}, api_key="k" * 40)
    for run in api.sweep(sweep).runs:
        assert run.state == "finished"
        assert isinstance(run.summary["final_return"], float)
        assert [row["update"] for row in run.scan_history(keys=["update"])] == [1]
    desk.type("study", "report", f"wandb:{sweep}", "-o", "report")
    verdict = json.loads((desk.folder / "report" / "verdict.json").read_text())
    assert len(verdict["designs"]) == 1
    text = (desk.folder / "report" / "report.md").read_text()
    assert all(run.values()["run_id"] in text for run in runs)


def test_the_page_s_commands_work_as_they_stand(desk: Desk) -> None:
    commands = PAGE.read_text(encoding="utf-8").split("```")[1].strip().splitlines()
    assert len(commands) >= 4
    (desk.folder / "sweeps").mkdir()
    shorten(
        find_sweep(Path("thread")),
        desk.folder / "sweeps" / "thread.yaml",
        condition=["normal_std"],
        precision=["float32"],
        replicate=[0],
    )
    sweep = "YOU/rl-roundoff/SWEEP"
    for command in commands:
        said = desk.type("bash", "-c", command.partition("  #")[0].replace("YOU/rl-roundoff/SWEEP", sweep))
        sweep = said.split(RUN_WITH)[1].split()[0] if RUN_WITH in said else sweep
    project = desk.server.store.project("someone", "rl-roundoff")
    assert {desk.state(run) for run in project.runs.values()} == {"finished"}
    assert [run.about["jobType"] for run in project.runs.values()][-1] == "report"


def test_agents_children_may_run_offline(desk: Desk) -> None:
    sweep = desk.sweep(seeds=["0-1"])
    code, said = end(desk.agent(sweep, WANDB_MODE="offline"))
    assert code == 0, said
    assert all(not run.history for run in desk.runs())
    desk.type("wandb", "sync", *map(str, (desk.folder / "runs" / "wandb").glob("offline-run-*")))
    runs = desk.runs()
    assert {run.sweep for run in runs} == {sweep.rpartition("/")[2]}
    assert {run.values()["run_id"]: saved(run) for run in runs} == store(desk.folder / "runs")


def test_a_server_that_is_gone_for_good_holds_back_no_outcome(desk: Desk) -> None:
    seedless = [option for option in STUDY_TRAIN if option != "--seed=0"]
    process = desk.start(
        *seedless, "--seeds=0-3", f"--env-id={SLOW}", f"--total-timesteps={64 * 20}",
        WANDB_PROJECT=PROJECT, WANDB_FINISH_TIMEOUT="5",
    )  # fmt: skip
    wait_until(lambda: sum(bool(run.history) for run in desk.runs()) == 4)
    runs = desk.folder / "runs"
    with desk.server.being("drop"):
        wait_until(lambda: len(list(runs.glob("*/summary.json"))) == 4)
        code, said = end(process)
        assert code == 0, said
    assert "Traceback" not in said
    folders = re.findall(r"hasn't taken run \w+ in time: `wandb sync --include-online (.*)` uploads it", said)
    assert len(folders) == 4, said
    desk.type("wandb", "sync", "--include-online", *folders)
    assert {run.values()["run_id"]: saved(run) for run in desk.runs()} == store(runs)


def test_waiting_for_a_server_that_is_gone_can_be_interrupted(desk: Desk) -> None:
    process = desk.start(
        *STUDY_TRAIN, f"--env-id={SLOW}", f"--total-timesteps={64 * 40}",
        WANDB_PROJECT=PROJECT, WANDB_FINISH_TIMEOUT="600",
    )  # fmt: skip
    wait_until(lambda: any(run.history for run in desk.runs()))
    with desk.server.being("drop"):
        assert not list((desk.folder / "runs").glob("*/summary.json"))
        wait_until(lambda: list((desk.folder / "runs").glob("*/summary.json")))
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
    assert end(process)[0] == 130
