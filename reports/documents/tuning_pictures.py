"""The figures of a tuning report: Optuna's own of the searches, in the reports' style, and the held-out seeds."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.style
import numpy as np
import optuna
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial
from optuna.visualization import matplotlib as plots

from reports.analysis.attribution import Attribution
from reports.analysis.blocks import mean_of_known
from reports.documents import figures
from reports.documents.figures import RC

FEWEST_LINES = 2
"""The fewest hyperparameters that parallel coordinates can join."""


def draw(
    searches: Mapping[str, Sequence[FrozenTrial]], held_out: Mapping[str, Attribution], outcome: str, output: Path
) -> dict[str, str]:
    """Draw the figures of a tuning report, and return their descriptions by file name.

    Args:
        searches: The trials that came to a value, by condition.
        held_out: The answers for the runs on held-out seeds, by "untuned" and "tuned".
        outcome: The outcome.
        output: The directory to write to.
    """
    found: dict[str, str] = {}
    for name, answer in held_out.items():
        strips = {arm.name: mean_of_known(answer.blocks.outcomes[:, i]) for i, arm in enumerate(answer.arms)}
        if any(np.isfinite(values).any() for values in strips.values()):
            figures.outcome_strips(strips, f"{outcome}, {name}", output / f"held-out-{name}")
            found[f"held-out-{name}.png"] = f"Held-out seeds, {name}: a dot is a seed, and lines join its conditions"
    for condition, trials in searches.items():
        for name, plot, what in (
            ("history", plots.plot_optimization_history, "Values in the order of trials"),
            ("parallel", plots.plot_parallel_coordinate, "A line is a trial, through its hyperparameters"),
            ("slice", plots.plot_slice, "Values over each hyperparameter"),
        ):
            if name == "parallel" and len(trials[0].params) < FEWEST_LINES:
                continue
            _draw(plot, trials, condition, output / f"{name}-{condition}")
            found[f"{name}-{condition}.png"] = f"{what}, {condition}"
    return found


def _draw(plot: Callable[[optuna.Study], Any], trials: Sequence[FrozenTrial], condition: str, path: Path) -> None:
    """Draw one of Optuna's plots, as PNG and SVG."""
    study = optuna.create_study(direction="maximize")
    study.add_trials(trials)
    with mpl.style.context(RC, after_reset=True), warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        figure = _figure(plot(study))
        for axis in figure.axes:
            _restyle(axis)
        figure.suptitle(condition)
        figure.savefig(path.with_suffix(".png"), bbox_inches="tight", metadata={"Software": None})
        figure.savefig(path.with_suffix(".svg"), bbox_inches="tight", metadata={"Date": None})
        mpl.pyplot.close(figure)


def _restyle(axis: Axes) -> None:
    """Replace the style that Optuna's plots set by the reports'."""
    axis.set_title("")
    axis.set_facecolor("none")
    axis.grid(color=mpl.rcParams["grid.color"], linewidth=mpl.rcParams["grid.linewidth"])
    axis.tick_params(which="both", labelsize="small", colors="black")
    axis.tick_params(axis="x", which="both", labelrotation=90)  # or those of a short logarithmic axis overlap
    axis.spines[["left", "bottom"]].set_visible(True)
    axis.spines[["left", "bottom"]].set_color("black")
    for label in (axis.xaxis.label, axis.yaxis.label):
        label.set(color="black", fontsize="medium")


def _figure(drawn: Any) -> Figure:
    axes = np.atleast_1d(np.asarray(drawn, dtype=object)).flat[0]
    assert isinstance(axes, Axes)
    figure = axes.figure
    assert isinstance(figure, Figure)
    return figure
