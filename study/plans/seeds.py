"""Adds blocks, the runs of one seed, until the study's verdict is decided."""

import asyncio
import dataclasses
import functools
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd
from optuna.distributions import IntDistribution
from optuna.trial import FrozenTrial, create_trial
from rich.console import Console

from reports import statistics
from reports.analysis.attribution import Attribution, attribute
from reports.analysis.effects import Effect
from reports.documents.words import interval, number
from reports.files import Json
from reports.sources.interim import INTERIM
from reports.sources.runs import plain
from reports.statistics import ALPHA
from reports.statistics.sequential import InterimAnalysis, Schedule, analyse_interim, seeds_to_go
from reports.thread import FACTORS
from study.config.run_config import LARGEST_SEED, RunConfig
from study.errors import ConfigError
from study.plans.outcomes import mean_outcome, table_of_runs
from study.plans.record import RUNS, Record
from study.pool import Train
from study.store.files import write_atomically, writing
from study.store.run_store import RunStore

MOST_SEEDS = 1000
SEED_DISTRIBUTION = IntDistribution(0, LARGEST_SEED)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Blocks:
    """What is trained for each seed, and when results are analysed."""

    configs: Sequence[RunConfig]
    """of one seed"""
    schedule: Schedule
    outcome: str
    margin: float
    """the equivalence margin, fixed before the data"""

    def of(self, seed: int) -> list[RunConfig]:
        """Return the runs of a seed."""
        return [dataclasses.replace(config, seed=seed) for config in self.configs]

    def describe(self) -> Json:
        """Return all this as a study's plan."""
        return {
            "kind": "seeds",
            "block": [dataclasses.asdict(config) for config in self.configs],
            "interim": list(self.schedule.analyses),
            "outcome": self.outcome,
            "margin": self.margin,
        }


def block(configs: Sequence[RunConfig]) -> list[RunConfig]:
    """Return the runs of a sweep's first seed. The other seeds have the same runs but for the seed.

    Args:
        configs: The sweep's runs.

    Raises:
        ConfigError: They are of several designs, or of one condition alone.
    """
    designs = {tuple(v for k, v in vars(config).items() if k in _design_fields()) for config in configs}
    if len(designs) != 1:
        raise ConfigError(f"a study of seeds is of one design, and the sweep has {len(designs)}")
    first = min(config.seed for config in configs)
    own = [config for config in configs if config.seed == first]
    conditions = {config.condition for config in own}
    if len(conditions) < 2:
        raise ConfigError(f"there is nothing to compare: the sweep has {conditions.pop()} alone")
    return own


def _design_fields() -> set[str]:
    return {field.name for field in dataclasses.fields(RunConfig)} - {"condition", "seed", "precision", "replicate"}


async def train_until_decided(
    train: Train, store: RunStore, blocks: Blocks, name: str, record: Record, console: Console
) -> None:
    """Train seed after seed, and stop at the first interim analysis that decides, or at the budget.

    Args:
        train: Trains those of the runs that haven't ended.
        store: The run store.
        blocks: What is trained for each seed, and when to analyse.
        name: The study's.
        record: Where seeds and findings are shown.
        console: Where findings are printed.
    """
    first_seed = blocks.configs[0].seed
    analyses: list[InterimAnalysis] = []
    tried = 0
    for before, tried in itertools.pairwise((0, *blocks.schedule.analyses)):
        configs = [config for seed in range(first_seed, first_seed + tried) for config in blocks.of(seed)]
        await train(configs)
        for seed in range(first_seed + before, first_seed + tried):
            record.add(seed, _trial(store, blocks.of(seed), blocks.outcome))
        runs = table_of_runs(store, configs, blocks.outcome)
        analyses, effects = await asyncio.to_thread(analyse, runs, first_seed, tried, blocks)
        lines = describe(analyses[-1], effects, blocks.margin, blocks.schedule)
        console.print(*lines, sep="\n")
        record.note(f"after {tried} seeds", lines)
        _keep(store.runs_dir, name, blocks, analyses, runs)
        if analyses[-1].is_decided:
            break
    console.print(ending(analyses, tried))


def _trial(store: RunStore, configs: Sequence[RunConfig], outcome: str) -> FrozenTrial:
    """Return a seed as a trial of Optuna's: its value is the mean over the runs."""
    return create_trial(
        value=mean_outcome(store, configs, outcome),
        params={"seed": configs[0].seed},
        distributions={"seed": SEED_DISTRIBUTION},
        user_attrs={RUNS: [config.id for config in configs]},
    )


