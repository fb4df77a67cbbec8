"""`study report`."""

import dataclasses
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import FlagCreatePairsOff, Positional, arg

from reports.errors import UnreadableSourceError, in_one_line
from study.config.shipped import find_sweep
from study.config.sweepfile import OUTCOME, Design, read_configs, read_design
from study.errors import PublishError
from study.options import Omittable

if TYPE_CHECKING:
    from reports.documents.report import Options

OPTIONS = {"expected": "sweep", "factors": "factor", "mapping": "map"}
"""Options that have another name than the parameter of `reports` that they set."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """Write the answer: report.md, its figures, and verdict.json."""

    source: Positional[Omittable[str]] = ""
    """a run store, a CSV or Parquet table of runs, a report's table, wandb:entity/project[/sweep], sb3:DIR or tb:DIR"""
    output: Annotated[Omittable[Path | None], arg(aliases=["-o"])] = None
    """where to write; by default SOURCE/report, beside a table, over a report's own, or here for runs in W&B"""
    outcome: Omittable[str | None] = None
    """the primary outcome; by default the mapping's or the sweep file's, or else final_return, or the only one"""
    also: Annotated[Omittable[tuple[str, ...] | None], arg(metavar="[STR [STR ...]]")] = None
    """other outcomes, a family of their own; by default final_return, auc_return, eval_return and final_std"""
    goal: Omittable[Literal["maximize", "minimize"] | None] = None
    """whether large outcomes are good: a failed run counts as the worst; the sweep file's, or maximize"""
    margin: Omittable[float | None] = None
    """the smallest difference that matters; the sweep file's, or half the standard deviation between seeds"""
    sweep: Omittable[tuple[Path, ...]] = ()
    """only the runs of these sweep files, or of the shipped ones of these names; a warning if some are missing"""
    where: Omittable[tuple[str, ...]] = ()
    """only the runs for which this holds, as key=value"""
    map: Omittable[str | None] = None
    """which value is which column: condition=config.dist,seed=config.seed,outcome=summary.eval/return"""
    design: Omittable[tuple[str, ...]] = ()
    """columns whose values split the runs into designs, such as env_id"""
    factor: Omittable[tuple[str, ...]] = ()
    """columns in which arms differ, beside those of text that are found"""
    must_agree: Omittable[tuple[str, ...]] = ()
    """factors whose levels are the same mathematics, so that only round-off may tell them apart"""
    reference: Omittable[str | None] = None
    """the condition that the others are compared with; by default the first"""
    unpaired: FlagCreatePairsOff[bool] = False
    """runs of the same seed have nothing in common"""
    any_state: FlagCreatePairsOff[bool] = False
    """with --map: W&B's runs that haven't finished count too, where they have the outcome"""
    html: FlagCreatePairsOff[bool] = False
    """write report.html too, one file with everything in it"""
    table: FlagCreatePairsOff[bool] = False
    """write table.parquet too, a few MB at most, from which `study report` makes the report again without the runs"""
    publish: FlagCreatePairsOff[bool] = False
    """put the report into W&B too, beside its runs"""
    plan: FlagCreatePairsOff[bool] = False
    """write only how many seeds each conclusion needs, as plan.md"""
    guess: Omittable[float | None] = None
    """plan without runs, from a standard deviation of differences between seeds and --margin"""

    def run(self) -> None:
        """Read the runs, write the report, and print its headlines.

        Raises:
            PublishError: W&B's answer can't be used. The report is written.
            UnreadableSourceError: The runs can't be read, or an option can't be used.
        """
        try:
            self._run()
        except UnreadableSourceError as error:
            if error.parameter is None:
                raise
            option = OPTIONS.get(error.parameter, error.parameter).replace("_", "-")
            raise UnreadableSourceError(f"{error} (--{option})") from error

    def _run(self) -> None:
        for name, value in (("guess", self.guess), ("margin", self.margin)):
            if value is not None and not 0 < value < math.inf:
                raise UnreadableSourceError(f"--{name} must be positive and finite, not {value}")
        if self.guess is not None:
            print(self._plan_from_guess(self.guess))
            return
        if not self.source:
            raise UnreadableSourceError("report what? Give a run store or a table of runs")
        from reports.documents import plan, report
        from reports.online import require_online
        from reports.sources import beside

        configs = [config for file in map(find_sweep, self.sweep) for config in read_configs(file)]
        expected = {config.id: dataclasses.asdict(config) for config in configs} if configs else None
        output = self.output or beside(self.source)
        options = self._options()
        if self.plan:
            _, designs = report.read(self.source, options, expected)
            print(plan.write(plan.from_designs(designs), output))
            return
        if self.publish:
            require_online()
        print(report.write(self.source, output, options, expected))
        if self.publish:
            print(*_publish(self.source, output), sep="\n")

    def _fixed(self) -> Design:
        """Return what the sweep files fix before the data: all the same, but for what the first says of itself."""
        designs = [read_design(file) for file in map(find_sweep, self.sweep)]
        first = designs[0] if designs else Design(None, "maximize", None)
        for file, other in zip(self.sweep[1:], designs[1:], strict=True):
            if dataclasses.replace(other, description=first.description) != first:
                raise UnreadableSourceError(
                    f"{file} fixes another outcome, margin or factor than {self.sweep[0]}: report on each by itself"
                )
        return first

    def _options(self) -> "Options":
        from reports.documents import report
        from reports.sources import Mapping, Reading

        mapping = Mapping.parse(self.map) if self.map else None
        fixed = self._fixed()
        outcome = self.outcome or (mapping and mapping.outcome) or fixed.outcome
        # A margin that was fixed in advance is the primary outcome's.
        margin = fixed.margin_of(outcome or OUTCOME) if self.margin is None else self.margin
        return report.Options(
            outcome=outcome,
            also=self.also,
            margin=margin,
            goal=self.goal or (fixed.goal if self.sweep else None),
            where=self.where,
            html=self.html,
            table=self.table,
            description=fixed.description,
            command=("study", *sys.argv[1:]) if sys.argv[1:2] == ["report"] else (),
            reading=Reading(
                mapping=mapping,
                any_state=self.any_state,
                design=self.design,
                factors=self.factor or _one(fixed.factor),
                must_agree=self.must_agree or _one(fixed.must_agree),
                reference=self.reference,
                unpaired=self.unpaired,
                outcome=outcome,
            ),
        )

    def _plan_from_guess(self, guess: float) -> str:
        from reports.documents import plan
        from reports.statistics import Margin

        if self.margin is None:
            raise UnreadableSourceError("--guess needs --margin: the effect that matters")
        return plan.write([("", plan.conclusions(guess, Margin(self.margin)))], self.output or Path("plan"))


def _publish(source: str, output: Path) -> list[str]:
    """Publish a report, and return its addresses.

    Raises:
        PublishError: W&B doesn't take it.
        UnreadableSourceError: W&B refuses it, or can't be reached.
    """
    from reports.documents.publish import publish

    try:
        return publish(source, output)
    except UnreadableSourceError:
        raise
    except Exception as error:  # the client raises what its code runs into where it doesn't expect an answer
        said = f"{type(error).__name__}: {in_one_line(error)}"
        raise PublishError(f"--publish: W&B's answer can't be used ({said}); the report is in {output}") from error


def _one(name: str | None) -> tuple[str, ...]:
    return () if name is None else (name,)
