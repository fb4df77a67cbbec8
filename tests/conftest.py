"""What all tests share: one thread, no network, and small runs."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings

from agents.cohort import use_one_thread
from study.config.run_config import RunConfig, make_config
from tests.helpers.small import SMALL

# A deadline is of wall time, which a busy machine exceeds.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")


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
