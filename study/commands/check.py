"""`study check`."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from tyro.conf import Positional

from agents.environments import UnsuitableEnvironmentError
from study.cells import Cell, MistakeError, require_trainable
from study.memory import available_cores, require_memory
from study.shipped import find_sweep
from study.sweepfile import read_calls, require_own_program


@dataclasses.dataclass(frozen=True, kw_only=True)
class Check:
    """Look at sweep files before anyone queues them: how many cells, how long here, and what W&B would swallow."""

    files: Positional[tuple[Path, ...]]
    """sweep files, such as sweeps/thread.yaml, or names of shipped ones, such as thread"""

    def run(self) -> None:
        """Say of each file what is in it, or refuse it."""
        sound: dict[Path, list[list[Cell]]] = {}
        refused = []
        if not self.files:
            raise MistakeError("no sweep file is given: give files, or names of shipped ones, such as thread")
        for given in self.files:
            try:
                path = find_sweep(given)
                sound[path] = _read(path)
            except MistakeError as error:
                refused.append(str(error))
        seconds = _measure(list(sound.values()))
        cores = available_cores()
        for (path, calls), taken in zip(sound.items(), seconds, strict=True):
            cells = len(_once(calls))
            how_long = f"about {_duration(taken / cores)} on {cores} {'cores' if cores > 1 else 'core'} of this machine"
            print(f"{path}: {cells} cells in {len(calls)} calls of an agent, {how_long}")
        if refused:
            raise MistakeError("\nstudy: ".join(refused))


def _read(path: Path) -> list[list[Cell]]:
    """A sweep file's calls, all of which can be trained. **Raises**: `MistakeError`."""
    calls = read_calls(path)
    require_own_program(path)
    try:
        require_trainable(cell for call in calls for cell in call)
        for cell in {cell.kind: cell for call in calls for cell in call}.values():
            require_memory([cell])
    except (MistakeError, UnsuitableEnvironmentError) as error:
        raise MistakeError(f"{path}: {error}") from error
    return calls


def _once(calls: list[list[Cell]]) -> list[Cell]:
    """Return each cell once: an unperturbed one may be in several calls."""
    return list({cell.id: cell for call in calls for cell in call}.values())


def _measure(sweeps: Sequence[list[list[Cell]]]) -> list[float]:
    """Seconds of one core for each sweep."""
    from study.estimate import estimate

    cells = [_once(calls) for calls in sweeps]
    if not cells:
        return []
    kinds = sum(len({cell.kind for cell in own}) for own in cells)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("training each kind of cell for a moment", total=kinds)
        return [estimate(own, lambda: progress.advance(task)) for own in cells]


def _duration(seconds: float) -> str:
    """To two digits or so, as people say it."""
    for size, name in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.2g} {name}"
    return f"{seconds:.2g} seconds"
