"""The designs of some runs, and the answers for each."""

import pandas as pd

from reports.analysis.design import Design, Question, make_design
from reports.errors import UnreadableSourceError
from reports.sources.runs import RUN_KEY, Runs


def answer_designs(runs: Runs, question: Question) -> list[Design]:
    """Return the answers for each design.

    Args:
        runs: Of one or several designs.
        question: What is asked of them.

    Raises:
        UnreadableSourceError: An outcome isn't there, or two runs are the same.
    """
    runs = runs.with_numbers(question.outcome)
    for outcome in question.others:
        runs = runs.with_numbers(outcome, parameter="also")
    return [make_design(runs, rows, question) for rows in _designs(runs)]


def _designs(runs: Runs) -> list[pd.DataFrame]:
    """Return the runs of each design.

    Raises:
        UnreadableSourceError: Two runs of a design are the same.
    """
    if runs.hyperparameters:
        designs = [rows for _, rows in runs.table.groupby(runs.hyperparameters, dropna=False)]
    else:
        designs = [runs.table]
    if runs.paired:
        for rows in designs:
            _refuse_twins(rows)
    return designs


def _refuse_twins(rows: pd.DataFrame) -> None:
    for key, same in rows.groupby(list(RUN_KEY))["run"]:
        if len(same) > 1:
            told = ", ".join(f"{name} {value}" for name, value in zip(RUN_KEY, key, strict=True))
            raise UnreadableSourceError(
                f"{same.iloc[1]} is there twice, first as {same.iloc[0]}: {told}; remove one, or choose by another "
                "column"
            )
