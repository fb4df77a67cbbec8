"""`study calibrate`."""

import dataclasses
import itertools
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.console import Console
from rich.progress import track
from tyro.conf import arg

from study.cells import MistakeError

if TYPE_CHECKING:
    from reports.calibration import Row


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibrate:
    """How often each verdict is given on simulated studies of known truth. A thousand a row take twenty minutes."""

    studies: int = 100
    """simulated studies a row"""
    seeds: tuple[int, ...] = (5, 10, 20, 30)
    """seeds of a study"""
    output: Annotated[Path, arg(aliases=["-o"])] = Path("calibration.jsonl")
    """where rows are kept, a line each: those that are there aren't simulated again"""

    def run(self) -> None:
        """Simulate what isn't there yet, and print it all as a table in Markdown."""
        from reports import calibration

        if self.studies < 1:
            raise MistakeError(f"--studies must be at least 1, not {self.studies}")
        if not self.seeds or min(self.seeds) < 2:
            raise MistakeError(f"--seeds must be at least 2, not {' '.join(map(str, self.seeds)) or 'none'}")
        wanted = list(itertools.product(calibration.TRUTHS, calibration.SHAPES, self.seeds))
        kept = self._kept()
        console = Console(file=sys.stderr)
        rows = []
        try:
            with self.output.open("a", encoding="utf-8") as file:
                for truth, shape, seeds in track(wanted, "Simulating", console=console):
                    key = (truth.name, shape, seeds, self.studies)
                    row = kept.get(key)
                    if row is None:
                        row = calibration.simulate(truth, shape, seeds, self.studies)
                        file.write(json.dumps(dataclasses.asdict(row)) + "\n")
                        file.flush()
                    rows.append(row)
        except OSError as error:
            raise MistakeError(
                f"-o {self.output}: it can't be written ({error.strerror}): give another file"
            ) from error
        print(calibration.table(rows))

    def _kept(self) -> "dict[tuple[str, str, int, int], Row]":
        """Rows of earlier calls, by what they are. A line cut short by an interruption is left out."""
        from reports.calibration import Row

        kept = {}
        lines = self.output.read_text(encoding="utf-8").splitlines() if self.output.is_file() else []
        for line in lines:
            try:
                row = Row.from_json(json.loads(line))
            except (ValueError, TypeError, KeyError):
                continue
            kept[row.truth.name, row.shape, row.seeds, row.studies] = row
        return kept
