"""`study seeds`."""

import dataclasses
from pathlib import Path

from tyro.conf import OmitArgPrefixes, Positional

from study.cells import MistakeError, require_trainable
from study.commands.shared import Workforce, check_comparison, say_what_starts_over
from study.sweepfile import OUTCOME, read_cells, read_design


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seeds:
    """Train seed after seed of a sweep file's design, and stop when its effects are decided, or at a budget.

    Interim analyses spend alpha: false decisions are at most 5% over the whole study.
    """

    file: Positional[Path]
    """a sweep file of one design; its first seed is the first here, and how many it has doesn't matter"""
    budget: int = 30
    """seeds at most"""
    first: int | None = None
    """seeds before the first interim analysis; by default the fewest at which it can find a difference"""
    every: int = 2
    """seeds from an analysis to the next; with many workers, no fewer than they train at once"""
    outcome: str | None = None
    """the primary outcome; the sweep file's metric by default, or final_return"""
    margin: float | None = None
    """the equivalence margin, fixed before the data: here, or in the sweep file"""
    name: str = "seeds"
    """the study's name in the storage"""
    workforce: OmitArgPrefixes[Workforce] = dataclasses.field(default_factory=Workforce)

    def run(self) -> None:
        """Check everything, then train and look in turns."""
        from rich.console import Console

        from study import seeds

        self.workforce.check()
        if self.every < 1:
            raise MistakeError(f"--every must be at least 1, not {self.every}")
        first = self._first()
        design = read_design(self.file)
        outcome = self.outcome or design.outcome or OUTCOME
        margin = design.margin_of(outcome) if self.margin is None else self.margin
        check_comparison(outcome, margin)
        if margin is None and design.margin is not None:
            raise MistakeError(
                f"{self.file}: the equivalence margin must be one of {outcome}, not of {design.outcome or OUTCOME}: "
                "give --margin"
            )
        if margin is None:
            raise MistakeError(
                f"{self.file}: an equivalence margin must be fixed before the data: give --margin, or "
                "`margin: {value: ...}` among its parameters"
            )
        block = seeds.block(read_cells(self.file))
        require_trainable(block)
        blocks = seeds.Blocks(
            cells=block, schedule=seeds.make_schedule(first, self.every, self.budget), outcome=outcome, margin=margin
        )
        self.workforce.cut(block)
        say_what_starts_over(block)
        with self.workforce.gather() as team:
            plan = seeds.Seeds(team.open_queue(self.name, blocks.describe()))
            team.work([plan], Console(stderr=True, soft_wrap=True))

    def _first(self) -> int:
        """Seeds before the first interim analysis. **Raises**: `MistakeError`, where that could find nothing."""
        from study import seeds

        fewest = seeds.fewest_first(self.every, self.budget) if 1 <= self.budget <= seeds.MOST_SEEDS else None
        if fewest is None:
            raise MistakeError(
                f"--budget must be between 7 and {seeds.MOST_SEEDS}, not {self.budget}: with fewer seeds no test can "
                "find a difference"
            )
        if self.first is not None and not fewest <= self.first <= self.budget:
            raise MistakeError(
                f"--first must be between {fewest} and the budget, {self.budget}, not {self.first}: with fewer seeds "
                "no interim analysis can find a difference"
            )
        return fewest if self.first is None else self.first
