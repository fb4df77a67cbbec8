"""The report's pictures. The same colour is the same condition in all of them, and the same bytes the same runs."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.statistics import Array, Interval, mean_interval

STYLE: dict[Any, Any] = {
    "axes.grid": True, "axes.spines.right": False, "axes.spines.top": False, "axes.titlesize": "medium",
    "figure.constrained_layout.w_pad": 0.08, "font.size": 9, "grid.alpha": 0.25, "legend.frameon": False,
    "savefig.dpi": 150, "svg.fonttype": "none", "svg.hashsalt": "reports",
}  # fmt: skip

# Okabe and Ito's colours, which the colour-blind tell apart: blues for the variance, reds for the std, and in each the
# darker for MultivariateNormal. In grey the line style says the same.
COLOURS = {"mvn_std": "#0072B2", "normal_sqrt": "#56B4E9", "mvn_var": "#D55E00", "normal_std": "#E69F00"}
LINES = {"mvn_std": "-", "normal_sqrt": "--", "mvn_var": "-.", "normal_std": ":"}
OTHER_COLOURS = ("#009E73", "#CC79A7", "#000000", "#F0E442")

KINDS = {
    "parameterization": ("#D55E00", "-", "o"),
    "implementation": ("#0072B2", "--", "s"),
    "both": ("#CC79A7", "-.", "D"),
    "one ulp": ("#000000", ":", "^"),
}
"""Colour, line and marker of what sets runs apart."""

MARKERS: dict[str, Any] = {"markevery": 0.15, "markersize": 4}

Curve = tuple[Array, Array]
"""Points on the x axis, `[points]`, and values, `[seeds, points]`."""


def divergence(curves: Mapping[str, Mapping[str, Array]], path: Path) -> None:
    """Relative parameter gaps over updates: a panel a precision, a line a comparison.

    **Arguments**: `curves`, by precision and comparison, `[seeds, updates]`.
    """
    with _saved(path, columns=len(curves)) as panels:
        for panel, (precision, comparisons) in zip(panels, curves.items(), strict=True):
            for name, gap in comparisons.items():
                colour, line, marker = KINDS[name.partition(":")[0]]
                # A gap of zero can't be drawn on a logarithmic axis: it is left out, not raised.
                shown = np.where(gap > 0, gap, np.nan)
                updates = np.arange(1, gap.shape[1] + 1)
                middle, low, high = _quantiles(shown)
                panel.plot(updates, middle, line, color=colour, label=_plain(name), marker=marker, **MARKERS)
                panel.fill_between(updates, low, high, color=colour, alpha=0.15, linewidth=0)
            panel.set(title=_plain(precision), xscale="log", yscale="log", xlabel="update")
        panels[0].set_ylabel("relative parameter gap")
        panels[0].legend(loc="lower right")
        _share_y(panels)


def learning_curves(curves: Mapping[str, Curve], ylabel: str, path: Path) -> None:
    """Mean over seeds with its 95% interval, a line a condition."""
    with _saved(path) as (panel,):
        for index, (condition, (steps, values)) in enumerate(curves.items()):
            mean, low, high = mean_interval(values)
            colour = _colour(condition, index)
            panel.plot(steps, mean, LINES.get(condition, "-"), color=colour, label=_plain(condition))
            panel.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)
        panel.set(xlabel="environment steps", ylabel=_plain(ylabel))
        panel.legend(loc="lower right")


def outcome_strips(outcomes: Mapping[str, Array], seeds: Sequence[int], ylabel: str, path: Path) -> None:
    """Each seed's outcome by condition, joined across conditions, and the mean with its 95% interval.

    **Arguments**: `outcomes`, by condition, `[seeds]`, each the mean over precisions and replicates.
    """
    with _saved(path) as (panel,):
        places = np.arange(len(outcomes))
        for values in np.array(list(outcomes.values())).T:
            panel.plot(places, values, color="0.8", linewidth=0.7, zorder=1)
        for place, (condition, values) in enumerate(outcomes.items()):
            mean, low, high = mean_interval(values[:, None])
            colour = _colour(condition, place)
            panel.scatter(np.full(len(seeds), place), values, s=14, color=colour, alpha=0.8, zorder=2)
            half = [mean - low, high - mean]
            panel.errorbar(place + 0.15, mean, yerr=half, fmt="D", color=colour, markersize=5, capsize=3, zorder=3)
        panel.set(ylabel=_plain(ylabel), xlim=(-0.5, len(outcomes) - 0.5))
        panel.set_xticks(places, [_plain(condition) for condition in outcomes])


def effect_sizes(effects: Sequence[tuple[str, str, Interval]], margin: float, path: Path) -> None:
    """Standardised effects with their intervals, a line each, and the default margin as a band.

    **Arguments**: `effects`, label, factor and size.
    """
    with _saved(path) as (panel,):
        panel.axvspan(-margin, margin, color="0.9", zorder=0)
        panel.axvline(0, color="0.6", linewidth=0.8, zorder=1)
        for place, (_, factor, size) in enumerate(effects):
            colour, _, marker = KINDS[factor]
            ends = [[size.estimate - size.low], [size.high - size.estimate]]
            panel.errorbar(size.estimate, -place, xerr=np.abs(ends), fmt=marker, color=colour, markersize=5, capsize=3)
        panel.set_yticks([-place for place in range(len(effects))], [_plain(label) for label, _, _ in effects])
        panel.set(xlabel="effect, in deviations between seeds", ylim=(0.5 - len(effects), 0.5))


def quantiles(pairs: Sequence[tuple[str, Array, Array]], path: Path) -> None:
    """Quantiles of what sets equal conditions apart against those of what one ulp does.

    **Arguments**: `pairs`, name and both kinds of differences, sorted.
    """
    with _saved(path) as (panel,):
        styles = itertools.cycle(((COLOURS["mvn_std"], "o"), (COLOURS["mvn_var"], "s"), ("#000000", "^")))
        for (name, scatter, control), (colour, marker) in zip(pairs, styles, strict=False):
            points = (np.arange(min(len(scatter), len(control))) + 0.5) / min(len(scatter), len(control))
            x, y = np.quantile(control, points), np.quantile(scatter, points)
            panel.plot(x, y, marker, color=colour, markersize=4, fillstyle="none", label=_plain(name))
        low, high = panel.get_xlim()
        panel.plot([low, high], [low, high], "-", color="0.6", linewidth=0.8)
        panel.set(xlabel="quantiles of one ulp's differences", ylabel="quantiles of the pair's differences")
        panel.legend(loc="upper left")


def power_curves(curves: Mapping[str, Array], seeds: Sequence[int], power: float, path: Path) -> None:
    """The chance of each conclusion by the number of seeds. **Arguments**: `curves`, by conclusion, `[seeds]`."""
    with _saved(path) as (panel,):
        styles = itertools.cycle(zip(("#D55E00", "#0072B2", "#009E73", "#000000"), ("-", "--", "-.", ":"), strict=True))
        for (name, chance), (colour, line) in zip(curves.items(), styles, strict=False):
            panel.plot(seeds, chance, line, color=colour, label=_plain(name))
        panel.axhline(power, color="0.6", linewidth=0.8)
        panel.set(xlabel="seeds", ylabel="chance of the conclusion", xscale="log", ylim=(0, 1.02))
        panel.legend(loc="lower right", fontsize="small")


@contextmanager
def _saved(path: Path, columns: int = 1) -> Iterator[list[Axes]]:
    """Panels to draw on, saved as `path.svg` and `path.png`."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.2 * max(columns, 1.4), 3.2), layout="constrained")
        panels = figure.subplots(1, columns, squeeze=False)[0]
        yield list(panels)
        figure.savefig(path.with_suffix(".svg"), metadata={"Date": None, "Creator": None})
        figure.set_layout_engine("none")  # it stays as it has been laid out, which takes as long as drawing it
        figure.savefig(path.with_suffix(".png"), metadata={"Software": None})


def _plain(name: str) -> str:
    """A name, which is no formula, whatever dollars are in it."""
    return name.replace("$", r"\$")


def _share_y(panels: Sequence[Axes]) -> None:
    limits = [panel.get_ylim() for panel in panels]
    for panel in panels:
        panel.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))


def _quantiles(values: Array) -> tuple[Array, Array, Array]:
    """Median and quartiles over seeds, of those that aren't NaN; NaN where all are."""
    columns = [column[~np.isnan(column)] for column in values.T]
    quartiles = [np.quantile(column, (0.5, 0.25, 0.75)) if len(column) else np.full(3, np.nan) for column in columns]
    middle, low, high = np.array(quartiles).T
    return middle, low, high


def _colour(condition: str, index: int) -> str:
    return COLOURS.get(condition, OTHER_COLOURS[index % len(OTHER_COLOURS)])
