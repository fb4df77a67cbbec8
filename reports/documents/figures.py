"""The report's figures. The same colour is the same effect in all of them, and the same runs give the same bytes."""

import dataclasses
import itertools
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from reports.analysis.blocks import Flags
from reports.analysis.mechanism import EPSILON_BITS
from reports.documents.words import one_line
from reports.statistics import Array, mean_interval

RC: dict[Any, Any] = {
    "axes.grid": True, "axes.spines.right": False, "axes.spines.top": False, "axes.titlesize": "medium",
    "figure.constrained_layout.w_pad": 0.08, "font.size": 9, "grid.alpha": 0.25, "legend.frameon": False,
    "savefig.dpi": 150, "svg.fonttype": "none", "svg.hashsalt": "reports",
}  # fmt: skip

# Okabe and Ito's colours, which the colour-blind tell apart; in grey, lines and markers do.
STYLES = (
    ("#D55E00", "-", "o"),
    ("#0072B2", "--", "s"),
    ("#009E73", "-.", "D"),
    ("#CC79A7", (0, (5, 1)), "v"),
    ("#E69F00", (0, (3, 1, 1, 1)), "P"),
    ("#56B4E9", (0, (1, 1)), "X"),
)
"""Colour, line and marker of the first effect or arm, the second, and so on."""
CONTROL = ("#000000", ":", "^")
"""Colour, line and marker of the ULP control."""

MOST_JOINED = 40
"""Seeds up to which a line joins the outcomes of each: more lines can't be told apart."""

MARKERS: dict[str, Any] = {"markevery": 0.15, "markersize": 4}

