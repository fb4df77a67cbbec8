"""`study report`."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import FlagCreatePairsOff, Positional, arg

from reports.runs import UnreadableSourceError
from study.sweepfile import read_cells

if TYPE_CHECKING:
    from reports.report import Options


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """Write the answer: report.md, its figures, and verdict.json."""

    source: Positional[str] = ""
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

    plan: FlagCreatePairsOff[bool] = False
    """write only how many seeds each conclusion needs, as plan.md"""
    guess: float | None = None
    """for a plan without runs: the deviation of a difference between seeds; with --margin, the effect that matters"""

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
        if not self.source and self.guess is None:
            raise UnreadableSourceError("report what? Give a runs directory or a table of runs")
        if self.plan or self.guess is not None:
            print(self._plan(options, expected))
        else:
            print(report.write(self.source, self.output, options, expected))

    def _plan(self, options: "Options", expected: dict[str, dict[str, Any]] | None) -> str:
        """Plan from the runs, or from a guess."""
        from reports import plan, report
        from reports.statistics import Margin

        if self.guess is None:
            _, sections = report.read(self.source, options, expected)
            output = self.output or report.folder(self.source)
            return plan.write(plan.from_sections(sections), output)
        for name, value in (("guess", self.guess), ("margin", self.margin)):
            if value is None or not 0 < value < float("inf"):
                raise UnreadableSourceError(f"--{name} must be positive and finite, not {value}")
        assert self.margin is not None
        return plan.write([("", plan.conclusions(self.guess, Margin(self.margin)))], self.output or Path("plan"))
