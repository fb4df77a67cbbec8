"""What tests of reports share: a study in W&B."""

from collections.abc import Iterator

import pytest

from tests.helpers.wandb_desk import PROJECT, Desk
from tests.helpers.wandb_server import WandbServer


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Have a study of all conditions and three seeds in W&B, whose run store is still here."""
    with WandbServer() as server:
        desk = Desk(server, tmp_path_factory.mktemp("desk"))
        sweep = desk.write(condition=["mvn_std", "mvn_var", "normal_sqrt", "normal_std"], seeds=["0-2"])
        desk.type("study", "sweep", str(sweep), "--workers", "1", WANDB_PROJECT=PROJECT, WANDB_MODE="online")
        yield desk
        desk.close()