def _keep(runs_dir: Path, name: str, blocks: Blocks, analyses: Sequence[InterimAnalysis], runs: pd.DataFrame) -> None:
    """Write beside the runs that they were analysed, and what was found: a report depends on it."""
    kept = {
        "outcome": blocks.outcome,
        "budget": blocks.schedule.budget,
        "interim": plain([dataclasses.asdict(each) for each in analyses]),
        "runs": sorted(runs["run"]),
    }
    folder = runs_dir / INTERIM
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / f"{quote(name, safe='')}.json", (json.dumps(kept, indent=2) + "\n").encode())


Effects = dict[str, tuple[str, str, statistics.Array]]
"""By factor: the levels a and b, and b minus a, `[seeds]`; NaN for a seed whose block is incomplete."""


def analyse(runs: pd.DataFrame, first_seed: int, tried: int, blocks: Blocks) -> tuple[list[InterimAnalysis], Effects]:
    """Return all interim analyses of these runs, and each effect's differences.

    Args:
        runs: As `table_of_runs` returns them.
        first_seed: The study's first seed.
        tried: The number of seeds that were trained.
        blocks: The study.
    """

    @functools.cache
    def after(seeds: int) -> Attribution:
        return attribute(runs[runs["seed"] < first_seed + seeds], blocks.outcome, FACTORS, blocks.margin)

    answer = after(tried)
    effects: Effects = {}
    for effect in answer.effects:
        differences = np.full(tried, np.nan)
        seeds = np.array(answer.blocks.seeds)[effect.main.seeds]
        differences[seeds - first_seed] = effect.main.differences
        effects[effect.factor.name] = (effect.factor.reference, effect.level, differences)
    analyses = analyse_interim(
        {factor: differences for factor, (_, _, differences) in effects.items()},
        blocks.margin,
        blocks.schedule,
        statistics.sign_flip,
        lambda factor, seeds, level: _agrees(after(seeds).effect(factor), level),
    )
    return analyses, effects


def _agrees(effect: Effect | None, level: float) -> bool:
    """Return whether each effect that has to be equivalent is so at a level, and runs fail about as often.

    Of a factor that must agree these are its effects at each level of the others, in each precision and each cell too.
    """
    if effect is None or effect.failures.may_differ:
        return False
    return all(line.p_equivalent is not None and line.p_equivalent <= level for line in effect.mean.deciding)


def make_schedule(first: int, every: int, budget: int) -> Schedule:
    """Return interim analyses after `first` seeds, then after each `every` more, and at the budget."""
    return Schedule(analyses=tuple(sorted({*range(first, budget, every), budget})))


def fewest_first(every: int, budget: int) -> int | None:
    """Return the fewest seeds at which an interim analysis can find one of two effects different.

    Sign flips of n seeds have no one-sided p below 1 / 2^n; Holm's first step asks for half of alpha.

    Args:
        every: Seeds from an analysis to the next.
        budget: Seeds at most.

    Returns:
        The number; None where not even the last analysis can.
    """
    for first in range(1, budget + 1):
        if 0.5**first <= make_schedule(first, every, budget).level(0, ALPHA / 2 / 2):
            return first
    return None


def describe(seen: InterimAnalysis, effects: Effects, margin: float, schedule: Schedule) -> list[str]:
    """Return lines on what an analysis has shown.

    Args:
        seen: The analysis.
        effects: By factor.
        margin: The equivalence margin.
        schedule: Of the study.
    """
    lines = [f"after {seen.seeds} seeds of at most {schedule.budget}, margin ±{number(margin)}:"]
    undecided = [factor for factor, finding in seen.findings.items() if finding.decision == "undecided"]
    for factor, finding in seen.findings.items():
        a, b, differences = effects[factor]
        line = f"  {factor} ({b} - {a}): {number(finding.estimate)} {interval(finding.interval)}, {finding.decision}"
        if finding.decision != "undecided":
            line += f" since seed {finding.decided_at}" if finding.decided_at != seen.seeds else ""
        elif seen.seeds < schedule.budget:
            known = differences[: seen.seeds][np.isfinite(differences[: seen.seeds])]
            rng = np.random.default_rng(seen.seeds)
            more, share = seeds_to_go(known, margin, schedule, seen.seeds, len(undecided) - 1, rng)
            line += f"; {more} more seeds are likely to decide it" if more and share >= 0.5 else "; likely to stay so"
            line += f" ({share:.0%} of likely futures do, within the budget)"
        lines.append(line)
    return lines


def ending(analyses: Sequence[InterimAnalysis], tried: int) -> str:
    """Return the line that a study ends with.

    Args:
        analyses: All of the study.
        tried: The number of seeds that were trained.
    """
    if analyses and analyses[-1].is_decided:
        number = len(analyses)
        return f"decided after {analyses[-1].seeds} seeds, with at most 5% false decisions over all {number} analyses"
    return f"the budget of {tried} seeds is used up, and what is undecided stays so"
