"""Fair tuning: each condition by itself, with the same budget, space and sampler seeds; then the best on other seeds.

A trial is a cohort of one point over several seeds, and its value their interquartile mean. Its first half of seeds,
four at least, is trained first, and when Wilcoxon's test finds them worse than the best trial's, the rest isn't. Points
are drawn in batches, from what earlier batches have shown: the search is the same in whatever order runs are trained.
"""

import dataclasses
import itertools
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import WilcoxonPruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from scipy import stats

from study.cells import Cell, MistakeError, make_cell
from study.ledger import Json
from study.queueing.cohorts import COHORT_SIZE
from study.queueing.plans import Steps, mean_outcome, table_of_runs
from study.queueing.queue import LIVE, Claim, Queue
from study.spaces import cell_at, parse_space, suggest

BATCH = 4
"""Points that are drawn at once: as many can be tried side by side."""
FEWEST_PAIRS = 4
"""Seeds from which Wilcoxon's one-sided test can reach `P_HOPELESS`: the smallest p of k pairs is 1 / 2^k."""
P_HOPELESS = 0.1
"""Of Wilcoxon's one-sided test, below which a trial is pruned: Optuna's own choice."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Search:
    """One condition's search."""

    base: Cell
    """its condition, precision, and what isn't searched; its seed is the first"""
    space: Json
    """as its file says"""
    trials: int
    seeds: int
    sampler_seed: int
    outcome: str

    def describe(self) -> Json:
        """As a study's plan."""
        return {"kind": "tune", **dataclasses.asdict(self)}

    @classmethod
    def read(cls, plan: Json) -> "Search":
        """From a study's plan."""
        values = {name: value for name, value in plan.items() if name != "kind"}
        return cls(**{**values, "base": make_cell(values["base"])})


class Tune:
    """A condition's search as a study: each trial a point of the space."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self.search = Search.read(queue.plan)
        self._space = parse_space(self.search.space, self.search.base)
        self._is_over = False
        self._known: tuple[int, int] | None = None
        self._before_us = len(queue.trials())

    def extend(self) -> bool:
        """Draw the next batch, once the one before has ended."""
        trials = self.queue.trials(*LIVE)
        known = (len(trials), sum(trial.state.is_finished() for trial in trials))
        if not self._is_over and known != self._known:
            self._known = known
            self._is_over = not self._draw(trials)
        return self._is_over

    def _draw(self, trials: Sequence[FrozenTrial]) -> bool:
        """Enqueue what is missing of the current batch. **Returns**: whether there is a batch to wait for."""
        by_place = {trial.user_attrs[PLACE]: trial for trial in sorted(trials, key=lambda trial: -trial.number)}
        finished = {place for place, trial in by_place.items() if trial.state.is_finished()}
        # What fails again and again isn't tried again and again: only by the next command.
        failed = {
            trial.user_attrs[PLACE]
            for trial in self.queue.trials(TrialState.FAIL)
            if trial.number >= self._before_us and "error" in trial.user_attrs
        }
        start = next(place for place in range(0, self.search.trials + BATCH, BATCH) if not _batch(place) <= finished)
        earlier = [without_attributes(by_place[place]) for place in range(min(start, self.search.trials))]
        for place in range(start, min(start + BATCH, self.search.trials)):
            if place in by_place or place in failed:
                continue
            taken = [by_place[other].params for other in range(place) if other in by_place]
            point = suggest(self._space, earlier, taken, seed=self.search.sampler_seed + 1000 * place)
            if point is None:
                break
            self.queue.add(self.cells(point), point, self._space, {PLACE: place})
            by_place[place] = create_trial(state=TrialState.WAITING, params=point, distributions=self._space)
        return any((place in by_place or place in failed) and place not in finished for place in _batch(start))

    def cells(self, point: Mapping[str, Any]) -> list[Cell]:
        """The runs of a trial."""
        base = cell_at(self.search.base, point)
        return [dataclasses.replace(base, seed=base.seed + number) for number in range(self.search.seeds)]

    def study(self) -> optuna.Study:
        """The search as Optuna's own functions take it, in the order of its points."""
        study = optuna.create_study(direction=StudyDirection.MAXIMIZE, study_name=self.search.base.condition)
        trials = self.queue.trials(TrialState.COMPLETE, TrialState.PRUNED)
        study.add_trials(
            [
                without_attributes(trial, cells=list(trial.user_attrs["outcomes"]))
                for trial in sorted(trials, key=lambda trial: trial.user_attrs[PLACE])
            ]
        )
        return study

    def steps(self, claim: Claim) -> Steps:
        """Train a first stage of seeds, and the rest if there is hope; where there is no rest, nothing is pruned."""
        first = first_stage(len(claim.cells))
        yield claim.cells[:first]
        if first < len(claim.cells):
            values = self._values(claim.cells[:first])
            self.queue.report(claim, {step: value for step, value in enumerate(values) if math.isfinite(value)})
            if is_hopeless(values, len(claim.cells), self._earlier(claim)):
                return interquartile_mean(values), TrialState.PRUNED
            yield claim.cells[first:]
        values = self._values(claim.cells)
        self.queue.report(claim, {step: value for step, value in enumerate(values) if math.isfinite(value)})
        return interquartile_mean(values), TrialState.COMPLETE

    def _values(self, cells: Sequence[Cell]) -> list[float]:
        return [mean_outcome(self.queue.worker.ledger, [cell], self.search.outcome) for cell in cells]

    def _earlier(self, claim: Claim) -> list[FrozenTrial]:
        """The trials of earlier batches."""
        trials = self.queue.trials(TrialState.COMPLETE)
        own = next(trial for trial in self.queue.trials(TrialState.RUNNING) if trial._trial_id == claim.trial_id)
        start = own.user_attrs[PLACE] // BATCH * BATCH
        return [without_attributes(trial) for trial in trials if trial.user_attrs[PLACE] < start]


