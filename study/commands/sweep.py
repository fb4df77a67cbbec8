"""`study sweep`."""

import contextlib
import dataclasses
from pathlib import Path

from rich.console import Console
from tyro.conf import OmitArgPrefixes, Positional

from study.commands.shared import check_pool, require_pool_memory, run_with_pool, say_what_starts_over
from study.config.run_config import require_trainable
from study.config.shipped import find_sweep
from study.config.sweepfile import read_configs
from study.errors import ConfigError
from study.options import Omittable
from study.pool.options import PoolOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sweep:
    """Train every run of W&B sweep files. Runs that have ended are skipped, and interrupted ones are resumed."""

    files: Positional[Omittable[tuple[Path, ...]]]
    """sweep files, or names of shipped ones, such as thread"""
    pool: OmitArgPrefixes[PoolOptions] = dataclasses.field(default_factory=PoolOptions)

    def run(self) -> None:
        """Check everything, then train.

        Raises:
            ConfigError: A sweep file or an option can't be used.
            WorkerError: Runs have no outcome.
        """
        check_pool(self.pool)
        if not self.files:
            raise ConfigError("no sweep file is given: give files, or names of shipped ones, such as thread")
        sweeps = {path: read_configs(path) for path in map(find_sweep, self.files)}
        configs = list({config.id: config for own in sweeps.values() for config in own}.values())
        require_trainable(configs)
        from study.store.run_store import RunStore

        store = RunStore(self.pool.runs_dir)
        waiting = store.waiting(configs)
        waiting_ids = {config.id for config in waiting}
        console = Console(stderr=True, soft_wrap=True)
        for path, own in sweeps.items():
            ended = sum(config.id not in waiting_ids for config in own)
            console.print(f"{path}: {len(own)} runs, {ended} of them ended before", markup=False)
        if not waiting:
            return
        require_pool_memory(self.pool, waiting)
        say_what_starts_over(waiting)
        try:
            run_with_pool(self.pool, lambda driver: driver.train(configs))
        finally:
            for config in configs:
                with contextlib.suppress(ConfigError):  # of one that is damaged, the driver has said so
                    outcome = store.summary(config)
                    if outcome is not None and outcome["status"] == "failed":
                        console.print(f"failed: {store.path(config)}: {outcome['error']}", markup=False)
        ended = len(configs) - len(store.waiting(configs))
        console.print(f"{ended} of {len(configs)} runs have ended: {self.pool.runs_dir}", markup=False)