Curve = tuple[Array, Array]
"""Points on the x axis, `[points]`, and values, `[seeds, points]`."""
Style = tuple[str, Any, str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """An effect, or the ULP control, as the first page shows it.

    Attributes:
        label: Its name, and what is subtracted from what.
        differences: Of each seed, `[seeds]`; empty where runs are unpaired.
        estimate: Their mean.
        deciding: The interval of the test that decides.
        ninety: The 90% interval, for equivalence.
        curve: Environment steps and paired differences of learning curves, `[points]` and `[seeds, points]`.
        style: Colour, line and marker.
    """

    label: str
    differences: Array
    estimate: float
    deciding: tuple[float, float]
    ninety: tuple[float, float]
    curve: Curve | None
    style: Style


def first_page(rows: Sequence[Row], margin: float | None, outcome: str, path: Path) -> None:
    """Draw each seed's paired difference, the intervals that decide, and the differences over training.

    The intervals have a panel of their own: those of many seeds are far narrower than what the seeds say.

    Args:
        rows: The effects, and the ULP control last.
        margin: The equivalence margin, drawn as a band.
        outcome: The outcome's name.
        path: The file, without a suffix.
    """
    paired, curves = any(len(row.differences) for row in rows), [row for row in rows if row.curve is not None]
    widths = [2.4] * paired + [2.4] + [4.4] * bool(curves)
    size = (2.2 + sum(widths), 1.4 + 0.62 * max(3, len(rows)))
    with _saved(path, columns=len(widths), size=size, widths=widths) as panels:
        if paired:
            _paired_differences(panels[0], rows, outcome)
        _intervals(panels[int(paired)], rows, margin, outcome)
        for number, panel in enumerate(panels[: paired + 1]):
            labels = ["\n".join(_wrapped(row.label)) for row in rows] if number == 0 else [""] * len(rows)
            panel.set_yticks([-position for position in range(len(rows))], labels)
            panel.set_ylim(-len(rows) + 0.5, 0.5)
        if curves:
            _difference_curves(panels[-1], curves)


def _paired_differences(panel: Axes, rows: Sequence[Row], outcome: str) -> None:
    panel.axvline(0, color="0.5", linewidth=0.8, zorder=1)
    for position, row in enumerate(rows):
        jitter = np.random.default_rng(position).uniform(-0.2, 0.2, len(row.differences))
        panel.scatter(row.differences, jitter - position, s=12, color=row.style[0], alpha=0.4, linewidth=0, zorder=2)
    panel.set(xlabel=f"{_plain(outcome)}: each seed's difference")


def _intervals(panel: Axes, rows: Sequence[Row], margin: float | None, outcome: str) -> None:
    if margin is not None:
        panel.axvspan(-margin, margin, color="0.9", zorder=0)
    panel.axvline(0, color="0.5", linewidth=0.8, zorder=1)
    for position, row in enumerate(rows):
        colour, _, marker = row.style
        for ends, width in ((row.deciding, 1.2), (row.ninety, 3.6)):
            if np.isfinite(ends).all():
                panel.plot(ends, [-position] * 2, color=colour, linewidth=width, zorder=3)
        panel.plot(row.estimate, -position, marker, color=colour, markersize=6, zorder=4)
    panel.set(xlabel=f"{_plain(outcome)}: mean difference")


def _difference_curves(panel: Axes, rows: Sequence[Row]) -> None:
    for row in rows:
        assert row.curve is not None
        steps, values = row.curve
        mean, low, high = mean_interval(values)
        colour, line, _ = row.style
        panel.plot(steps, mean, linestyle=line, color=colour, label=_plain(row.label.replace("\n", ": ")))
        panel.fill_between(steps, low, high, color=colour, alpha=0.13, linewidth=0)
    panel.axhline(0, color="0.5", linewidth=0.8)
    panel.set(ylabel="paired difference in return")
    _label_steps(panel)
    panel.legend(loc="best", fontsize="small")


@dataclasses.dataclass(frozen=True, kw_only=True)
class GapLine:
    """The gaps of one comparison.

    Attributes:
        label: Its name.
        gaps: By precision, `[seeds, updates]`: each has a panel.
        bits: log2 of their ratio, `[updates]`.
        style: Colour, line and marker.
    """

    label: str
    gaps: Mapping[str, Array]
    bits: Array
    style: Style


def divergence(lines: Sequence[GapLine], path: Path) -> None:
    """Draw the gaps of a seed's runs after each update, and the ratio of those in float32 and float64.

    Args:
        lines: The comparisons.
        path: The file, without a suffix.
    """
    precisions = sorted({name for line in lines for name in line.gaps})
    ratio = any(len(line.bits) for line in lines)
    with _saved(path, columns=len(precisions) + ratio) as panels:
        for panel, precision in zip(panels, precisions, strict=False):
            for line in lines:
                if precision in line.gaps:
                    _gap_curve(panel, line.gaps[precision], line)
            panel.set(title=_plain(precision), xscale="log", yscale="log", xlabel="update")
        panels[0].set_ylabel("relative gap of parameters")
        panels[0].legend(loc="lower right", fontsize="small")
        _share_y(panels[: len(precisions)])
        if ratio:
            _gap_ratios(panels[-1], lines)


def _gap_curve(panel: Axes, gap: Array, line: GapLine) -> None:
    # A gap of zero can't be drawn on a logarithmic axis: it is left out, not raised.
    shown = np.where(gap > 0, gap, np.nan)
    updates = np.arange(1, gap.shape[1] + 1)
    middle, low, high = _quantiles(shown)
    colour, style, marker = line.style
    panel.plot(updates, middle, linestyle=style, color=colour, label=_plain(line.label), marker=marker, **MARKERS)
    panel.fill_between(updates, low, high, color=colour, alpha=0.15, linewidth=0)


def _gap_ratios(panel: Axes, lines: Sequence[GapLine]) -> None:
    panel.axhline(EPSILON_BITS, color="0.6", linewidth=0.8)
    for line in lines:
        colour, style, marker = line.style
        panel.plot(
            np.arange(1, len(line.bits) + 1), line.bits, linestyle=style, marker=marker, color=colour, markersize=4
        )
    panel.set(
        title="float32 over float64, until float32 is apart",
        xlabel="update",
        ylabel="log2 of the gaps' ratio",
        ylim=(-3, 35),
        xlim=(0.5, max(len(line.bits) for line in lines) + 0.5),
    )
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


@dataclasses.dataclass(frozen=True, kw_only=True)
class DoseCurve:
    """The responses of an arm's runs to doses.

    Attributes:
        label: The arm.
        sizes: Of the doses, `[doses]`.
        onsets: Median update and its interval, `[doses, 3]`.
        sds: Standard deviation and its interval, `[doses, 3]`.
        is_precision: Whether a dose is another precision, or one ULP of it, `[doses]`.
    """

    label: str
    sizes: Array
    onsets: Array
    sds: Array
    is_precision: Flags


def doses(curves: Sequence[DoseCurve], outcome: str, path: Path) -> None:
    """Draw the update at which runs come apart, above, and the spread of their outcomes, below, by the dose.

    Args:
        curves: The arms.
        outcome: The outcome's name.
        path: The file, without a suffix.
    """
    with _saved(path, size=(6.4, 5.0), rows=2) as panels:
        panels[0].sharex(panels[1])
        for curve, (colour, line, marker) in zip(curves, itertools.cycle(STYLES), strict=False):
            exponents = np.log2(curve.sizes)
            for panel, values in zip(panels, (curve.onsets, curve.sds), strict=True):
                middle = values[:, 0]
                known = np.isfinite(middle)
                low, high = (np.where(np.isfinite(end), end, middle) for end in values[:, 1:].T)
                for chosen, face in ((known & ~curve.is_precision, colour), (known & curve.is_precision, "white")):
                    panel.vlines(exponents[chosen], low[chosen], high[chosen], color=colour, linewidth=0.8)
                    panel.plot(
                        exponents[chosen], middle[chosen], marker, color=colour, markerfacecolor=face, markersize=5
                    )
                joined = known & ~curve.is_precision
                panel.plot(exponents[joined], middle[joined], linestyle=line, color=colour, label=_plain(curve.label))
        panels[0].set(ylabel="update at which runs\nhave come apart")
        panels[1].set(ylabel=f"standard deviation\nof {_plain(outcome)}", xlabel="log2 of the dose", ylim=(0, None))
        panels[0].legend(loc="best", fontsize="small")


def learning_curves(curves: Mapping[str, Curve], ylabel: str, path: Path) -> None:
    """Draw the mean over seeds with its 95% interval, a line for each arm.

    Args:
        curves: By arm.
        ylabel: The label of the y axis.
        path: The file, without a suffix.
    """
    with _saved(path) as (panel,):
        for (arm, (steps, values)), (colour, line, _) in zip(curves.items(), itertools.cycle(STYLES), strict=False):
            mean, low, high = mean_interval(values)
            panel.plot(steps, mean, linestyle=line, color=colour, label=_plain(arm))
            panel.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)
        panel.set(ylabel=_plain(ylabel))
        _label_steps(panel)
        panel.legend(loc="lower right", fontsize="small")


