"""How many seeds: a study whose trials are blocks, the runs of one seed, that goes on until its verdict is decided."""

import dataclasses
import json
from collections.abc import Sequence
from urllib.parse import quote

import numpy as np
import pandas as pd
from optuna.distributions import IntDistribution
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console

from reports import statistics
from reports.analysis.attribution import attribute
from reports.documents.words import interval, number
from reports.sources.looks import LOOKS
from reports.sources.runs import plain
from reports.statistics import ALPHA
from reports.statistics.sequential import Look, Schedule, look, seeds_to_go
from reports.thread import FACTORS
from study.cells import LARGEST_SEED, Cell, MistakeError, make_cell
from study.files import write_atomically, writing
from study.ledger import Json
from study.queueing.plans import Steps, mean_outcome, table_of_runs
from study.queueing.queue import Claim, Queue

MOST_SEEDS = 1000
SEED_DISTRIBUTION = IntDistribution(0, LARGEST_SEED)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Blocks:
    """What is trained for each seed, and when results are looked at.

    **Raises**: `MistakeError`.
    """

    cells: Sequence[Cell]
    """of one seed"""
    schedule: Schedule
    outcome: str
    margin: float
    """the equivalence margin, fixed before the data"""

    def of(self, seed: int) -> list[Cell]:
        """The cells of a seed."""
        return [dataclasses.replace(cell, seed=seed) for cell in self.cells]

    def describe(self) -> Json:
        """As a study's plan."""
        return {
            "kind": "seeds",
            "block": [dataclasses.asdict(cell) for cell in self.cells],
            "looks": list(self.schedule.looks),
            "outcome": self.outcome,
            "margin": self.margin,
        }

    @classmethod
    def read(cls, plan: Json) -> "Blocks":
        """From a study's plan."""
        return cls(
            cells=[make_cell(cell) for cell in plan["block"]],
            schedule=Schedule(looks=tuple(plan["looks"])),
            outcome=plan["outcome"],
            margin=plan["margin"],
        )


def block(cells: Sequence[Cell]) -> list[Cell]:
    """The first seed's cells of a sweep, of which every other seed has the like. **Raises**: `MistakeError`."""
    designs = {tuple(v for k, v in vars(cell).items() if k in _design_fields()) for cell in cells}
    if len(designs) != 1:
        raise MistakeError(f"a study of seeds is of one design, and the sweep has {len(designs)}")
    first = min(cell.seed for cell in cells)
    own = [cell for cell in cells if cell.seed == first]
    conditions = {cell.condition for cell in own}
    if len(conditions) < 2:
        raise MistakeError(f"there is nothing to compare: the sweep has {conditions.pop()} alone")
    return own


def _design_fields() -> set[str]:
    return {field.name for field in dataclasses.fields(Cell)} - {"condition", "seed", "precision", "replicate"}


