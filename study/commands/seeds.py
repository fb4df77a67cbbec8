"""`study seeds`."""

import dataclasses
from pathlib import Path

from tyro.conf import OmitArgPrefixes, Positional

from study.cells import MistakeError, require_trainable
from study.commands.shared import Workforce, check_comparison, say_what_starts_over
from study.sweepfile import read_cells


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seeds:
    """Train seed after seed of a sweep file's design, look, and stop when its verdict is decided, or at a budget.

    Looking again and again is paid for: false decisions are at most 5% over the whole study.
    """

    file: Positional[Path]
    """a sweep file of one design; its first seed is the first here, and how many it has doesn't matter"""
    budget: int = 30
    """seeds at most"""
    first: int = 8
    """seeds before the first look"""
    every: int = 2
    """seeds from a look to the next; with many workers, no fewer than they train at once"""
    outcome: str = "final_return"
    """which of the runs' outcomes to study"""
    margin: float | None = None
    """the effect up to which two policies are as good as equal; by default half the deviation between seeds, as it is
    at the first look, and from then on fixed"""
    name: str = "seeds"
    """the study's name in the storage"""
    workforce: OmitArgPrefixes[Workforce] = dataclasses.field(default_factory=Workforce)

    def run(self) -> None:
        """Check everything, then train and look in turns."""
        from rich.console import Console

        from reports.statistics.sequential import Schedule
        from study import seeds

        self.workforce.check()
        if not seeds.FEWEST_SEEDS <= self.first <= self.budget <= seeds.MOST_SEEDS:
            raise MistakeError(
                f"--first must be at least {seeds.FEWEST_SEEDS}, and --budget at least that and at most "
                f"{seeds.MOST_SEEDS}, not {self.first} and {self.budget}"
            )
        if self.every < 1:
            raise MistakeError(f"--every must be at least 1, not {self.every}")
        check_comparison(self.outcome, self.margin)
        block = seeds.block(read_cells(self.file))
        require_trainable(block)
        looks = sorted({*range(self.first, self.budget, self.every), self.budget})
        blocks = seeds.Blocks(
            cells=block, schedule=Schedule(looks=tuple(looks)), outcome=self.outcome, margin=self.margin
        )
        self.workforce.cut(block)
        say_what_starts_over(block)
        with self.workforce.gather() as team:
            plan = seeds.Seeds(team.open_queue(self.name, blocks.describe()))
            team.work([plan], Console(stderr=True, soft_wrap=True))
