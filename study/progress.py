"""Progress of commands that take long: a bar on a terminal; elsewhere, a plain line now and then."""

import time
from collections.abc import Iterable, Iterator, Sized
from typing import Protocol, Self, TypeVar

from rich import progress
from rich.console import Console

SECONDS_BETWEEN_LINES = 20.0
"""A command that ends sooner prints no line."""
SECONDS_OF_RATE = 300.0
"""The period over which the rate is taken."""
COLUMNS_FOR_ALL = 110
"""Width of a terminal below which the bar itself and the elapsed time are left out."""

Item = TypeVar("Item", covariant=True)


class Items(Sized, Iterable[Item], Protocol[Item]):
    """Items whose number is known."""


class Progress:
    """Shows how much of some work is done, while `with` lasts.

    Args:
        console: Where.
        unit: What is counted, in the plural.
        doing: What is done, in a few words.
        total: How much there is to do; `update` may change it.
    """

    def __init__(self, console: Console, unit: str, doing: str = "", total: int = 0) -> None:
        self._unit = unit
        is_narrow = console.width < COLUMNS_FOR_ALL
        elapsed = [progress.TextColumn("elapsed"), progress.TimeElapsedColumn()]
        self._bar = progress.Progress(
            progress.TextColumn("{task.description}", markup=False),
            *([] if is_narrow else [progress.BarColumn()]),
            progress.MofNCompleteColumn(),
            progress.TextColumn(unit),
            *([] if is_narrow else elapsed),
            progress.TextColumn("left"),
            progress.TimeRemainingColumn(),
            console=console,
            speed_estimate_period=SECONDS_OF_RATE,
        )
        self._task = self._bar.add_task(doing, total=total)
        self._printed_at = time.monotonic()

    def __enter__(self) -> Self:
        if self._bar.console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar.console.is_terminal:
            self._bar.stop()

    def advance(self, number: int = 1) -> None:
        """Count what was done.

        Args:
            number: How much was done since the last call.
        """
        self._bar.advance(self._task, number)
        self._print_if_due()

    def update(self, done: int, total: int, doing: str) -> None:
        """Replace all that is shown.

        Args:
            done: How much is done.
            total: How much there is to do.
            doing: What is done, in a few words.
        """
        self._bar.update(self._task, completed=done, total=total, description=doing)
        self._print_if_due()

    def say(self, line: str) -> None:
        """Print a line, above the bar where there is one."""
        self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _print_if_due(self) -> None:
        if self._bar.console.is_terminal or time.monotonic() - self._printed_at < SECONDS_BETWEEN_LINES:
            return
        self._printed_at = time.monotonic()
        task = self._bar.tasks[0]
        parts = [f"{task.completed:.0f} of {task.total:.0f} {self._unit}"]
        if task.speed:
            parts.append(_rate(task.speed, self._unit))
        if task.time_remaining:
            parts.append(f"about {duration(task.time_remaining)} left")
        self.say(f"{task.description}: {', '.join(parts)}")


def counted(items: Items[Item], console: Console, unit: str, doing: str) -> Iterator[Item]:
    """Yield the items, and show how many of them are done.

    Args:
        items: What is worked through.
        console: Where to show it.
        unit: What the items are, in the plural.
        doing: What is done with them, in a few words.
    """
    with Progress(console, unit, doing, len(items)) as shown:
        for item in items:
            yield item
            shown.advance()


def _rate(per_second: float, unit: str) -> str:
    return f"{per_second:.3g} {unit}/s" if per_second >= 1 else f"{60 * per_second:.2g} {unit}/min"


def duration(seconds: float) -> str:
    """Return a duration in words, to two digits."""
    for size, name in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.2g} {name}"
    return f"{seconds:.2g} seconds"