def outcome_strips(outcomes: Mapping[str, Array], ylabel: str, path: Path) -> None:
    """Draw each seed's outcome by arm, and the mean with its 95% interval; few seeds are joined across arms.

    Args:
        outcomes: By arm, `[seeds]`, each the mean over precisions; NaN where there is none.
        ylabel: The outcome's name.
        path: The file, without a suffix.
    """
    with _saved(path, size=(max(5.6, 0.9 * len(outcomes)), 3.2)) as (panel,):
        positions = np.arange(len(outcomes))
        seeds = np.array(list(outcomes.values())).T
        are_joined = len(seeds) <= MOST_JOINED
        if are_joined:
            panel.plot(positions, seeds.T, color="0.8", linewidth=0.7, zorder=1)
        for position, values, (colour, _, _) in zip(positions, outcomes.values(), itertools.cycle(STYLES)):
            known = values[np.isfinite(values)]
            beside = (
                np.zeros(len(known)) if are_joined else np.random.default_rng(position).uniform(-0.18, 0.1, len(known))
            )
            panel.scatter(
                position + beside,
                known,
                s=14,
                color=colour,
                alpha=0.8 if are_joined else 0.35,
                linewidth=0,
                zorder=2,
            )
            if len(known):
                mean, low, high = mean_interval(known[:, None])
                half = [mean - low, high - mean]
                panel.errorbar(
                    position + 0.2, mean, yerr=half, fmt="D", color=colour, markersize=5, capsize=3, zorder=3
                )
        panel.set(ylabel=_plain(ylabel), xlim=(-0.5, len(outcomes) - 0.5))
        labels = [_plain(arm) for arm in outcomes]
        panel.set_xticks(positions, labels, rotation=30 if max(map(len, labels)) * len(labels) > 60 else 0)


def effect_sizes(effects: Sequence[tuple[str, Style, float, tuple[float, float]]], path: Path) -> None:
    """Draw the effects of several designs, in the reference's standard deviations, with the intervals that decide.

    Args:
        effects: Label, style, estimate and interval.
        path: The file, without a suffix.
    """
    with _saved(path, size=(6.4, 0.8 + 0.3 * max(4, len(effects)))) as (panel,):
        panel.axvline(0, color="0.6", linewidth=0.8, zorder=1)
        for position, (_, (colour, _, marker), middle, ends) in enumerate(effects):
            if np.isfinite(ends).all():
                panel.plot(ends, [-position] * 2, color=colour, linewidth=1.2)
            panel.plot(middle, -position, marker, color=colour, markersize=5)
        panel.set_yticks([-position for position in range(len(effects))], [_plain(label) for label, *_ in effects])
        panel.set(xlabel="effect, in the reference's standard deviations", ylim=(0.5 - len(effects), 0.5))


