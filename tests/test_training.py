"""From cells to the ledger and to W&B, with the real client, offline."""

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
from study import training
from study.cells import Cell
from study.ledger import Ledger
from study.tracking.runs import LEFT_OUT, TrackedRun, namespaced
from study.training import summarise

MakeCell = Callable[..., Cell]

CONTRACT = {
    "update", "global_step", "episodic_return", "std", "entropy", "approx_kl", "clipfrac", "policy_loss", "value_loss",
    "explained_variance", "grad_norm", "scale_grad_norm", "params_sha256", "params_norm",
    "fingerprint", "tensor_sha256",
}  # fmt: skip
"""What other programs rely on in each line of `updates.jsonl`."""


def updates(ledger: Ledger, cell: Cell) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (ledger.path(cell) / "updates.jsonl").read_text().splitlines()]


def wandb_records(run_dir: Path) -> list[dict[str, Any]]:
    """What an offline run recorded, by W&B's own reader."""
    wandb = Path(sys.executable).with_name("wandb")
    command = [str(wandb), "leet", "inspect", "--json", str(run_dir)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in printed.splitlines()]


def test_a_cell_leaves_what_the_contract_says(tmp_path: Path, small: MakeCell) -> None:
    cell, ledger = small(), Ledger(tmp_path)
    seen: list[int] = []
    training.train([cell], tmp_path, "disabled", seen.append)
    lines, outcome = updates(ledger, cell), ledger.outcome(cell)
    assert seen == [1, 1]
    assert len(lines) == 2
    assert all(set(line) >= CONTRACT for line in lines)
    assert outcome is not None
    assert outcome["status"] == "finished"
    assert set(outcome) == {"status", "error", "final_return", "auc_return", "eval_return", "final_std"}
    provenance = json.loads((ledger.path(cell) / "cell.json").read_text())["provenance"]
    assert {"version_torch", "git_commit", "threads", "cpu"} <= set(provenance)
    assert provenance["threads"] == 1
    assert sorted(path.name for path in ledger.path(cell).iterdir()) == [
        "cell.json", "cost.json", "outcome.json", "policy.pt", "updates.jsonl",
    ]  # fmt: skip


def test_runs_share_what_their_cohort_costs(tmp_path: Path, small: MakeCell) -> None:
    cells = [small(seed=seed) for seed in range(3)]
    before = time.process_time()
    training.train(cells, tmp_path, "disabled")
    took = time.process_time() - before
    costs = {json.loads((Ledger(tmp_path).path(cell) / "cost.json").read_text())["core_seconds"] for cell in cells}
    assert len(costs) == 1
    assert 0 < 3 * costs.pop() < took


def test_the_same_cell_is_the_same_alone_again_and_in_company(tmp_path: Path, small: MakeCell) -> None:
    cells = [small(condition=condition, seed=seed) for condition in ("mvn_std", "normal_std") for seed in (0, 1)]
    training.train(cells, tmp_path / "together", "disabled")
    for cell in cells[1:3]:
        for again in ("once", "twice"):
            training.train([cell], tmp_path / again, "disabled")
            assert updates(Ledger(tmp_path / again), cell) == updates(Ledger(tmp_path / "together"), cell)
            assert Ledger(tmp_path / again).outcome(cell) == Ledger(tmp_path / "together").outcome(cell)


def test_what_has_ended_is_not_trained_again(tmp_path: Path, small: MakeCell) -> None:
    training.train([small()], tmp_path, "disabled")
    before = (Ledger(tmp_path).path(small()) / "updates.jsonl").stat()
    seen: list[int] = []
    training.train([small(), small(seed=1)], tmp_path, "disabled", seen.append)
    assert seen == [1, 1]
    assert (Ledger(tmp_path).path(small()) / "updates.jsonl").stat() == before


def test_the_readable_agent_leaves_the_same_files(tmp_path: Path, small: MakeCell) -> None:
    cells = {engine: small(precision="float64", engine=engine) for engine in ("cohort", "reference")}
    for cell in cells.values():
        training.train([cell], tmp_path, "disabled")
    ledger = Ledger(tmp_path)
    ours, theirs = (updates(ledger, cells[engine]) for engine in ("reference", "cohort"))
    assert [list(line) for line in ours] == [list(line) for line in theirs]
    for line, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(line["fingerprint"], other["fingerprint"], rtol=1e-9, atol=1e-12)
    outcomes = [ledger.outcome(cell) or {} for cell in cells.values()]
    assert list(outcomes[0]) == list(outcomes[1])
    assert outcomes[0]["final_return"] == pytest.approx(outcomes[1]["final_return"], rel=1e-9)


