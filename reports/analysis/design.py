"""The answers for one design: the runs that agree in everything but arm, seed, precision and replicate."""

import dataclasses
import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from reports.analysis import warnings
from reports.analysis.attribution import Attribution, attribute, attribute_together
from reports.analysis.blocks import Arm, Contrast, Goal
from reports.analysis.exploration_cost import TRAINING, ExplorationCost, measure_exploration_cost
from reports.analysis.fingerprints import NORM, TENSOR_HASHES, VALUES, Fingerprints, measure
from reports.analysis.mechanism import Gaps, Mechanism, measure_gaps, observe_contrast, read_contrast
from reports.analysis.pairs import Pair, judge_pairs
from reports.analysis.provenance import origins, provenance_warnings
from reports.errors import UnreadableSourceError
from reports.sources.runs import COST, HASH, RUN_KEY, Runs, plain
from reports.statistics import Array

History = dict[str, Array]

CURVES = ("episodic_return", "global_step")
HISTORY = (VALUES, *CURVES)
"""Columns that are read of each run's history."""
GRADIENTS = ("grad_norm", "scale_grad_norm")
NORMS = (NORM, *GRADIENTS)
"""Further columns, NaN where they aren't there."""
HASHES = (HASH, TENSOR_HASHES)
"""Further columns, of text and objects."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked of runs.

    Attributes:
        outcome: The primary outcome.
        others: Further outcomes, a family of their own.
        margin: The equivalence margin of the primary outcome; None for the default one.
        goal: Whether large outcomes are good.
    """

    outcome: str = "final_return"
    others: tuple[str, ...] = ()
    margin: float | None = None
    goal: Goal = "maximize"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Design:
    """One design's runs, and the answers.

    Attributes:
        name: Its environment, and the hyperparameters in which designs differ.
        values: The same, by name.
        hyperparameters: All of them.
        origins: The number of finished runs of each provenance: versions and machine.
        extent: The conditions, precisions, replicates and seeds that there are.
        statuses: The number of runs by status.
        table: Its runs, finished or not.
        question: What is asked.
        answer: For the primary outcome.
        others: For other outcomes, by name, their effects corrected as one family.
        exploration_cost: Of a training return, where it is known.
        histories: By finished run, where there is a run store.
        gaps: How far runs of each seed are apart.
        warnings: What a reader must know.
    """

    name: str
    values: dict[str, Any]
    hyperparameters: dict[str, Any]
    origins: list[tuple[int, dict[str, Any]]]
    extent: dict[str, list[Any]]
    statuses: dict[str, int]
    table: pd.DataFrame
    question: Question
    answer: Attribution
    others: dict[str, Attribution]
    exploration_cost: ExplorationCost | None
    histories: dict[str, History]
    gaps: list[Gaps]
    warnings: list[str]

    @property
    def outcome(self) -> str:
        """The primary outcome."""
        return self.question.outcome

    @property
    def core_seconds(self) -> float | None:
        """The mean processor time of a run in seconds; None where it isn't recorded."""
        if COST not in self.table:
            return None
        told = pd.to_numeric(self.finished[COST], errors="coerce").dropna()
        return float(told.mean()) if len(told) else None

    @property
    def finished(self) -> pd.DataFrame:
        """Its finished runs."""
        return self.table[self.table["status"] == "finished"]

    @functools.cached_property
    def pairs(self) -> list[Pair]:
        """All pairs of arms."""
        return judge_pairs(self.answer)

    @property
    def appendix(self) -> list[dict[str, Any]]:
        """A row for each run, in order: what every number comes from."""
        columns = ["run", *RUN_KEY, "status", self.outcome, *self.others]
        lines: list[dict[str, Any]] = plain(self.table.sort_values(list(RUN_KEY))[columns].to_dict("records"))
        return lines

    def __repr__(self) -> str:
        return f"{self.name}: {self.outcome}\n{self.answer!r}"


