"""Progress of many cohorts in one bar, and without a terminal in a line now and then."""

import time
from collections.abc import Iterable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from study.config.run_config import RunConfig

SECONDS_BETWEEN_LINES = 30.0


class Bar:
    """How many updates were made of those that are wanted, of how many runs, by how many workers."""

    def __init__(self, console: Console) -> None:
        self._columns = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("updates, elapsed"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = self._columns.add_task("", total=0)
        self._wanted: dict[str, int] = {}
        self._ended: dict[str, str] = {}
        self._in_training: dict[str, int] = {}
        self._workers = 0
        self._said_at = time.monotonic()

    def start(self) -> None:
        """Show it."""
        self._columns.start()

    def stop(self) -> None:
        """Leave it as it is."""
        self._columns.stop()

    def update(self, wanted: Iterable[RunConfig] = (), workers: int | None = None) -> None:
        """More runs are to be trained, or so many workers are there."""
        self._wanted |= {config.id: config.num_updates for config in wanted}
        self._workers = self._workers if workers is None else workers
        self._draw()

    def report(self, cohort: str, updates: int) -> None:
        """The runs of a cohort have made so many updates."""
        if cohort in self._in_training:
            self._in_training[cohort] = updates
            self._draw()

    def begin(self, cohort: str) -> None:
        """A cohort is handed out."""
        self._in_training[cohort] = 0

    def end(self, cohort: str, statuses: dict[str, str]) -> None:
        """A cohort has come back. Of its runs, these have ended: "finished" or "failed", by run id."""
        self._in_training.pop(cohort, None)
        self._ended |= statuses
        self._draw()

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._columns.console.print(line, markup=False)

    def _draw(self) -> None:
        made = sum(self._wanted.get(run_id, 0) for run_id in self._ended) + sum(self._in_training.values())
        total = sum(self._wanted.values())
        self._columns.update(self._task, description=self._describe(), total=total, completed=min(made, total))
        is_time = time.monotonic() - self._said_at >= SECONDS_BETWEEN_LINES
        if is_time and not self._columns.console.is_terminal:
            self._said_at = time.monotonic()
            seconds = self._columns.tasks[0].time_remaining
            left = f", about {seconds / 60:.0f} min left" if seconds else ""
            self.say(f"{self._describe()}, {min(made, total)} of {total} updates{left}")

    def _describe(self) -> str:
        failed = sum(status == "failed" for status in self._ended.values())
        workers = f"{self._workers} worker{'' if self._workers == 1 else 's'}"
        return f"{len(self._ended)} of {len(self._wanted)} runs ended, {failed} failed, {workers}"
