"""From runs to the run store and to W&B, with the real client, offline."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wandb

from agents.records import Failure, Outcome
from study.config.run_config import RunConfig
from study.store.run_store import RunStore
from study.tracking.runs import LEFT_OUT, TrackedRun, namespaced
from study.training import cohort as training
from study.training.cohort import summarise

MakeConfig = Callable[..., RunConfig]

CONTRACT = {
    "update", "global_step", "episodic_return", "std", "entropy", "approx_kl", "clipfrac", "policy_loss", "value_loss",
    "explained_variance", "grad_norm", "scale_grad_norm", "params_sha256", "params_norm",
    "fingerprint", "tensor_sha256",
}  # fmt: skip
"""What other programs rely on in each line of `history.jsonl`."""


def updates(store: RunStore, config: RunConfig) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (store.path(config) / "history.jsonl").read_text().splitlines()]


def wandb_records(run_dir: Path) -> list[dict[str, Any]]:
    """What an offline run recorded, by W&B's own reader."""
    wandb = Path(sys.executable).with_name("wandb")
    command = [str(wandb), "leet", "inspect", "--json", str(run_dir)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in printed.splitlines()]


def test_a_run_leaves_what_the_contract_says(tmp_path: Path, small: MakeConfig) -> None:
    config, store = small(), RunStore(tmp_path)
    seen: list[int] = []
    training.train([config], tmp_path, "disabled", seen.append)
    lines, outcome = updates(store, config), store.summary(config)
    assert seen == [1, 1]
    assert len(lines) == 2
    assert all(set(line) >= CONTRACT for line in lines)
    assert outcome is not None
    assert outcome["status"] == "finished"
    assert set(outcome) == {"status", "error", "final_return", "auc_return", "eval_return", "final_std"}
    provenance = json.loads((store.path(config) / "config.json").read_text())["provenance"]
    assert {"version_torch", "git_commit", "threads", "cpu"} <= set(provenance)
    assert provenance["threads"] == 1
    assert sorted(path.name for path in store.path(config).iterdir()) == [
        "config.json", "cost.json", "history.jsonl", "policy.pt", "summary.json",
    ]  # fmt: skip


def test_runs_share_what_their_cohort_costs(tmp_path: Path, small: MakeConfig) -> None:
    configs = [small(seed=seed) for seed in range(3)]
    before = time.process_time()
    training.train(configs, tmp_path, "disabled")
    took = time.process_time() - before
    costs = {
        json.loads((RunStore(tmp_path).path(config) / "cost.json").read_text())["core_seconds"] for config in configs
    }
    assert len(costs) == 1
    assert 0 < 3 * costs.pop() < took


def test_the_same_run_is_the_same_alone_again_and_in_a_batch(tmp_path: Path, small: MakeConfig) -> None:
    configs = [small(condition=condition, seed=seed) for condition in ("mvn_std", "normal_std") for seed in (0, 1)]
    training.train(configs, tmp_path / "together", "disabled")
    for config in configs[1:3]:
        for again in ("once", "twice"):
            training.train([config], tmp_path / again, "disabled")
            assert updates(RunStore(tmp_path / again), config) == updates(RunStore(tmp_path / "together"), config)
            assert RunStore(tmp_path / again).summary(config) == RunStore(tmp_path / "together").summary(config)


def test_what_has_ended_is_not_trained_again(tmp_path: Path, small: MakeConfig) -> None:
    training.train([small()], tmp_path, "disabled")
    before = (RunStore(tmp_path).path(small()) / "history.jsonl").stat()
    seen: list[int] = []
    training.train([small(), small(seed=1)], tmp_path, "disabled", seen.append)
    assert seen == [1, 1]
    assert (RunStore(tmp_path).path(small()) / "history.jsonl").stat() == before


def test_the_readable_agent_leaves_the_same_files(tmp_path: Path, small: MakeConfig) -> None:
    configs = {engine: small(precision="float64", engine=engine) for engine in ("cohort", "reference")}
    for config in configs.values():
        training.train([config], tmp_path, "disabled")
    store = RunStore(tmp_path)
    ours, theirs = (updates(store, configs[engine]) for engine in ("reference", "cohort"))
    assert [list(line) for line in ours] == [list(line) for line in theirs]
    for line, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(line["fingerprint"], other["fingerprint"], rtol=1e-9, atol=1e-12)
    outcomes = [store.summary(config) or {} for config in configs.values()]
    assert list(outcomes[0]) == list(outcomes[1])
    assert outcomes[0]["final_return"] == pytest.approx(outcomes[1]["final_return"], rel=1e-9)


