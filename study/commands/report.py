"""`study report`."""

import dataclasses
from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg

from reports.sources.runs import UnreadableSourceError
from study.sweepfile import read_cells


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """Write the answer: report.md, its figures, and verdict.json."""

    source: Positional[str] = ""
    """a runs directory, a CSV or Parquet table of runs, or wandb:entity/project[/sweep]"""
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    """where to; SOURCE/report by default, beside a table, or here for runs in W&B"""
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
    map: str | None = None
    """what is what in a W&B project of others: condition=config.dist,seed=config.seed,outcome=summary.eval/return"""
    any_state: FlagCreatePairsOff[bool] = False
    """with --map: runs that crashed, failed or go on count too, where they have the outcome"""
    html: FlagCreatePairsOff[bool] = False
    """write report.html too, one file with everything in it"""
    publish: FlagCreatePairsOff[bool] = False
    """put the report into W&B too, beside its runs"""
    plan: FlagCreatePairsOff[bool] = False
    """write only how many seeds each conclusion needs, as plan.md"""
    guess: float | None = None
    """plan without runs: the deviation of a difference between seeds; with --margin, the effect that matters"""

    def run(self) -> None:
        """Read, compute, write, and print the verdict."""
        if self.guess is not None:
            print(self._plan_from_guess())
            return
        if not self.source:
            raise UnreadableSourceError("report what? Give a runs directory or a table of runs")
        from reports import plan, report
        from reports.sources import Mapped, beside
        from reports.writing.publish import publish

        expected = {cell.id: dataclasses.asdict(cell) for cell in read_cells(self.sweep)} if self.sweep else None
        mapped = Mapped.parse(self.map) if self.map else None
        options = report.Options(
            outcome=mapped.outcome if mapped else self.outcome,
            also=self.also,
            margin=self.margin,
            where=self.where,
            sweep=self.sweep,
            mapped=mapped,
            any_state=self.any_state,
            html=self.html,
        )
        output = self.output or beside(self.source)
        if self.plan:
            _, sections = report.read(self.source, options, expected)
            print(plan.write(plan.from_sections(sections), output))
            return
        print(report.write(self.source, output, options, expected))
        if self.publish:
            print(*publish(self.source, output), sep="\n")

    def _plan_from_guess(self) -> str:
        from reports import plan
        from reports.statistics import Margin

        for name, value in (("guess", self.guess), ("margin", self.margin)):
            if value is None or not 0 < value < float("inf"):
                raise UnreadableSourceError(f"--{name} must be positive and finite, not {value}")
        assert self.guess is not None and self.margin is not None
        return plan.write([("", plan.conclusions(self.guess, Margin(self.margin)))], self.output or Path("plan"))
