"""A stand-in for W&B's server, on a loopback port, for the real client: what it is asked, it answers from memory.

- `graphql`: an executor without a schema, for which an unknown field is null.
- `store`: projects, their runs, sweeps and artifacts.
- `api`: W&B's fields and mutations, from the store.
- `server`: HTTP, and the faults that can be asked for.
"""

from tests.helpers.wandb_server.server import Mood, WandbServer
from tests.helpers.wandb_server.store import Artifact, Run, Store, Sweep

__all__ = ["Artifact", "Mood", "Run", "Store", "Sweep", "WandbServer"]
