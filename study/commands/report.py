"""`study report`."""

import dataclasses
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from study.sweepfile import read_cells


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """Write the answer: report.md, its figures, and verdict.json."""

    source: Positional[str]
    """a runs directory, or a CSV or Parquet table of runs"""
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    """where to; SOURCE/report by default, or beside a table"""
    outcome: str = "final_return"
    """which of the runs' outcomes to study"""
    margin: float | None = None
    """the effect up to which two policies are as good as equal; by default half the deviation between seeds"""
    sweep: Path | None = None
    """only the cells of this sweep file, and a word on those that are missing"""
    where: tuple[str, ...] = ()
    """only the runs of which this holds, as key=value"""

    def run(self) -> None:
        """Read, compute, write, and print the verdict."""
        from reports import report

        expected = {cell.id: dataclasses.asdict(cell) for cell in read_cells(self.sweep)} if self.sweep else None
        options = report.Options(outcome=self.outcome, margin=self.margin, where=self.where, sweep=self.sweep)
        print(report.write(self.source, self.output, options, expected))
