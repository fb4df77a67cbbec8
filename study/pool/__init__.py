"""Trains runs by the workers of a Dask cluster: processes of this machine, or of any that reach a scheduler.

- `options`: where runs are trained, and where they are kept.
- `driver`: chooses which runs are trained, and keeps their files in one run store.
- `engine`: the cluster.
- `worker`: what a worker does.
- `cohorts`: groups runs into cohorts.
- `progress`: shows how much is done.

Runs are idempotent and resumable, so whatever is lost is handed out again.
"""

from collections.abc import Awaitable, Callable, Sequence

from study.config.run_config import RunConfig

Train = Callable[[Sequence[RunConfig]], Awaitable[None]]
"""Has those of the runs trained that haven't ended, and returns once all have."""
