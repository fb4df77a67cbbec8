"""Runs, trained by the workers of a Dask cluster: processes of this machine, or of any that reach a scheduler.

- `driver`: which runs are wanted; has them trained, and keeps their files in the one run store.
- `engine`: the cluster.
- `worker`: what a worker does.
- `cohorts`: runs, cut to size.
- `progress`: what people see of it.

Runs are idempotent and resumable, so whatever is lost is handed out again.
"""

from collections.abc import Awaitable, Callable, Sequence

from study.cells import Cell

Train = Callable[[Sequence[Cell]], Awaitable[None]]
"""Has those of the runs trained that haven't ended, and returns once all have."""
