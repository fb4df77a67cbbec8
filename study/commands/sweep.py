"""`study sweep`."""

import dataclasses
from pathlib import Path

from tyro.conf import OmitArgPrefixes, Positional

from study.commands.shared import check_pool, train_all
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
        train_all(self.pool, sweeps)