@pytest.mark.slow
def test_wandb_has_the_run_store_own_numbers(tmp_path: Path, small: MakeConfig) -> None:
    configs = [small(seed=seed) for seed in (0, 1)]
    training.train(configs, tmp_path, "offline")
    for config in configs:
        (run_dir,) = (tmp_path / "wandb").glob(f"offline-run-*-{config.id}")
        records = wandb_records(run_dir)
        text = json.dumps(records)
        assert f'"{config.id}"' in text
        history = [record for record in records if record["type"] == "history"]
        lines = updates(RunStore(tmp_path), config)
        assert len(history) == len(lines)
        for record, line in zip(history, lines, strict=True):
            recorded = record["history"]["item"]
            for name in CONTRACT - {*LEFT_OUT}:
                assert recorded[namespaced(name)] == line[name], name
            assert not any("tensor" in name for name in recorded)
        files = run_dir / "files"
        for name in ("config.json", "history.jsonl", "summary.json"):
            assert (files / name).read_text() == (RunStore(tmp_path).path(config) / name).read_text()


@pytest.mark.slow
def test_an_interrupted_offline_record_is_replaced(tmp_path: Path, small: MakeConfig) -> None:
    config = small()
    stale = tmp_path / "wandb" / f"offline-run-20200101_000000-{config.id}"
    stale.mkdir(parents=True)
    training.train([config], tmp_path, "offline")
    assert not stale.exists()
    assert len(list((tmp_path / "wandb").glob(f"offline-run-*-{config.id}"))) == 1


def test_an_outcome_that_is_not_finite_is_a_failure() -> None:
    outcome = Outcome(final_return=-1.0, auc_return=-2.0, eval_return=float("nan"), final_std=0.5)
    assert summarise(outcome) == {"status": "failed", "error": "eval_return is nan"}
    assert summarise(Failure("no")) == {"status": "failed", "error": "no"}


def test_a_run_that_blows_up_fails_and_the_other_continues(tmp_path: Path, small: MakeConfig) -> None:
    # In float32 a weight that is so much larger is infinite; the weights of a replicate alone are moved.
    lost, sound = small(precision="float32", replicate=1, perturbation=1e39), small(precision="float32")
    training.train([lost, sound], tmp_path / "both", "disabled")
    training.train([sound], tmp_path / "alone", "disabled")
    both, alone = RunStore(tmp_path / "both"), RunStore(tmp_path / "alone")
    outcome = both.summary(lost)
    assert outcome is not None
    assert (outcome["status"], outcome["error"]) == ("failed", "parameters became non-finite at update 1")
    assert updates(both, sound) == updates(alone, sound)
    assert len(updates(both, sound)) == 2
    assert both.summary(sound) == alone.summary(sound)


def test_runs_that_blow_up_together_are_each_named(tmp_path: Path, small: MakeConfig) -> None:
    # A step this long takes the parameters of both to infinity.
    configs = [small(seed=seed, precision="float32", learning_rate=1e30) for seed in (0, 1)]
    training.train(configs, tmp_path, "disabled")
    for config in configs:
        outcome = RunStore(tmp_path).summary(config)
        assert outcome is not None
        assert outcome["status"] == "failed"
        assert "non-finite at update 1" in outcome["error"]


@pytest.mark.parametrize(
    "error", [wandb.errors.CommError("timed out\nConsider more time"), wandb.errors.UsageError("no"), OSError("no")]
)
def test_training_needs_no_wandb_at_all(
    tmp_path: Path,
    small: MakeConfig,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
) -> None:
    monkeypatch.setattr(wandb, "init", lambda **_: (_ for _ in ()).throw(error))
    configs = [small(seed=seed) for seed in (0, 1)]
    training.train(configs, tmp_path, "offline")
    for config, said in zip(configs, capsys.readouterr().err.splitlines(), strict=True):
        assert (
            said
            == f"W&B has failed, and run {config.id} continues in the run store alone: {' '.join(str(error).split())}"
        )
        outcome = RunStore(tmp_path).summary(config)
        assert outcome is not None
        assert outcome["status"] == "finished"
        assert len(updates(RunStore(tmp_path), config)) == 2


@pytest.mark.slow
def test_training_outlives_wandb(
    tmp_path: Path, small: MakeConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = TrackedRun.log

    def fail_at_the_second(run: TrackedRun, record: dict[str, Any], *speed: float | None) -> None:
        if record["update"] == 2:
            # What the client raises when its core process is gone.
            monkeypatch.setattr(run._run, "log", lambda *_, **__: (_ for _ in ()).throw(ConnectionResetError("gone")))
        log(run, record, *speed)

    monkeypatch.setattr(TrackedRun, "log", fail_at_the_second)
    training.train([small()], tmp_path, "offline")
    outcome = RunStore(tmp_path).summary(small())
    assert outcome is not None
    assert outcome["status"] == "finished"
    assert len(updates(RunStore(tmp_path), small())) == 2
    assert capsys.readouterr().err.count("W&B has failed") == 1


@pytest.mark.slow
def test_provenance_does_not_depend_on_what_else_is_loaded() -> None:
    def describe(first: str) -> str:
        code = f"{first}\nfrom study.training import provenance\nprint(provenance.describe())"
        command = [sys.executable, "-c", code]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert describe("import scipy.linalg, pandas, distributed") == describe("")
