"""The outcome of a run, from what its trainer writes: episodes, TensorBoard, CSV, JSON or its output."""

import dataclasses
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reports.sources.tensorboard import FILES, load_events
from study.errors import ConfigError, NoMetricError

FORMS = "episodes, tb:TAG, csv:FILE:COLUMN, json:FILE:KEY or stdout:REGEX"
LAST = 0.1
"""The fraction of a run's steps, at its end, whose mean is `final_return`."""
PARTS = 20
"""Parts of a run's steps that count equally in `auc_return`, whatever the number of points in each."""

Points = list[tuple[float, float]]
"""Steps and values."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """A run's outcome.

    Attributes:
        final_return: The mean over the last tenth of its steps.
        auc_return: The mean over all of its steps.
    """

    final_return: float
    auc_return: float


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric of a run.

    Attributes:
        text: The text that names it.
        points: Reads steps and values from a run's folder.
    """

    text: str
    points: Callable[[Path], Points]

    def read(self, folder: Path) -> Outcome:
        """Return a run's outcome.

        Raises:
            NoMetricError: The run hasn't written the metric.
        """
        return summarise(self.points(folder))


def parse(text: str) -> Metric:
    """Return the metric that a text names.

    Raises:
        ConfigError: It names none.
    """
    kind, _, rest = text.partition(":")
    first, _, last = rest.rpartition(":")
    if text == "episodes":
        return Metric(text, read_episodes)
    if kind == "tb" and rest:
        return Metric(text, lambda folder: read_tensorboard(folder, rest))
    if kind == "csv" and first and last:
        return Metric(text, lambda folder: read_csv(folder, first, last))
    if kind == "json" and first and last:
        return Metric(text, lambda folder: read_json(folder, first, last))
    if kind == "stdout" and rest:
        return Metric(text, _stdout_reader(rest))
    raise ConfigError(f"metric {text!r} must be {FORMS}")


def summarise(points: Points) -> Outcome:
    """Return the outcome of a run's points, which may be in any order."""
    steps, values = np.array(sorted(points), dtype=float).T
    late = steps > (1 - LAST) * steps[-1]
    edges = np.linspace(min(0.0, steps[0]), steps[-1], PARTS + 1)
    part = np.clip(np.searchsorted(edges, steps, side="left"), 1, PARTS)
    means = [values[part == number].mean() for number in np.unique(part)]
    return Outcome(
        final_return=float(values[late].mean() if late.any() else values[-1]), auc_return=float(np.mean(means))
    )


def read_episodes(folder: Path) -> Points:
    """Return the episodes' returns in the environments that a run trains in: those with the most steps.

    Raises:
        NoMetricError: No episode ended.
    """
    texts = [path.read_text(encoding="utf-8") for path in _files(folder / "watch", "episodes-*.jsonl")]
    rows = [json.loads(line) for text in texts for line in text.splitlines()]
    if not rows:
        raise NoMetricError(
            f"{folder}: no episode of an environment of gymnasium's ended: name another metric, {FORMS}"
        )
    table = pd.DataFrame(rows)
    steps = table.groupby(["id", "env"])["steps"].transform("max")
    trained = table[steps >= 0.5 * steps.max()]
    return list(zip(trained["all_steps"].astype(float), trained["return"].astype(float), strict=True))


def read_tensorboard(folder: Path, tag: str) -> Points:
    """Return the scalars of a tag of TensorBoard.

    Raises:
        NoMetricError: There is no such tag.
    """
    points: Points = []
    tags: set[str] = set()
    for logdir in sorted({path.parent for path in _files(folder, FILES)}):
        accumulator = load_events(logdir)
        tags |= set(accumulator.Tags()["scalars"])
        if tag in accumulator.Tags()["scalars"]:
            points += [(float(event.step), float(event.value)) for event in accumulator.Scalars(tag)]
    return _found(points, f"{folder}: TensorBoard has no tag {tag!r}", sorted(tags))


def read_csv(folder: Path, name: str, column: str) -> Points:
    """Return a column of a CSV file, a step for each row; lines that begin with # are comments.

    Raises:
        NoMetricError: There is no such file, or no number in such a column.
    """
    table = pd.read_csv(_file(folder, name), comment="#", skipinitialspace=True)
    values = pd.to_numeric(table[column], errors="coerce").dropna() if column in table else pd.Series(dtype=float)
    points = [(float(row + 1), float(value)) for row, value in enumerate(values)]
    return _found(
        points, f"{folder}: {name} has no numbers in a column {column!r}", [str(own) for own in table.columns]
    )


def read_json(folder: Path, name: str, key: str) -> Points:
    """Return a number in a JSON file as a single point; dots in the key separate nested keys.

    Raises:
        NoMetricError: There is no such file or key, or no number.
    """
    content: Any = json.loads(_file(folder, name).read_text(encoding="utf-8"))
    for part in key.split("."):
        names = list(content) if isinstance(content, dict) else []
        if part not in names:
            raise NoMetricError(f"{folder}: {name} has no {key!r}; there is {', '.join(map(str, names)) or 'no key'}")
        content = content[part]
    if isinstance(content, bool) or not isinstance(content, int | float):
        raise NoMetricError(f"{folder}: {key!r} of {name} isn't a number")
    return [(1.0, float(content))]


def _stdout_reader(expression: str) -> Callable[[Path], Points]:
    try:
        compiled = re.compile(expression)
    except re.error as error:
        raise ConfigError(f"metric stdout:{expression} can't be read: {error}") from error
    if compiled.groups != 1:
        raise ConfigError(f"metric stdout:{expression} must have one group in parentheses, not {compiled.groups}")

    def read(folder: Path) -> Points:
        text = (folder / "stdout.txt").read_text(encoding="utf-8", errors="replace")
        try:
            points = [(float(row + 1), float(found)) for row, found in enumerate(compiled.findall(text))]
        except ValueError as error:
            raise NoMetricError(f"{folder}: what {expression!r} finds in its output isn't a number: {error}") from error
        return _found(points, f"{folder}: nothing in its output is like {expression!r}", text.strip().splitlines()[-1:])

    return read


def _files(folder: Path, pattern: str) -> list[Path]:
    return sorted(path for path in folder.rglob(pattern) if path.is_file())


def _file(folder: Path, name: str) -> Path:
    found = _files(folder, name)
    if not found:
        raise NoMetricError(f"{folder}: there is no file {name}")
    return found[0]


def _found(points: Points, otherwise: str, there: Sequence[str]) -> Points:
    if not points:
        raise NoMetricError(f"{otherwise}; there is {', '.join(there) or 'nothing'}")
    return points
