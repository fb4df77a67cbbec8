"""A report's section: all that is to be said of one design."""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from reports.attribution import Attribution, attribute_all
from reports.circumstances import circumstances, doubts
from reports.divergence import Comparison, Mechanism, compare, mechanism, tensor_names
from reports.price import TRAINING, Price, price_of_exploration
from reports.sources.runs import PLACE, Runs, UnreadableSourceError, plain
from reports.statistics import Array

History = dict[str, Array]

HISTORY = ("fingerprint", "episodic_return", "global_step")
"""What is read of each run's updates."""
NORMS = ("grad_norm", "scale_grad_norm")
"""And these, where they are there."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
    """One design: the runs that agree in everything but condition, seed, precision and replicate."""

    name: str
    design: dict[str, Any]
    """env_id, and the hyperparameters in which the designs differ"""
    hyperparameters: dict[str, Any]
    """all of them"""
    provenance: list[tuple[int, dict[str, Any]]]
    """how many of its finished runs were made in what circumstances"""
    extent: dict[str, list[Any]]
    """conditions, seeds, precisions and replicates that there are"""
    statuses: dict[str, int]
    """runs by status"""
    table: pd.DataFrame
    """its runs, finished or not"""
    outcome: str
    """the primary one"""
    answer: Attribution
    others: dict[str, Attribution]
    """the answers for other outcomes, by name, their effects corrected as one family"""
    price: Price | None
    """of exploration noise, where that can be told"""
    histories: dict[str, History]
    """by finished run, where there is a ledger"""
    comparisons: list[Comparison]
    mechanism: list[Mechanism]
    warnings: list[str]

    @property
    def finished(self) -> pd.DataFrame:
        """Its finished runs."""
        return self.table[self.table["status"] == "finished"]

    @property
    def appendix(self) -> list[dict[str, Any]]:
        """A line a run, in order: what every number comes from."""
        columns = ["run", *PLACE, "status", self.outcome, *self.others]
        lines: list[dict[str, Any]] = plain(self.table.sort_values(list(PLACE))[columns].to_dict("records"))
        return lines


def make_section(runs: Runs, rows: pd.DataFrame, outcome: str, others: Sequence[str], margin: float | None) -> Section:
    """Answer for one design. **Raises**: `UnreadableSourceError`, where a run's history isn't like the others'."""
    hyperparameters = {name: plain(rows[name].iloc[0]) for name in runs.hyperparameters}
    differing = [name for name in runs.hyperparameters if runs.table[name].nunique(dropna=False) > 1]
    design = {name: hyperparameters[name] for name in dict.fromkeys(["env_id", *differing]) if name in hyperparameters}
    finished = rows[rows["status"] == "finished"]
    histories = _histories(runs, finished)
    comparisons = (
        compare(finished, lambda run: histories[run]["fingerprint"], _tensors(runs, finished, histories))
        if histories
        else []
    )
    first_gaps = mechanism(comparisons)
    answer, other_answers = attribute_all(rows, outcome, others, margin)
    return Section(
        name=", ".join(str(value) if name == "env_id" else f"{name} {value}" for name, value in design.items())
        or "all",
        design=design,
        hyperparameters=hyperparameters,
        provenance=circumstances(runs, finished),
        extent={name: sorted(plain(value) for value in rows[name].unique()) for name in PLACE},
        statuses=dict(sorted(Counter([*rows["status"], *("damaged" for _ in runs.unknown)]).items())),
        table=rows,
        outcome=outcome,
        answer=answer,
        others=other_answers,
        price=None if _is_borrowed(hyperparameters, outcome) else price_of_exploration(rows, outcome),
        histories=histories,
        comparisons=comparisons,
        mechanism=first_gaps,
        warnings=[
            *answer.warnings,
            *doubts(runs, finished),
            *_borrowed(hyperparameters, outcome),
            *_suspicions(first_gaps),
        ],
    )


def _histories(runs: Runs, finished: pd.DataFrame) -> dict[str, History]:
    """What a ledger has of a design's runs. **Raises**: `UnreadableSourceError`."""
    if runs.folder is None:
        return {}
    histories = {run: runs.history(run, *HISTORY, optional=NORMS) for run in finished["run"]}
    shapes = {run: tuple(history[name].shape for name in HISTORY) for run, history in histories.items()}
    usual = Counter(shapes.values()).most_common(1)
    for run, shape in shapes.items():
        if shape != usual[0][0] or [len(axes) for axes in shape] != [2, 1, 1]:
            raise UnreadableSourceError(
                f"{runs.folder / run / 'updates.jsonl'} is damaged, since others of its design have more or other "
                "updates: delete its folder, and train the cell again"
            )
    return histories


def _tensors(runs: Runs, finished: pd.DataFrame, histories: Mapping[str, History]) -> list[str]:
    """The name of each number in a fingerprint; none where the runs don't say how large their networks are."""
    for row in finished[:1].to_dict("records"):
        known: dict[Any, Any] = {**row, **runs.provenance.get(row["run"], {})}
        sizes = [plain(known.get(name)) for name in ("observation_size", "action_size", "hidden_size")]
        if all(isinstance(size, int) for size in sizes):
            state_dependent = bool(known.get("state_dependent_scale", False))
            observation, action, hidden = sizes
            size = histories[row["run"]]["fingerprint"].shape[1]
            return tensor_names(size, observation, action, hidden, state_dependent)
    return []


def _borrowed(hyperparameters: Mapping[str, Any], outcome: str) -> Iterator[str]:
    if _is_borrowed(hyperparameters, outcome):
        yield (
            f"{outcome} isn't these runs' own, but of those from whose rollouts they learn: "
            "--outcome eval_return is of their policies"
        )


def _is_borrowed(hyperparameters: Mapping[str, Any], outcome: str) -> bool:
    """Whether the outcome is that of whoever acts, and the runs don't."""
    return hyperparameters.get("rollouts") == "shared" and outcome in TRAINING


def _suspicions(first_gaps: Sequence[Mechanism]) -> Iterator[str]:
    for row in first_gaps:
        if row.reading == "suspicious":
            yield (
                f"suspicious: the first update's gap of {row.a} and {row.b} neither scales with precision nor stays"
            )  # fmt: skip
