"""`study tune`."""

import dataclasses
import sys
from collections.abc import Awaitable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, Positional, arg

from study.commands.shared import check_comparison, check_pool, require_pool_memory, run_with_pool, say_what_starts_over
from study.config.run_config import require_trainable
from study.config.shipped import find_space, find_sweep
from study.config.sweepfile import OUTCOME, read_configs, read_design
from study.errors import ConfigError
from study.options import Omittable
from study.pool.options import PoolOptions

if TYPE_CHECKING:
    from study.plans.tuning import Plan, Tuned
    from study.pool.driver import Driver


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tune:
    """Compare conditions after fair tuning: each is tuned by itself, with the same budget, space and sampler seed.

    Then the best of each, and what it was before, are run on held-out seeds, and a report is written.
    """

    file: Positional[Path]
    """a sweep file of one design, or the name of a shipped one: its conditions, and what isn't searched"""
    space: Path = Path("ppo")
    """the search space, in Optuna's terms: a file, or the name of a shipped one"""
    trials: int = 40
    """points that each condition tries"""
    seeds: int = 8
    """seeds of each point"""
    held_out: int = 20
    """seeds on which the best are compared"""
    sampler_seed: int = 0
    """seed of the sampler, the same for every condition"""
    outcome: Omittable[str | None] = None
    """the outcome to maximise and compare; the sweep file's metric by default, or final_return"""
    margin: Omittable[float | None] = None
    """the equivalence margin; the sweep file's, or half the standard deviation between seeds"""
    name: str = "tune"
    """the study's name: its plan is kept under it, and can't be changed"""
    storage: Omittable[str] = ""
    """a database for Optuna's record, such as sqlite:///PATH; by default a file in the run store"""
    output: Annotated[Omittable[Path | None], arg(aliases=["-o"])] = None
    """where the report goes; by default report/NAME in the run store"""
    html: FlagCreatePairsOff[bool] = False
    """write tuning.html too, one file with everything in it"""
    pool: OmitArgPrefixes[PoolOptions] = dataclasses.field(default_factory=PoolOptions)

    def run(self) -> None:
        """Check everything, then search, train on held-out seeds, and write the report.

        Raises:
            ConfigError: An option or a file can't be used.
        """
        from reports.documents import tuning as report
        from reports.statistics import ALPHA, fewest_for
        from study.config import spaces
        from study.plans import seeds, tuning

        check_pool(self.pool)
        for name, fewest in (("trials", 1), ("seeds", 2), ("held_out", 2)):
            if getattr(self, name) < fewest:
                option = name.replace("_", "-")
                raise ConfigError(f"--{option} must be at least {fewest}, not {getattr(self, name)}")
        file = find_sweep(self.file)
        design = read_design(file)
        if design.goal == "minimize":
            raise ConfigError(f"{file}: a search looks for what makes {design.outcome} large: negate the outcome")
        outcome = self.outcome or design.outcome or OUTCOME
        margin = design.margin_of(outcome) if self.margin is None else self.margin
        check_comparison(outcome, margin)
        if self.seeds <= tuning.FEWEST_PAIRS:
            print(
                f"no trial is pruned: that takes more than {tuning.FEWEST_PAIRS} seeds a trial, and here are "
                f"{self.seeds}",
                file=sys.stderr,
            )
        if self.held_out < fewest_for(ALPHA):
            print(
                f"of {self.held_out} held-out seeds no test can find a difference: that takes {fewest_for(ALPHA)}",
                file=sys.stderr,
            )
        block = seeds.block(read_configs(file))
        require_trainable(block)
        bases = {config.condition: config for config in reversed(block) if config.replicate == 0}
        _, space = spaces.read_space(find_space(self.space), block[0])
        require_pool_memory(self.pool, block)
        say_what_starts_over(block)
        searches = [
            tuning.Search(
                base=base,
                space=space,
                trials=self.trials,
                seeds=self.seeds,
                sampler_seed=self.sampler_seed,
                outcome=outcome,
            )
            for _, base in sorted(bases.items())
        ]
        first = block[0].seed + self.seeds
        plan = tuning.Plan(searches=searches, block=block, held_out=range(first, first + self.held_out))
        found = self._tune(plan)
        output = self.output or self.pool.runs_dir / "report" / self.name
        print(report.write(output, found.searches, found.untuned, found.tuned, outcome, margin, with_html=self.html))

    def _tune(self, plan: "Plan") -> "Tuned":
        from study.plans.planfile import keep_plan
        from study.plans.record import Record
        from study.plans.tuning import tune

        def work(driver: "Driver") -> "Awaitable[Tuned]":
            runs_dir, mode = driver.store.runs_dir, driver.wandb_mode
            keep_plan(runs_dir, self.name, plan.describe())
            return tune(
                driver.train, driver.store, plan, lambda of: Record(runs_dir, self.storage, f"{self.name}/{of}", mode)
            )

        return run_with_pool(self.pool, work)
