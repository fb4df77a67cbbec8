"""`study bench`."""

import dataclasses
from pathlib import Path
from typing import Annotated

from rich.console import Console
from tyro.conf import arg

from study.cells import MistakeError
from study.files import require_writable


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bench:
    """How fast training is here, beside bare environments and other libraries. A round takes seven minutes."""

    env_ids: tuple[str, ...] = ("Pendulum-v1", "Hopper-v5", "HalfCheetah-v5")
    """where to measure: of Pendulum-v1, Hopper-v5 and HalfCheetah-v5"""
    rounds: int = 3
    """how often everything is measured, in turns; the median counts"""
    seconds: float = 3.0
    """how long each measurement goes on, at least; one update at least"""
    output: Annotated[Path, arg(aliases=["-o"])] = Path("bench.json")
    """the JSON file to write"""

    def run(self) -> None:
        """Measure, print a table, and write JSON."""
        from study import bench

        unknown = sorted(set(self.env_ids) - set(bench.SETTINGS))
        if unknown or not self.env_ids:
            raise MistakeError(f"--env-ids must be of {', '.join(bench.SETTINGS)}, not {' '.join(unknown) or 'empty'}")
        if self.rounds < 1:
            raise MistakeError(f"--rounds must be at least 1, not {self.rounds}")
        if not 0 < self.seconds < float("inf"):
            raise MistakeError(f"--seconds must be positive, not {self.seconds}")
        require_writable(self.output)
        measurements = bench.measure(self.env_ids, self.rounds, self.seconds, Console(stderr=True))
        Console().print(*bench.tables(measurements))
        bench.write(self.output, measurements)