def make_design(runs: Runs, rows: pd.DataFrame, question: Question) -> Design:
    """Return the answers for one design.

    Args:
        runs: All runs.
        rows: Those of the design.
        question: What is asked of them.

    Raises:
        UnreadableSourceError: A run's history isn't like the others'.
    """
    hyperparameters = {name: plain(rows[name].iloc[0]) for name in runs.hyperparameters}
    differing = [name for name in runs.hyperparameters if runs.table[name].nunique(dropna=False) > 1]
    values = {name: hyperparameters[name] for name in dict.fromkeys(["env_id", *differing]) if name in hyperparameters}
    finished = rows[rows["status"] == "finished"]
    histories = _histories(runs, finished)
    gaps = _gaps(runs, finished, histories)
    settings: dict[str, Any] = {
        "goal": question.goal,
        "paired": runs.paired,
        "mechanism": functools.partial(_mechanism, runs, gaps),
    }
    answer = attribute(rows, question.outcome, runs.factors, question.margin, **settings)
    others = attribute_together(rows, dict.fromkeys(question.others), runs.factors, **settings)
    is_replayed = _is_replayed(hyperparameters, question.outcome)
    return Design(
        name=", ".join(tell(values)) or "all runs",
        values=values,
        hyperparameters=hyperparameters,
        origins=origins(runs, finished),
        extent={name: sorted(plain(value) for value in rows[name].unique()) for name in RUN_KEY},
        statuses=dict(sorted(Counter([*rows["status"], *("damaged" for _ in runs.unknown)]).items())),
        table=rows,
        question=question,
        answer=answer,
        others=others,
        exploration_cost=None
        if is_replayed or not answer.is_thread
        else measure_exploration_cost(rows, question.outcome),
        histories=histories,
        gaps=gaps,
        warnings=[
            *warnings.of_runs(rows, question.outcome, answer.blocks, runs.paired),
            *warnings.of_columns(rows, _unasked(runs, question)),
            *warnings.of_answer(answer),
            *provenance_warnings(runs, finished),
            *([_replayed(question.outcome)] if is_replayed else []),
        ],
    )


def tell(hyperparameters: Mapping[str, Any]) -> list[str]:
    """Return hyperparameters in words; the environment's name needs no other."""
    return [str(value) if name == "env_id" else f"{name} {value}" for name, value in hyperparameters.items()]


def _unasked(runs: Runs, question: Question) -> list[str]:
    """Return the columns with numbers that are no outcome of the question."""
    return [name for name in runs.outcomes if name not in (question.outcome, *question.others)]


def _histories(runs: Runs, finished: pd.DataFrame) -> dict[str, History]:
    """Return the histories of a design's finished runs; none without a run store or a report's table.

    Raises:
        UnreadableSourceError: A history is damaged.
    """
    if runs.histories:
        histories = {run: runs.histories[run] for run in finished["run"]}
    elif runs.folder is not None:
        histories = {run: runs.history(run, *HISTORY, optional=NORMS, others=HASHES) for run in finished["run"]}
    else:
        return {}
    usual = Counter(len(history[CURVES[0]]) for history in histories.values()).most_common(1)
    for run, history in histories.items():
        is_odd = any(history[name].ndim != 1 + (name == VALUES) for name in HISTORY if name in history)
        if is_odd or len(history[CURVES[0]]) != usual[0][0]:
            where = runs.folder / run / "history.jsonl" if runs.folder else f"the history of run {run}"
            raise UnreadableSourceError(
                f"{where} is damaged, since others of its design have more or other updates: delete its folder, and "
                "train the run again"
            )
    return histories


def _gaps(runs: Runs, finished: pd.DataFrame, histories: Mapping[str, History]) -> list[Gaps]:
    if not histories:
        return []
    fingerprints = functools.cache(lambda run: Fingerprints.of(histories[run]))
    return measure_gaps(finished, functools.partial(measure, runs, fingerprints))


def _mechanism(runs: Runs, gaps: list[Gaps], contrast: Contrast, arms: Sequence[Arm]) -> Mechanism:
    names = [arm.name for arm in arms]
    return observe_contrast(runs.observed, contrast, names) if runs.observed else read_contrast(gaps, contrast, names)


def _is_replayed(hyperparameters: Mapping[str, Any], outcome: str) -> bool:
    """Return whether the outcome is that of the behaviour runs, and these runs replay their data."""
    return hyperparameters.get("rollouts") == "shared" and outcome in TRAINING


def _replayed(outcome: str) -> str:
    return (
        f"{outcome} isn't these runs' own, but that of the behaviour runs from whose rollouts they learn: "
        "eval_return is of their own policies"
    )
