"""The CPU time of each condition's policy in one thread, by the number of action dimensions.

Conditions take turns in each round, so that a noisy machine disturbs all alike. Ratios are taken within a round.
"""

import dataclasses
import io
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, get_args

import matplotlib as mpl
import pandas as pd
import torch
from matplotlib.figure import Figure
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

from agents.cohort import use_one_thread
from agents.conditions import Condition
from agents.policies import POLICIES
from study.benchmarks.speed import timed
from study.progress import counted
from study.store.files import write_atomically

WIDTHS = tuple(2**power for power in range(11))
"""Action dimensions: 1 to 1024."""

ACTIONS = 64
"""Actions of a batch, as many as a minibatch has. All share one scale, which doesn't depend on the state."""

REFERENCE: Condition = "normal_std"
"""The condition that ratios are relative to: most agents use it."""

COLORS = dict(zip(POLICIES, ("#D55E00", "#E69F00", "#56B4E9", "#0072B2"), strict=True))
"""Colours by condition, of Okabe and Ito's palette."""

Phase = Literal["forward", "backward"]
"""Forward makes the distribution and `log_prob`; backward makes the gradients in mean and scale from `log_prob`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cost:
    """CPU time of one condition at one width.

    Attributes:
        phase: What was measured.
        width: Number of action dimensions.
        condition: The policy's condition.
        microseconds: CPU time of a batch, in each round.
    """

    phase: Phase
    width: int
    condition: Condition
    microseconds: tuple[float, ...]


def measure(widths: Sequence[int], rounds: int, seconds: float, console: Console) -> list[Cost]:
    """Measure every condition at every width `rounds` times, each for at least `seconds` and one batch."""
    use_one_thread()
    entries = [(phase, width, name) for width in widths for phase in get_args(Phase) for name in POLICIES]
    turns = counted([entry for _ in range(rounds) for entry in entries], console, "measurements", "measuring")
    measured = [(entry, _microseconds(_work(*entry), seconds)) for entry in turns]
    return [
        Cost(
            phase=entry[0],
            width=entry[1],
            condition=entry[2],
            microseconds=tuple(own for at, own in measured if at == entry),
        )
        for entry in entries
    ]


def tables(costs: Sequence[Cost]) -> Iterator[Table]:
    """Yield a table for each phase, with a row for each width: ratios to `REFERENCE`, as median and range of rounds."""
    for phase in get_args(Phase):
        here = {(cost.width, cost.condition): cost.microseconds for cost in costs if cost.phase == phase}
        others = [name for name in POLICIES if name != REFERENCE]
        drawn = Table(
            Column("width", justify="right", no_wrap=True),
            title=f"{phase}, {ACTIONS} actions",
            box=SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
        )
        for name in (f"{REFERENCE}, us", *others):
            drawn.add_column(name, justify="right", no_wrap=True)
        for width in dict.fromkeys(width for width, _ in here):
            base = here[width, REFERENCE]
            ratios = ([own / one for own, one in zip(here[width, name], base, strict=True)] for name in others)
            drawn.add_row(f"{width}", f"{statistics.median(base):,.0f}", *map(_median_and_range, ratios))
        yield drawn


def write(path: Path, costs: Sequence[Cost]) -> None:
    """Write a CSV of all rounds, and a figure of it beside it."""
    rows = pd.DataFrame([dataclasses.asdict(cost) for cost in costs]).explode("microseconds")
    rows["round"] = rows.groupby(["phase", "width", "condition"]).cumcount()
    write_atomically(path, rows.to_csv(index=False, float_format="%.4g").encode())
    write_atomically(path.with_suffix(".png"), _draw(costs))


def _work(phase: Phase, width: int, condition: Condition) -> Callable[[], object]:
    generator = torch.Generator().manual_seed(width)
    mean, action = (torch.randn(ACTIONS, width, generator=generator) for _ in range(2))
    leaves = mean.requires_grad_(), torch.full((width,), 0.5, requires_grad=True)

    def forward() -> torch.Tensor:
        log_prob: torch.Tensor = POLICIES[condition](*leaves).log_prob(action).sum()
        return log_prob

    if phase == "forward":
        return forward
    log_prob = forward()
    return lambda: torch.autograd.grad(log_prob, leaves, retain_graph=True)


def _microseconds(work: Callable[[], object], seconds: float) -> float:
    work()
    timing = timed(work, 1, seconds)
    return 1e6 * timing.cpu_seconds / timing.steps


def _median_and_range(ratios: Sequence[float]) -> str:
    return f"{statistics.median(ratios):.3g} [{min(ratios):.3g}, {max(ratios):.3g}]"


def _draw(costs: Sequence[Cost]) -> bytes:
    """Return a PNG with a panel for each phase, a line for each condition, and a band for the range of rounds."""
    phases = get_args(Phase)
    with mpl.rc_context({"font.size": 9, "savefig.dpi": 150}):
        figure = Figure(figsize=(7, 3.2), layout="constrained")
        panels = figure.subplots(1, len(phases), sharey=True)
        for phase, panel in zip(phases, panels, strict=True):
            for condition, color in COLORS.items():
                own = [cost for cost in costs if (cost.phase, cost.condition) == (phase, condition)]
                times = [cost.microseconds for cost in own]
                widths = [cost.width for cost in own]
                panel.plot(widths, list(map(statistics.median, times)), color=color, label=condition, linewidth=1.2)
                panel.fill_between(
                    widths, list(map(min, times)), list(map(max, times)), color=color, alpha=0.2, linewidth=0
                )
            panel.set_xscale("log", base=2)
            panel.set(yscale="log", title=phase, xlabel="action dimensions")
            panel.spines[["top", "right"]].set_visible(False)
        panels[0].set_ylabel(f"CPU time of {ACTIONS} actions, us")
        panels[0].legend(frameon=False)
        picture = io.BytesIO()
        figure.savefig(picture, metadata={"Software": None})
    return picture.getvalue()
