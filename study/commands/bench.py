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
    """How fast training is here, beside bare environments and other libraries. A round takes seven minutes.

    With --policies, what each condition's policy costs instead, by the number of action dimensions: a round takes ten
    seconds.
    """

    policies: FlagCreatePairsOff[bool] = False
    """measure what policies cost, not training"""

    env_ids: tuple[str, ...] = ("Pendulum-v1", "Hopper-v5", "HalfCheetah-v5")
    """where to measure: of Pendulum-v1, Hopper-v5 and HalfCheetah-v5"""
    rounds: int = 3
    """how often everything is measured, in turns; the median counts"""
    seconds: Omittable[float | None] = None
    """how long each measurement goes on, at least, by default 3, or 0.05 with --policies; one update at least"""
    output: Annotated[Omittable[Path | None], arg(aliases=["-o"])] = None
    """the file to write, by default bench.json; policy_cost.csv with --policies, with a figure beside it"""

    def run(self) -> None:
        """Measure, print tables, and write them to a file."""
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
        require_writable(output)
        measurements = bench.measure(self.env_ids, self.rounds, self.seconds or 3.0, Console(stderr=True))
        Console().print(*bench.tables(measurements))
        bench.write(output, measurements)

    def _measure_policies(self, output: Path) -> None:
        from study.policies import cost

        require_writable(output)
        costs = cost.measure(cost.WIDTHS, self.rounds, self.seconds or 0.05, Console(stderr=True))
        Console().print(*cost.tables(costs))
        cost.write(output, costs)
