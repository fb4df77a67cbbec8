"""Fair tuning: each condition by itself, with the same budget, space and sampler seeds; then the best on other seeds.

A trial is a cohort of one point over several seeds, and its value their interquartile mean. Its first half of seeds,
four at least, is trained first. The rest isn't trained when Wilcoxon's test finds those worse than the best trial's.
Points are drawn in batches, from what earlier batches have shown: the search is the same in whatever order runs are
trained.
"""

import asyncio
import dataclasses
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
import pandas as pd
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import WilcoxonPruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from scipy import stats

from reports.files import Json
from study.config.run_config import RunConfig
from study.config.spaces import config_at, parse_space, suggest
from study.errors import ConfigError
from study.plans.outcomes import mean_outcome, table_of_runs
from study.plans.record import RUNS, Record
from study.pool import Train
from study.store.run_store import RunStore

Point = dict[str, Any]
"""Hyperparameters by name."""

BATCH = 4
"""Points that are drawn at once: as many can be tried side by side."""
FEWEST_PAIRS = 4
"""Seeds from which Wilcoxon's one-sided test can reach `P_HOPELESS`: the smallest p of k pairs is 1 / 2^k."""
P_HOPELESS = 0.1
"""Of Wilcoxon's one-sided test, below which a trial is pruned: Optuna's own choice."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Search:
    """One condition's search."""

    base: RunConfig
    """its condition, precision, and what isn't searched; its seed is the first"""
    space: Json
    """as its file says"""
    trials: int
    seeds: int
    sampler_seed: int
    outcome: str

    def configs(self, point: Mapping[str, Any]) -> list[RunConfig]:
        """Return the runs of a trial."""
        base = config_at(self.base, point)
        return [dataclasses.replace(base, seed=base.seed + number) for number in range(self.seeds)]


