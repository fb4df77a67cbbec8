"""What tests of pools share: runs to which nothing happened."""

from pathlib import Path

import pytest

from tests.helpers.shared import made_once
from tests.helpers.sweeps import LONG, Study, endings, write_sweep


def train(folder: Path) -> None:
    assert Study("sweep", write_sweep(folder, **LONG), "--workers", "1", runs=folder / "runs").end()[0] == 0


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run store of twelve long runs, to which nothing happened."""
    runs = made_once(tmp_path_factory, "undisturbed", train) / "runs"
    assert len(endings(runs)) == 12
    return runs
