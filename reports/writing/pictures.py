"""Which pictures a section has, and of what."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from reports.attribution import MARGIN
from reports.layout import PRIMARY, REFERENCE
from reports.section import Section
from reports.sources.runs import LARGEST
from reports.statistics import Array
from reports.writing import figures


def draw(section: Section, output: Path, index: int) -> dict[str, str]:
    """Draw what can be drawn. **Returns**: file names by what they show, without their suffix."""
    names = {}

    def path(name: str) -> Path:
        names[name] = f"{name}-{index + 1}"
        return output / names[name]

    finished, answer = section.finished, section.answer
    whole = finished[finished["seed"].isin(answer.seeds) & (finished[section.outcome].abs() < LARGEST)]
    if answer.seeds:
        means = whole.groupby(["condition", "seed"])[section.outcome].mean()
        strips = {condition: means[condition].to_numpy() for condition in sorted(set(whole["condition"]))}
        figures.outcome_strips(strips, answer.seeds, section.outcome, path("outcomes"))
    equal = [
        (f"{pair.difference.a}, {pair.difference.b}", pair.scatter, pair.control)
        for pair in answer.pairs
        if pair.kind == "implementation" and len(pair.control) > 1 and len(pair.scatter) > 1
    ]
    if equal:
        figures.quantiles(equal, path("quantiles"))
    gaps = _gaps(section)
    if gaps:
        figures.divergence(gaps, path("divergence"))
    if section.histories and answer.seeds:
        figures.learning_curves(dict(_curves(whole, section)), "episodic return", path("learning"))
    return names


def draw_overview(sections: list[Section], output: Path) -> str | None:
    """All effects in one picture, standardised. **Returns**: its file name without suffix; None without any."""
    effects = [
        (f"{section.name}: {factor}" if len(sections) > 1 else factor, factor, sizes.standardised)
        for section in sections
        for factor in PRIMARY
        if (sizes := section.answer.sizes.get(factor)) and sizes.standardised
    ]
    if not effects:
        return None
    figures.effect_sizes(effects, MARGIN, output / "effects")
    return "effects"


def _gaps(section: Section) -> dict[str, dict[str, Array]]:
    """By precision, gaps over updates of a parameterization pair, an implementation pair and the one-ulp control."""
    found: dict[str, dict[str, Array]] = {}
    for kind in (*PRIMARY, "one ulp"):
        alike = [comparison for comparison in section.comparisons if comparison.kind == kind]
        chosen = next((c for c in alike if REFERENCE in (c.a, c.b)), alike[0] if alike else None)
        for comparison in alike:
            # What never comes apart can't be drawn on a logarithmic axis.
            if chosen and comparison.name == chosen.name and (comparison.gaps > 0).any():
                found.setdefault(comparison.precision, {})[comparison.name] = comparison.gaps
    return dict(sorted(found.items()))


def _curves(runs: pd.DataFrame, section: Section) -> Iterator[tuple[str, figures.Curve]]:
    """Each seed's learning curve by condition, the mean over its precisions and replicates."""
    for condition, own in runs.groupby("condition"):
        by_seed = [
            pd.DataFrame([section.histories[run]["episodic_return"] for run in block["run"]]).mean(axis=0)
            for _, block in own.groupby("seed")
        ]
        steps = section.histories[own["run"].iloc[0]]["global_step"]
        yield str(condition), (steps, np.array(by_seed))
