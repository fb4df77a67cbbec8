"""`study report`."""

import dataclasses
from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg

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
    also: tuple[str, ...] | None = None
    """other outcomes, tested as a family of their own; by default final_return, auc_return and eval_return"""
    margin: float | None = None
    """the effect up to which two policies are as good as equal; by default half the deviation between seeds"""
    sweep: Path | None = None
    """only the cells of this sweep file, and a word on those that are missing"""
    where: tuple[str, ...] = ()
    """only the runs of which this holds, as key=value"""

    html: FlagCreatePairsOff[bool] = False
    """write report.html too, one file with everything in it"""

    def run(self) -> None:
        """Read, compute, write, and print the verdict."""
        from reports import report

        expected = {cell.id: dataclasses.asdict(cell) for cell in read_cells(self.sweep)} if self.sweep else None
        options = report.Options(
            outcome=self.outcome,
            also=self.also,
            margin=self.margin,
            where=self.where,
            sweep=self.sweep,
            html=self.html,
        )
        print(report.write(self.source, self.output, options, expected))
