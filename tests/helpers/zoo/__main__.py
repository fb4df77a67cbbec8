"""Train once with a planted change, or judge all of them."""

import sys
from pathlib import Path

from tests.helpers.zoo.judge import judge
from tests.helpers.zoo.trainers import make_setup, train

if sys.argv[1] == "train":
    import tests.helpers.uncompiled  # noqa: F401 - no change compiles
    from tests.helpers.zoo.changes import CHANGES

    trainer, change, seed, env_id = sys.argv[2:6]
    setup = make_setup(trainer, env_id, int(seed))
    if change != "none":
        CHANGES[change].plant(trainer, setup)
    train(trainer, setup)
else:
    judge(Path(sys.argv[2]))
