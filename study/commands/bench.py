"""`study bench`."""

import dataclasses
from pathlib import Path
from typing import Annotated

from rich.console import Console
from tyro.conf import FlagCreatePairsOff, arg

from study.errors import ConfigError
from study.options import Omittable
from study.store.files import require_writable


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bench:
    """Measure training speed here, beside bare environments and other libraries. A round takes seven minutes.

    With --policies, measure each condition's policy by the number of action dimensions. A round takes ten seconds.
    """

    policies: FlagCreatePairsOff[bool] = False
    """measure what policies cost, not training"""

    env_ids: tuple[str, ...] = ("Pendulum-v1", "Hopper-v5", "HalfCheetah-v5")
    """where to measure: of Pendulum-v1, Hopper-v5 and HalfCheetah-v5"""
    rounds: int = 3
    """how often everything is measured, in turns; the median counts"""
    seconds: Omittable[float | None] = None
    """seconds of each measurement, at least, and at least one update; by default 3, or 0.05 with --policies"""
    output: Annotated[Omittable[Path | None], arg(aliases=["-o"])] = None
    """the file to write, by default bench.json; policy_cost.csv with --policies, with a figure beside it"""

    def run(self) -> None:
        """Measure, print tables, and write them to a file.

        Raises:
            ConfigError: An option can't be used.
        """
        if self.rounds < 1:
            raise ConfigError(f"--rounds must be at least 1, not {self.rounds}")
        if self.seconds is not None and not 0 < self.seconds < float("inf"):
            raise ConfigError(f"--seconds must be positive, not {self.seconds}")
        if self.policies:
            self._measure_policies(self.output or Path("policy_cost.csv"))
        else:
            self._measure_training(self.output or Path("bench.json"))

    def _measure_training(self, output: Path) -> None:
        from study.benchmarks import speed as bench

        unknown = sorted(set(self.env_ids) - set(bench.SETTINGS))
        if unknown or not self.env_ids:
            raise ConfigError(f"--env-ids must be of {', '.join(bench.SETTINGS)}, not {' '.join(unknown) or 'empty'}")
        _require_writable(output)
        measurements = bench.measure(self.env_ids, self.rounds, self.seconds or 3.0, Console(stderr=True))
        Console().print(*bench.tables(measurements))
        bench.write(output, measurements)

    def _measure_policies(self, output: Path) -> None:
        from study.policies import cost

        _require_writable(output)
        costs = cost.measure(cost.WIDTHS, self.rounds, self.seconds or 0.05, Console(stderr=True))
        Console().print(*cost.tables(costs))
        cost.write(output, costs)


def _require_writable(output: Path) -> None:
    try:
        require_writable(output)
    except ConfigError as error:
        raise ConfigError(f"{error}. Choose another file with -o") from error