class Searching:
    """A condition's search, under way.

    Args:
        train: Trains those of the runs that haven't ended.
        store: The run store.
        what: The search.
        record: Where its trials are shown.
    """

    def __init__(self, train: Train, store: RunStore, what: Search, record: Record) -> None:
        self._train = train
        self._store = store
        self._what = what
        self._space = parse_space(what.space, what.base)
        self._record = record
        self.trials: list[FrozenTrial] = []
        """in the order of their points"""

    async def run(self) -> list[FrozenTrial]:
        """Try batch after batch, each drawn from what the earlier ones have shown, and return all trials."""
        for start in range(0, self._what.trials, BATCH):
            points = self._draw(range(start, min(start + BATCH, self._what.trials)))
            earlier = list(self.trials)
            batch = await asyncio.gather(*(self._try(point, earlier) for point in points))
            for index, trial in enumerate(batch, start):
                self._record.add(index, trial)
            self.trials += batch
            if len(points) < BATCH:
                break
        return self.trials

    def study(self) -> optuna.Study:
        """Return the search as Optuna's own functions take it."""
        study = optuna.create_study(direction=StudyDirection.MAXIMIZE, study_name=self._what.base.condition)
        study.add_trials(self.trials)
        return study

    def best(self) -> FrozenTrial:
        """Return the best trial, the first of equals.

        Raises:
            ConfigError: No trial has a finite value.
        """
        complete = [trial for trial in self.trials if trial.state == TrialState.COMPLETE]
        finite = [trial for trial in complete if trial.value is not None and math.isfinite(trial.value)]
        if not finite:
            raise ConfigError(
                f"no trial of {self._what.base.condition} came to a value: its space is too wild, or its runs too short"
            )
        return max(finite, key=lambda trial: trial.value or -math.inf)

    def _draw(self, indices: range) -> list[Point]:
        points: list[Point] = []
        for index in indices:
            taken = [*(trial.params for trial in self.trials), *points]
            point = suggest(self._space, self.trials, taken, seed=self._what.sampler_seed + 1000 * index)
            if point is None:
                break
            points.append(point)
        return points

    async def _try(self, point: Point, earlier: Sequence[FrozenTrial]) -> FrozenTrial:
        """Train a first stage of seeds, and the rest unless the trial is pruned."""
        configs = self._what.configs(point)
        stage = configs[: first_stage(len(configs))]
        await self._train(stage)
        complete = [trial for trial in earlier if trial.state == TrialState.COMPLETE]
        if len(stage) < len(configs) and is_hopeless(self._values(stage), len(configs), complete):
            return self._trial(point, stage, TrialState.PRUNED)
        await self._train(configs)
        return self._trial(point, configs, TrialState.COMPLETE)

    def _values(self, configs: Sequence[RunConfig]) -> list[float]:
        return [mean_outcome(self._store, [config], self._what.outcome) for config in configs]

    def _trial(self, point: Point, configs: Sequence[RunConfig], state: TrialState) -> FrozenTrial:
        values = self._values(configs)
        return create_trial(
            state=state,
            value=interquartile_mean(values),
            params=point,
            distributions=self._space,
            intermediate_values={seed: value for seed, value in enumerate(values) if math.isfinite(value)},
            user_attrs={RUNS: [config.id for config in configs]},
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """Fair tuning: a search for each condition, and a comparison on seeds that none has seen."""

    searches: Sequence[Search]
    block: Sequence[RunConfig]
    """the runs of one seed"""
    held_out: range
    """seeds on which the best are compared"""

    def describe(self) -> Json:
        """Return what is fixed before the first run."""
        return {
            "kind": "tune",
            "searches": [dataclasses.asdict(search) for search in self.searches],
            "block": [dataclasses.asdict(config) for config in self.block],
            "held_out": list(self.held_out),
        }

    def held_out_configs(self, points: Mapping[str, Point]) -> list[RunConfig]:
        """Return the runs on held-out seeds, each condition at its point of the space, or as it was."""
        return [
            dataclasses.replace(config_at(config, points.get(config.condition, {})), seed=seed)
            for config in self.block
            for seed in self.held_out
        ]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tuned:
    """What a fair tuning has found."""

    searches: dict[str, optuna.Study]
    """by condition"""
    untuned: pd.DataFrame
    """runs on held-out seeds, as `reports.attribution` takes them"""
    tuned: pd.DataFrame


async def tune(train: Train, store: RunStore, plan: Plan, record: Callable[[str], Record]) -> Tuned:
    """Search for each condition at once; then compare the best, and what was before, on held-out seeds.

    Args:
        train: Trains those of the runs that haven't ended.
        store: The run store.
        plan: What to do.
        record: Returns where a condition's trials are shown.

    Returns:
        The searches, and the runs on held-out seeds.

    Raises:
        ConfigError: No trial of a condition has a finite value.
    """
    searching = {
        what.base.condition: Searching(train, store, what, record(what.base.condition)) for what in plan.searches
    }
    await asyncio.gather(*(search.run() for search in searching.values()))
    best: dict[str, Point] = {condition: search.best().params for condition, search in searching.items()}
    untuned, tuned = plan.held_out_configs({}), plan.held_out_configs(best)
    await train([*untuned, *tuned])
    outcome = plan.searches[0].outcome
    return Tuned(
        searches={condition: search.study() for condition, search in searching.items()},
        untuned=table_of_runs(store, untuned, outcome),
        tuned=table_of_runs(store, tuned, outcome),
    )


def first_stage(seeds: int) -> int:
    """Return how many of a trial's seeds are trained before it may be pruned: half, and enough to tell."""
    return min(seeds, max(math.ceil(seeds / 2), FEWEST_PAIRS))


def interquartile_mean(values: Sequence[float]) -> float:
    """Return the mean of the middle half. A run that failed is the worst of all."""
    ordered = sorted(values)
    cut = int(0.25 * len(ordered))
    middle = ordered[cut : len(ordered) - cut]
    return float(stats.trim_mean(ordered, 0.25)) if math.isfinite(middle[0]) else float("-inf")


def is_hopeless(values: Sequence[float], seeds: int, earlier: Sequence[FrozenTrial]) -> bool:
    """Return whether the rest of a trial's seeds need not be trained.

    Args:
        values: Of its first seeds, minus infinity for runs that failed.
        seeds: How many the trial would have.
        earlier: The complete trials before it.
    """
    if sum(not math.isfinite(value) for value in values) > int(0.25 * seeds):
        return True
    study = optuna.create_study(direction=StudyDirection.MAXIMIZE)
    study.add_trials([trial for trial in earlier if len(trial.intermediate_values) == seeds])
    seen = {step: value for step, value in enumerate(values) if math.isfinite(value)}
    trial = create_trial(state=TrialState.RUNNING, intermediate_values=seen)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return WilcoxonPruner(p_threshold=P_HOPELESS).prune(study, trial)