def _alike(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Cells as cohorts; how many of one fit into memory is seen to where it is trained."""
    groups = [list(group) for _, group in itertools.groupby(cells, key=lambda cell: cell.cohort_key)]
    return [group[start : start + COHORT_SIZE] for group in groups for start in range(0, len(group), COHORT_SIZE)]


PLACE = "place_in_search"
"""The user attribute that says which point of a search a trial is, whoever tries it, and however often."""


def _batch(start: int) -> set[int]:
    return set(range(start, start + BATCH))


def without_attributes(trial: FrozenTrial, **attributes: Any) -> FrozenTrial:
    """A trial as Optuna's samplers, pruners and figures need it, with these user attributes instead of the queue's."""
    return create_trial(
        state=trial.state,
        values=trial.values,
        params=trial.params,
        distributions=trial.distributions,
        intermediate_values=trial.intermediate_values,
        user_attrs=attributes,
    )


def first_stage(seeds: int) -> int:
    """Return how many of a trial's seeds are trained before it may be pruned: half, and enough to tell."""
    return min(seeds, max(math.ceil(seeds / 2), FEWEST_PAIRS))


def interquartile_mean(values: Sequence[float]) -> float:
    """The mean of the middle half; a run that failed is the worst of all."""
    ordered = sorted(values)
    cut = int(0.25 * len(ordered))
    middle = ordered[cut : len(ordered) - cut]
    return float(stats.trim_mean(ordered, 0.25)) if math.isfinite(middle[0]) else float("-inf")


def is_hopeless(values: Sequence[float], seeds: int, earlier: Sequence[FrozenTrial]) -> bool:
    """Whether a trial that came to these values need not be trained on.

    **Arguments**: `values`, of its first seeds, minus infinity for runs that failed; `seeds`, that it would have.
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


class HeldOut:
    """The best of each condition, and what it was before tuning, on seeds that no search has seen."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self.searches = [Tune(queue.sibling(name)) for name in queue.plan["searches"]]
        self._is_filled = False

    def extend(self) -> bool:
        """Once every search is over, enqueue its best."""
        over = [search.extend() for search in self.searches]
        if all(over) and not self._is_filled:
            wanted = [*self.cells(tuned=False), *self.cells(tuned=True)]
            self.queue.fill(list(dict.fromkeys(wanted)), _alike)
            self._is_filled = True
        return self._is_filled

    def cells(self, tuned: bool) -> list[Cell]:
        """The held-out runs, with the best hyperparameters or with the sweep's own."""
        plan = self.queue.plan
        best = {search.search.base.condition: best_trial(search).params for search in self.searches}
        return [
            dataclasses.replace(cell_at(cell, best[cell.condition] if tuned else {}), seed=plan["first_seed"] + number)
            for cell in map(make_cell, plan["block"])
            for number in range(plan["seeds"])
        ]

    def runs(self, tuned: bool) -> pd.DataFrame:
        """What came of them, as `reports.attribution` takes it."""
        ids = {cell.id for cell in self.cells(tuned)}
        runs = table_of_runs(self.queue.trials(TrialState.COMPLETE), self.searches[0].search.outcome)
        return runs[runs["run"].isin(ids).to_numpy()]

    def steps(self, claim: Claim) -> Steps:
        """Train the cohort."""
        yield claim.cells
        outcome = self.searches[0].search.outcome
        return mean_outcome(self.queue.worker.ledger, claim.cells, outcome), TrialState.COMPLETE


def best_trial(tune: Tune) -> FrozenTrial:
    """The best trial of a search, the first of equals. **Raises**: `MistakeError`, if none has finished."""
    trials = [
        trial
        for trial in tune.queue.trials(TrialState.COMPLETE)
        if trial.value is not None and np.isfinite(trial.value)
    ]
    if not trials:
        condition = tune.search.base.condition
        raise MistakeError(f"no trial of {condition} came to a value: its space is too wild, or its runs too short")
    return max(trials, key=lambda trial: (trial.value, -trial.user_attrs[PLACE]))