def quantiles(pairs: Sequence[tuple[str, Style, Array, Array]], path: Path) -> None:
    """Draw quantiles of differences between levels that must agree, against those of the ULP control's.

    Args:
        pairs: A name, its style and both kinds of differences, sorted.
        path: The file, without a suffix.
    """
    with _saved(path) as (panel,):
        for name, (colour, _, marker), spread, control in pairs:
            points = (np.arange(min(len(spread), len(control))) + 0.5) / min(len(spread), len(control))
            x, y = np.quantile(control, points), np.quantile(spread, points)
            panel.plot(x, y, marker, color=colour, markersize=4, fillstyle="none", label=_plain(name))
        low, high = panel.get_xlim()
        panel.plot([low, high], [low, high], "-", color="0.6", linewidth=0.8)
        panel.set(xlabel="quantiles of the ULP control's differences", ylabel="quantiles of the pair's differences")
        panel.legend(loc="upper left")


def power_curves(curves: Mapping[str, Array], seeds: Sequence[int], power: float, path: Path) -> None:
    """Draw the chance of each conclusion by the number of seeds.

    Args:
        curves: By conclusion, `[seeds]`.
        seeds: The numbers of seeds.
        power: The chance that is asked for, drawn as a line.
        path: The file, without a suffix.
    """
    with _saved(path) as (panel,):
        styles = itertools.cycle(zip(("#D55E00", "#0072B2", "#009E73", "#000000"), ("-", "--", "-.", ":"), strict=True))
        for (name, chance), (colour, line) in zip(curves.items(), styles, strict=False):
            panel.plot(seeds, chance, line, color=colour, label=_plain(name))
        panel.axhline(power, color="0.6", linewidth=0.8)
        panel.set(xlabel="seeds", ylabel="chance of the conclusion", xscale="log", ylim=(0, 1.02))
        panel.legend(loc="lower right", fontsize="small")


@contextmanager
def _saved(
    path: Path,
    columns: int = 1,
    rows: int = 1,
    size: tuple[float, float] | None = None,
    widths: Sequence[float] | None = None,
) -> Iterator[list[Axes]]:
    """Yield panels to draw on, and save them as `path.svg` and `path.png`."""
    with mpl.style.context(RC, after_reset=True):  # whatever a user's matplotlibrc has
        figure = Figure(figsize=size or (4.2 * max(columns, 1.4), 3.2), layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False, width_ratios=widths).ravel()
        yield list(panels)
        figure.savefig(path.with_suffix(".svg"), metadata={"Date": None, "Creator": None})
        figure.set_layout_engine("none")  # it stays as it has been laid out, which takes as long as drawing it
        figure.savefig(path.with_suffix(".png"), metadata={"Software": None})


LONGEST = 32
"""Characters of a name that a figure has room for."""


def _plain(name: str) -> str:
    """Return a name with its dollars escaped, so that it is no formula; of a long one, its beginning and its end."""
    line = one_line(name)
    return (line if len(line) <= LONGEST else f"{line[: LONGEST - 10]}...{line[-7:]}").replace("$", r"\$")


def _wrapped(label: str) -> list[str]:
    """Return a label's lines, of which long ones are broken between words."""
    parts = [
        textwrap.wrap(line, LONGEST, break_long_words=False, max_lines=3, placeholder=" ...")
        for line in label.splitlines()
    ]
    return [_plain(part) for part in itertools.chain.from_iterable(parts)]


def _label_steps(panel: Axes) -> None:
    panel.set(xlabel="environment steps")
    panel.xaxis.set_major_formatter(EngFormatter(sep=""))  # 100k: whole numbers run into one another


def _share_y(panels: Sequence[Axes]) -> None:
    limits = [panel.get_ylim() for panel in panels]
    for panel in panels:
        panel.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))


def _quantiles(values: Array) -> tuple[Array, Array, Array]:
    """Return the median and the quartiles over seeds that aren't NaN; NaN where all are."""
    columns = [column[~np.isnan(column)] for column in values.T]
    quartiles = [np.quantile(column, (0.5, 0.25, 0.75)) if len(column) else np.full(3, np.nan) for column in columns]
    middle, low, high = np.array(quartiles).T
    return middle, low, high
