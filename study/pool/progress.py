"""Progress of many cohorts together."""

from collections.abc import Collection, Iterable
from typing import Self

from rich.console import Console

from study.config.run_config import RunConfig
from study.progress import Progress


class PoolProgress:
    """Shows how many updates were made of those that are wanted, of how many runs, by how many workers.

    Args:
        console: Where.
    """

    def __init__(self, console: Console) -> None:
        self._shown = Progress(console, "updates")
        self._wanted: dict[str, int] = {}
        self._ended: dict[str, str] = {}
        self._in_training: dict[str, tuple[frozenset[str], int]] = {}
        """by cohort, its runs, and how many updates they have made together"""
        self._come_back: dict[str, tuple[frozenset[str], int]] = {}
        """the same of runs that haven't ended: another cohort continues from their checkpoints, or the next command"""
        self._workers = 0

    def __enter__(self) -> Self:
        self._shown.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._shown.__exit__(*error)

    def update(self, wanted: Iterable[RunConfig] = (), workers: int | None = None) -> None:
        """Add runs to be trained, or set the number of workers."""
        self._wanted |= {config.id: config.num_updates for config in wanted}
        self._workers = self._workers if workers is None else workers
        self._draw()

    def report(self, cohort: str, updates: int) -> None:
        """Set how many updates the runs of a cohort have made together."""
        if cohort in self._in_training:
            runs, _ = self._in_training[cohort]
            self._in_training[cohort] = runs, updates
            self._draw()

    def begin(self, cohort: str, runs: Collection[str]) -> None:
        """Add a cohort that a worker trains.

        Args:
            cohort: Its key.
            runs: The run ids.
        """
        self._in_training[cohort] = frozenset(runs), 0
        self._come_back = {key: left for key, left in self._come_back.items() if left[0].isdisjoint(runs)}

    def end(self, cohort: str, statuses: dict[str, str]) -> None:
        """Remove a cohort that has come back. Of its runs that haven't ended, the updates that they made still count.

        Args:
            cohort: Its key.
            statuses: "finished" or "failed", by run id, of those of its runs that have ended.
        """
        runs, updates = self._in_training.pop(cohort)
        self._ended |= statuses
        left = runs - statuses.keys()
        if left:
            self._come_back[cohort] = left, max(updates - sum(self._wanted.get(run, 0) for run in statuses), 0)
        self._draw()

    def say(self, line: str) -> None:
        """Print a line, above the bar where there is one."""
        self._shown.say(line)

    def _draw(self) -> None:
        made = sum(self._wanted.get(run_id, 0) for run_id in self._ended)
        made += sum(updates for _, updates in (*self._in_training.values(), *self._come_back.values()))
        total = sum(self._wanted.values())
        self._shown.update(min(made, total), total, self._describe())

    def _describe(self) -> str:
        failed = sum(status == "failed" for status in self._ended.values())
        workers = f"{self._workers} worker{'' if self._workers == 1 else 's'}"
        return f"{len(self._ended)} of {len(self._wanted)} runs ended, {failed} failed, {workers}"
