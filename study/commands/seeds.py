"""`study seeds`."""

import dataclasses
from collections.abc import Awaitable
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import OmitArgPrefixes, Positional

from study.commands.shared import check_comparison, check_pool, require_pool_memory, run_with_pool, say_what_starts_over
from study.config.run_config import require_trainable
from study.config.shipped import find_sweep
from study.config.sweepfile import OUTCOME, read_configs, read_design
from study.errors import ConfigError
from study.options import Omittable
from study.pool.options import PoolOptions

if TYPE_CHECKING:
    from study.plans.seeds import Blocks
    from study.pool.driver import Driver


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seeds:
    """Train seed after seed of a sweep file's design, and stop when its effects are decided, or at a budget.

    Interim analyses spend alpha: false decisions are at most 5% over the whole study.
    """

    file: Positional[Path]
    """a sweep file of one design, or the name of a shipped one: its conditions, and its first seed"""
    budget: int = 30
    """seeds at most"""
    first: Omittable[int | None] = None
    """seeds before the first interim analysis; by default the fewest at which it can find a difference"""
    every: int = 2
    """seeds from an analysis to the next; with many workers, no fewer than they train at once"""
    outcome: Omittable[str | None] = None
    """the primary outcome; the sweep file's metric by default, or final_return"""
    margin: Omittable[float | None] = None
    """the equivalence margin, fixed before the data: here, or in the sweep file"""
    name: str = "seeds"
    """the study's name: its plan is kept under it, and can't be changed"""
    storage: Omittable[str] = ""
    """a database for Optuna's record, such as sqlite:///PATH; by default a file in the run store"""
    pool: OmitArgPrefixes[PoolOptions] = dataclasses.field(default_factory=PoolOptions)

    def run(self) -> None:
        """Check everything, then train and analyse in turns.

        Raises:
            ConfigError: An option or the sweep file can't be used.
        """
        from study.plans import seeds

        check_pool(self.pool)
        if self.every < 1:
            raise ConfigError(f"--every must be at least 1, not {self.every}")
        first = self._first()
        file = find_sweep(self.file)
        design = read_design(file)
        outcome = self.outcome or design.outcome or OUTCOME
        margin = design.margin_of(outcome) if self.margin is None else self.margin
        check_comparison(outcome, margin)
        if margin is None and design.margin is not None:
            raise ConfigError(
                f"{file}: the equivalence margin must be one of {outcome}, not of {design.outcome or OUTCOME}: "
                "give --margin"
            )
        if margin is None:
            raise ConfigError(
                f"{file}: an equivalence margin must be fixed before the data: give --margin, or "
                "`margin: {value: ...}` among its parameters"
            )
        block = seeds.block(read_configs(file))
        require_trainable(block)
        blocks = seeds.Blocks(
            configs=block, schedule=seeds.make_schedule(first, self.every, self.budget), outcome=outcome, margin=margin
        )
        require_pool_memory(self.pool, block)
        say_what_starts_over(block)
        self._train(blocks)

    def _train(self, blocks: "Blocks") -> None:
        from rich.console import Console

        from study.plans import seeds
        from study.plans.planfile import keep_plan
        from study.plans.record import Record

        def work(driver: "Driver") -> Awaitable[None]:
            runs_dir = driver.store.runs_dir
            keep_plan(runs_dir, self.name, blocks.describe())
            record = Record(runs_dir, self.storage, self.name, driver.wandb_mode)
            console = Console(soft_wrap=True, highlight=False)
            return seeds.train_until_decided(driver.train, driver.store, blocks, self.name, record, console)

        run_with_pool(self.pool, work)

    def _first(self) -> int:
        """Return the number of seeds before the first interim analysis.

        Raises:
            ConfigError: It could find nothing.
        """
        from study.plans import seeds

        fewest = seeds.fewest_first(self.every, self.budget) if 1 <= self.budget <= seeds.MOST_SEEDS else None
        if fewest is None:
            raise ConfigError(
                f"--budget must be between 7 and {seeds.MOST_SEEDS}, not {self.budget}: with fewer seeds no test can "
                "find a difference"
            )
        if self.first is not None and not fewest <= self.first <= self.budget:
            raise ConfigError(
                f"--first must be between {fewest} and the budget, {self.budget}, not {self.first}: with fewer seeds "
                "no interim analysis can find a difference"
            )
        return fewest if self.first is None else self.first
