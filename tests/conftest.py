"""What all tests share: one thread, no network, and runs small enough to train in a moment."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.cohort import use_one_thread
from study.config.run_config import RunConfig, make_config

SMALL = {
    "condition": "normal_std",
    "seed": 0,
    "precision": "float64",
    "total_timesteps": 1024,
    "num_envs": 2,
    "num_steps": 256,
    "num_minibatches": 4,
    "update_epochs": 2,
    "hidden_size": 16,
    "eval_episodes": 2,
}
"""Two updates of Pendulum, with episodes that end in each."""


@pytest.fixture(autouse=True)
def one_thread_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    use_one_thread()
    for name in ("WANDB_API_KEY", "WANDB_SWEEP_ID", "WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")


@pytest.fixture
def small() -> Callable[..., RunConfig]:
    """Make a small run, with some values changed."""

    def make(**changes: Any) -> RunConfig:
        return make_config({**SMALL, **changes})

    return make


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run store of twelve long runs, to which nothing happened."""
    from tests.sweeps import LONG, Study, endings, write_sweep

    folder = tmp_path_factory.mktemp("undisturbed")
    assert Study("sweep", write_sweep(folder, **LONG), runs=folder / "runs").end()[0] == 0
    assert len(endings(folder / "runs")) == 12
    return folder / "runs"