class Seeds:
    """Blocks as trials: enqueued up to the next look, until a look decides or the budget is used up."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self.console = Console(soft_wrap=True, highlight=False)
        self._blocks = Blocks.read(queue.plan)
        self._first_seed = self._blocks.cells[0].seed
        self._said = 0
        self._known = -1
        self._wanted = 0
        self._is_over = False

    def extend(self) -> bool:
        """Look, if there is something new to see; then enqueue the seeds up to the next look, unless all is decided."""
        finished = self.queue.trials(TrialState.COMPLETE)
        if len(finished) != self._known:
            self._known = len(finished)
            self._look(finished)
        return self._is_over

    def _look(self, finished: Sequence[FrozenTrial]) -> None:
        blocks = self._blocks
        runs, tried = _runs(finished, self._first_seed, blocks.outcome)
        looks, effects = look_at(runs, self._first_seed, tried, blocks)
        unsaid = looks[self._said :]
        for seen in unsaid:
            lines = list(describe(seen, effects, blocks.margin, blocks.schedule))
            self.console.print(*lines, sep="\n")
            self.queue.note(f"after {seen.seeds} seeds", lines)
        if unsaid:
            self._keep(looks, runs)
        self._said = max(self._said, len(looks))
        self._is_over = (bool(looks) and looks[-1].is_decided) or tried >= blocks.schedule.budget
        if self._is_over:
            self.console.print(ending(looks, tried))
            return
        ahead = next(seeds for seeds in blocks.schedule.looks if seeds > tried)
        for seed in range(self._first_seed + self._wanted, self._first_seed + ahead):
            self.queue.fill(blocks.of(seed), params={"seed": seed}, distributions={"seed": SEED_DISTRIBUTION})
        self._wanted = ahead

    def _keep(self, looks: Sequence[Look], runs: pd.DataFrame) -> None:
        """Write down beside the runs that they were looked at, and what was found: a report must know."""
        looked_at = runs[(runs["seed"] < self._first_seed + looks[-1].seeds).to_numpy()]
        kept = {
            "outcome": self._blocks.outcome,
            "budget": self._blocks.schedule.budget,
            "looks": plain([dataclasses.asdict(each) for each in looks]),
            "runs": sorted(looked_at["run"]),
        }
        folder = self.queue.worker.ledger.runs_dir / LOOKS
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        write_atomically(
            folder / f"{quote(self.queue.name, safe='')}.json", (json.dumps(kept, indent=2) + "\n").encode()
        )

    def steps(self, claim: Claim) -> Steps:
        """Train the block."""
        yield claim.cells
        return mean_outcome(self.queue.worker.ledger, claim.cells, self._blocks.outcome), TrialState.COMPLETE


def _runs(finished: Sequence[FrozenTrial], first_seed: int, outcome: str) -> tuple[pd.DataFrame, int]:
    """The runs of all seeds from the first to the last before which none is missing, and how many seeds these are."""
    runs = table_of_runs(finished, outcome)
    seeds = set(runs["seed"])
    tried = next(count for count in range(len(seeds) + 1) if first_seed + count not in seeds)
    return runs[(runs["seed"] < first_seed + tried).to_numpy()], tried


Effects = dict[str, tuple[str, str, statistics.Array]]
"""By factor: the levels a and b, and b minus a, `[seeds]`; NaN for a seed whose block has a hole."""


def look_at(runs: pd.DataFrame, first_seed: int, tried: int, blocks: Blocks) -> tuple[list[Look], Effects]:
    """All interim analyses of these runs, and each effect's differences."""
    if tried < blocks.schedule.looks[0]:
        return [], {}
    answer = attribute(runs, blocks.outcome, FACTORS, blocks.margin)
    effects: Effects = {}
    for effect in answer.effects:
        differences = np.full(tried, np.nan)
        seeds = np.array(answer.blocks.seeds)[effect.main.seeds]
        differences[seeds - first_seed] = effect.main.differences
        effects[effect.factor.name] = (effect.factor.reference, effect.level, differences)
    looks = look(
        {factor: differences for factor, (_, _, differences) in effects.items()},
        blocks.margin,
        blocks.schedule,
        statistics.sign_flip,
    )
    return looks, effects


def make_schedule(first: int, every: int, budget: int) -> Schedule:
    """Interim analyses after `first` seeds, then after each `every` more, and at the budget."""
    return Schedule(looks=tuple(sorted({*range(first, budget, every), budget})))


def fewest_first(every: int, budget: int) -> int | None:
    """Return the fewest seeds at which an interim analysis can find one of two effects different.

    Sign flips of n seeds have no one-sided p below 1 / 2^n; Holm's first step asks for half of alpha.

    Returns:
        None where not even the last analysis can.
    """
    for first in range(1, budget + 1):
        if 0.5**first <= make_schedule(first, every, budget).level(0, ALPHA / 2 / 2):
            return first
    return None


def describe(seen: Look, effects: Effects, margin: float, schedule: Schedule) -> list[str]:
    """What a look has shown, in lines for people."""
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


def ending(looks: Sequence[Look], tried: int) -> str:
    """A last word."""
    if looks and looks[-1].is_decided:
        return f"decided after {looks[-1].seeds} seeds, with at most 5% false decisions over all {len(looks)} looks"
    return f"the budget of {tried} seeds is used up, and what is undecided stays so"
