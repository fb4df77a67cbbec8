"""What tests of pools share: runs to which nothing happened."""

from pathlib import Path

import pytest

from tests.helpers.sweeps import LONG, Study, endings, write_sweep


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run store of twelve long runs, to which nothing happened."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert Study("sweep", write_sweep(folder, **LONG), runs=folder / "runs").end()[0] == 0
    assert len(endings(folder / "runs")) == 12
    return folder / "runs"
