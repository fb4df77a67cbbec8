"""Full runs of all arms and seeds, as a table: a row for each run."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from study.compare.arms import Arm
from study.compare.launching import Ended, Job, Launcher, Shared
from study.compare.metrics import Metric

TABLE = "outcomes.csv"
SPARING: dict[str, Any] = {"first": 8, "records": 0}
"""The probe's settings in full runs: little is recorded, since the look has compared the first steps."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """The runs that are wanted.

    Attributes:
        arms: The first is the reference.
        seeds: Each arm is run with each.
        control: The control of each arm and seed, which is a second run: "jitter", "one_ulp" or "rerun".
        shared: How all arms take the first arm's initial weights; None where they have their own.
    """

    arms: Sequence[Arm]
    seeds: Sequence[int]
    control: str
    shared: Shared | None = None

    def jobs(self, folder: Path) -> list[list[Job]]:
        """Return the runs in stages, seed by seed. If weights are shared, the first arm's runs are the first stage."""
        jobs = [self._job(arm, seed, kind, folder) for seed in self.seeds for kind in self.kinds for arm in self.arms]
        if self.shared is None:
            return [jobs]
        return [[job for job in jobs if (job.arm == self.arms[0]) == is_first] for is_first in (True, False)]

    @property
    def kinds(self) -> dict[str, dict[str, Any]]:
        """Return the probe's settings by kind of run."""
        control = {} if self.control == "rerun" else {"control": self.control, "control_seed": 1}
        return {"plain": SPARING, f"{self.control}-1": {**SPARING, **control}}

    def _job(self, arm: Arm, seed: int, kind: str, folder: Path) -> Job:
        watch = self.kinds[kind]
        if self.shared is not None and arm != self.arms[0]:
            weights = folder / self.arms[0].name / f"s{seed}-plain" / "watch"
            watch = {**watch, **self.shared.asked(weights)}
        return Job(arm=arm, seed=seed, kind=kind, watch=watch)


def train(plan: Plan, folder: Path, launcher: Launcher, metric: Metric) -> pd.DataFrame:
    """Run what has not ended, and return the outcomes of all runs.

    Args:
        plan: The runs.
        folder: The folder that the launcher has.
        launcher: Runs them.
        metric: Reads their outcomes.

    Returns:
        A table for `study report`: columns run, condition, seed, replicate, status, error, seconds, final_return and
        auc_return.

    Raises:
        ConfigError: A run that ended well hasn't written the metric.
    """
    return pd.DataFrame([_row(run, metric) for jobs in plan.jobs(folder) for run in launcher.run(jobs)])


def _row(run: Ended, metric: Metric) -> dict[str, object]:
    row: dict[str, object] = {
        "run": f"{run.job.arm.name}/{run.folder.name}",
        "condition": run.job.arm.name,
        "seed": run.job.seed,
        "replicate": 0 if run.job.kind == "plain" else 1,
        "status": "finished",
        "error": "",
        "seconds": run.seconds,
    }
    if run.exit_code:
        return {**row, "status": "failed", "error": f"exit code {run.exit_code}: {run.last_line}"}
    return {**row, **dataclasses.asdict(metric.read(run.folder))}


def seconds_a_seed(table: pd.DataFrame) -> float:
    """Return the total seconds of the runs of a seed, the mean over seeds."""
    return float(table["seconds"].sum() / table["seed"].nunique())


def write(table: pd.DataFrame, folder: Path) -> Path:
    """Write the table, and return its path."""
    path = folder / TABLE
    table.drop(columns="seconds").to_csv(path, index=False)
    return path
