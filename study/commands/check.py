"""`study check`."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from tyro.conf import Positional

from agents.errors import UnsuitableEnvironmentError
from study.config.run_config import RunConfig, require_trainable
from study.config.shipped import find_sweep
from study.config.sweepfile import read_calls, require_own_program
from study.errors import ConfigError
from study.options import Omittable
from study.progress import duration
from study.training.memory import available_cores, require_memory


@dataclasses.dataclass(frozen=True, kw_only=True)
class Check:
    """Check sweep files before they are queued: how many runs, how long here, and what W&B would silently do."""

    files: Positional[Omittable[tuple[Path, ...]]]
    """sweep files, such as sweeps/thread.yaml, or names of shipped ones, such as thread"""

    def run(self) -> None:
        """Print what each file has.

        Raises:
            ConfigError: Files are refused. The text has a line for each.
        """
        sound: dict[Path, list[list[RunConfig]]] = {}
        refused = []
        if not self.files:
            raise ConfigError("no sweep file is given: give files, or names of shipped ones, such as thread")
        for given in self.files:
            try:
                path = find_sweep(given)
                sound[path] = _read(path)
            except ConfigError as error:
                refused.append(str(error))
        seconds = _measure(list(sound.values()))
        cores = available_cores()
        for (path, calls), taken in zip(sound.items(), seconds, strict=True):
            configs = len(_once(calls))
            how_long = f"about {duration(taken / cores)} on {cores} {'cores' if cores > 1 else 'core'} of this machine"
            print(f"{path}: {configs} runs in {len(calls)} calls of an agent, {how_long}, and some seconds to start")
        if refused:
            raise ConfigError("\nstudy: ".join(refused))


def _read(path: Path) -> list[list[RunConfig]]:
    """Return the calls of a sweep file, all of which can be trained.

    Raises:
        ConfigError: They can't, or W&B would run something else.
    """
    calls = read_calls(path)
    require_own_program(path)
    try:
        require_trainable(config for call in calls for config in call)
        for config in {config.kind: config for call in calls for config in call}.values():
            require_memory([config])
    except (ConfigError, UnsuitableEnvironmentError) as error:
        raise ConfigError(f"{path}: {error}") from error
    return calls


def _once(calls: list[list[RunConfig]]) -> list[RunConfig]:
    """Return each run once: an unperturbed one may be in several calls."""
    return list({config.id: config for call in calls for config in call}.values())


def _measure(sweeps: Sequence[list[list[RunConfig]]]) -> list[float]:
    """Return the core-seconds of each sweep."""
    from study.training.estimate import estimate

    configs = [_once(calls) for calls in sweeps]
    if not configs:
        return []
    kinds = sum(len({config.kind for config in own}) for own in configs)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("training each kind of run for a moment", total=kinds)
        return [estimate(own, lambda: progress.advance(task)) for own in configs]