@pytest.mark.slow
def test_wandb_has_the_ledger_own_numbers(tmp_path: Path, small: MakeCell) -> None:
    cells = [small(seed=seed) for seed in (0, 1)]
    training.train(cells, tmp_path, "offline")
    for cell in cells:
        (run_dir,) = (tmp_path / "wandb").glob(f"offline-run-*-{cell.id}")
        records = wandb_records(run_dir)
        text = json.dumps(records)
        assert f'"{cell.id}"' in text
        history = [record for record in records if record["type"] == "history"]
        lines = updates(Ledger(tmp_path), cell)
        assert len(history) == len(lines)
        for record, line in zip(history, lines, strict=True):
            recorded = record["history"]["item"]
            for name in CONTRACT - {*LEFT_OUT}:
                assert recorded[namespaced(name)] == line[name], name
            assert not any("tensor" in name for name in recorded)
        files = run_dir / "files"
        for name in ("cell.json", "updates.jsonl", "outcome.json"):
            assert (files / name).read_text() == (Ledger(tmp_path).path(cell) / name).read_text()


@pytest.mark.slow
def test_an_interrupted_offline_record_is_replaced(tmp_path: Path, small: MakeCell) -> None:
    cell = small()
    stale = tmp_path / "wandb" / f"offline-run-20200101_000000-{cell.id}"
    stale.mkdir(parents=True)
    training.train([cell], tmp_path, "offline")
    assert not stale.exists()
    assert len(list((tmp_path / "wandb").glob(f"offline-run-*-{cell.id}"))) == 1


def test_an_outcome_that_is_not_finite_is_a_failure() -> None:
    outcome = Outcome(final_return=-1.0, auc_return=-2.0, eval_return=float("nan"), final_std=0.5)
    assert summarise(outcome) == {"status": "failed", "error": "eval_return is nan"}
    assert summarise(Failure("no")) == {"status": "failed", "error": "no"}


def test_a_run_that_blows_up_is_failed_and_its_cohort_goes_on(tmp_path: Path, small: MakeCell) -> None:
    # A step this long takes the parameters to infinity; both cells share it, and both are named.
    cells = [small(seed=seed, precision="float32", learning_rate=1e30) for seed in (0, 1)]
    training.train(cells, tmp_path, "disabled")
    for cell in cells:
        outcome = Ledger(tmp_path).outcome(cell)
        assert outcome is not None
        assert outcome["status"] == "failed"
        assert "non-finite at update 1" in outcome["error"]


@pytest.mark.parametrize(
    "error", [wandb.errors.CommError("timed out\nConsider more time"), wandb.errors.UsageError("no"), OSError("no")]
)
def test_training_needs_no_wandb_at_all(
    tmp_path: Path,
    small: MakeCell,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
) -> None:
    monkeypatch.setattr(wandb, "init", lambda **_: (_ for _ in ()).throw(error))
    cells = [small(seed=seed) for seed in (0, 1)]
    training.train(cells, tmp_path, "offline")
    for cell, said in zip(cells, capsys.readouterr().err.splitlines(), strict=True):
        assert said == f"W&B has failed, and run {cell.id} goes on in the ledger alone: {' '.join(str(error).split())}"
        outcome = Ledger(tmp_path).outcome(cell)
        assert outcome is not None
        assert outcome["status"] == "finished"
        assert len(updates(Ledger(tmp_path), cell)) == 2


@pytest.mark.slow
def test_training_outlives_wandb(
    tmp_path: Path, small: MakeCell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = TrackedRun.log

    def fail_at_the_second(run: TrackedRun, record: dict[str, Any]) -> None:
        if record["update"] == 2:
            # What the client raises when its core process is gone.
            monkeypatch.setattr(run._run, "log", lambda *_, **__: (_ for _ in ()).throw(ConnectionResetError("gone")))
        log(run, record)

    monkeypatch.setattr(TrackedRun, "log", fail_at_the_second)
    training.train([small()], tmp_path, "offline")
    outcome = Ledger(tmp_path).outcome(small())
    assert outcome is not None
    assert outcome["status"] == "finished"
    assert len(updates(Ledger(tmp_path), small())) == 2
    assert capsys.readouterr().err.count("W&B has failed") == 1


def test_provenance_does_not_depend_on_what_else_is_loaded() -> None:
    def describe(first: str) -> str:
        code = f"{first}\nfrom study import provenance\nprint(provenance.describe())"
        command = [sys.executable, "-c", code]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert describe("import scipy.linalg, pandas, distributed") == describe("")
