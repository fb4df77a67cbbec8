"""Dose and response: how soon runs come apart, and how far, by the size of the perturbation.

A dose is the part of itself by which one weight was moved before training. The ULP control is the smallest dose.
Another precision is a dose of about half its epsilon, in every number.
"""

import dataclasses
import functools
import math
from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy import stats

from reports.analysis.design import tell
from reports.analysis.fingerprints import NORM, TENSOR_HASHES, VALUES, Fingerprints, measure
from reports.analysis.mechanism import onsets
from reports.sources.runs import HASH, Distance, Runs
from reports.statistics import Array, Interval, median_interval

EPSILON = {"bfloat16": 2.0**-8, "float32": 2.0**-23, "float64": 2.0**-52}
"""The distance from 1 to the next larger number."""
ULP_OF_WEIGHTS = {**EPSILON, "bfloat16": EPSILON["float32"]}
"""One ULP of a weight, as a part of it. Under bfloat16 weights are float32, and are rounded in products alone."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dose:
    """A dose, and the response to it.

    Attributes:
        label: Its name.
        size: Relative to the number that it changes; None for jitter.
        runs: The condition of its runs, and the hyperparameters in which they differ from others.
        precision: Of the run that is changed.
        seeds: The number of seeds.
        apart: The number of seeds in which runs come apart.
        onset: The median update at which they do.
        sd: The standard deviation of a run's outcome by this dose, with a bootstrap interval over seeds.
    """

    label: str
    size: float | None
    runs: str
    precision: str
    seeds: int
    apart: int
    onset: Interval
    sd: Interval


def measure_doses(runs: Runs, outcome: str) -> list[Dose]:
    """Return the response to each dose, by condition, design and size; empty where no run was given one.

    Args:
        runs: With doses.
        outcome: The outcome.

    Raises:
        UnreadableSourceError: A run's history is damaged.
    """

    @functools.cache
    def fingerprints(run: str) -> Fingerprints:
        return Fingerprints.of(runs.history(run, VALUES, optional=(NORM,), others=(HASH, TENSOR_HASHES)))

    if runs.doses is None:
        return []
    design = ["condition", *runs.hyperparameters]
    same = [*design, "seed"]
    finished, given = (rows[rows["status"] == "finished"] for rows in (runs.table, runs.doses))
    base, controls = (finished[rows] for rows in (finished["replicate"] == 0, finished["replicate"] > 0))
    double = base[base["precision"] == "float64"]
    coarser = base[base["precision"].isin(["bfloat16", "float32"])]
    pairs = pd.concat(
        [
            _labelled(pd.concat([controls, given])).merge(base, on=[*same, "precision"], suffixes=("", "_base")),
            coarser.assign(
                label=coarser["precision"] + ", every number",
                size=coarser["precision"].map(EPSILON).astype(float) / 2,
            ).merge(double, on=same, suffixes=("", "_base")),
        ]
    )
    differing = [name for name in runs.hyperparameters if pairs[name].nunique(dropna=False) > 1]
    found = [
        _dose(
            rows,
            ", ".join([str(rows["condition"].iloc[0]), *tell({name: rows[name].iloc[0] for name in differing})]),
            outcome,
            functools.partial(measure, runs, fingerprints),
        )
        for _, rows in pairs.groupby([*design, "precision", "label"], dropna=False)
    ]
    return sorted(found, key=lambda dose: (dose.runs, dose.size is None, dose.size or 0.0, dose.label))


def _labelled(runs: pd.DataFrame) -> pd.DataFrame:
    """Return perturbed runs with the columns `label` and `size` of their dose."""
    labels, sizes = [], []
    for kind, precision in zip(runs["perturbation"], runs["precision"], strict=True):
        if kind == "jitter":
            labels.append("jitter, after every step")
            sizes.append(math.nan)
        elif kind == "one_ulp":
            labels.append(f"one ULP in {precision}")
            sizes.append(ULP_OF_WEIGHTS.get(str(precision), math.nan))
        else:
            labels.append(f"2^{math.log2(float(kind)):.3g}")
            sizes.append(float(kind))
    return runs.assign(label=labels, size=sizes)


def _dose(rows: pd.DataFrame, runs: str, outcome: str, measure: Callable[[str, str], Distance]) -> Dose:
    """Return the response to one dose. Each row has a perturbed run and its unperturbed one."""
    first = rows.iloc[0]
    pairs = zip(rows["run_base"], rows["run"], strict=True)
    gaps = [measure(str(base), str(given)).gap for base, given in pairs]
    shortest = min(map(len, gaps))
    apart_at = onsets(np.array([gap[:shortest] for gap in gaps]))
    responses = np.asarray(rows[outcome], dtype=np.float64) - np.asarray(rows[f"{outcome}_base"], dtype=np.float64)
    return Dose(
        label=str(first["label"]),
        size=None if math.isnan(first["size"]) else float(first["size"]),
        runs=runs,
        precision=str(first["precision"]),
        seeds=len(rows),
        apart=int(np.isfinite(apart_at).sum()),
        onset=median_interval(apart_at),
        sd=_sd(responses),
    )


def _sd(responses: Array) -> Interval:
    """Return the standard deviation that a dose gives a single run, with a 95% percentile bootstrap interval."""

    def statistic(sample: Array, axis: int = -1) -> Array:
        return np.asarray(np.sqrt(np.mean(np.square(sample), axis=axis) / 2))

    estimate = float(statistic(responses))
    if len(responses) < 3:
        return Interval(estimate, math.nan, math.nan)
    found = stats.bootstrap(
        (responses,), statistic, method="percentile", n_resamples=2_000, batch=100, rng=np.random.default_rng(0)
    ).confidence_interval
    return Interval(estimate, float(found.low), float(found.high))
