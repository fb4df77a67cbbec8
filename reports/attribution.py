"""Which part is which, and how sure: effects, pairs, and the verdict, for the runs of one design.

Everything is paired by seed: an effect is the mean over seeds of a contrast taken inside each seed's block, averaged
over the other factors and over replicates. A block with a hole takes no part, and the answer says so.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from reports import statistics
from reports.runs import LARGEST
from reports.statistics import ALPHA, Array, SignFlip

Factor = Literal["parameterization", "implementation"]
Conclusion = Literal["different", "equivalent", "undecided"]
Cause = Literal["parameterization", "round-off", "implementation", "undecided"]
Verdict = Literal["parameterization", "round-off", "implementation", "both", "undecided"]

PRIMARY: tuple[Factor, Factor] = ("parameterization", "implementation")
SHARES = ("seed", *PRIMARY, "round_off")
REFERENCE = "normal_std"
"""The condition whose deviation between seeds sets the margin: what most of the field writes."""
ORDER = ("variance", "std", "mvn", "normal")
"""An effect is the later level minus the earlier; levels of other names follow in alphabetical order."""
SEED = 0
"""Of the generator that draws sign flips where there are too many to try all."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimate:
    """An estimated difference, its interval and the tests on it."""

    a: str
    b: str
    """the difference is b minus a"""
    differences: Array
    """`[seeds]`"""
    estimate: float
    ci: tuple[float, float]
    """95%, of the same sign flips as `p`; infinite where there are too few seeds"""
    p: float
    p_adjusted: float
    """by Holm, over the family"""
    p_equivalent: float | None
    """of two one-sided tests inside the margin; None without a margin"""
    seeds_needed: int | None
    """seeds that would decide, where it is undecided and can be told"""

    @property
    def conclusion(self) -> Conclusion:
        """What the tests say. "Not significant" is never "equal"."""
        if self.p_adjusted <= ALPHA:
            return "different"
        if self.p_equivalent is not None and self.p_equivalent <= ALPHA:
            return "equivalent"
        return "undecided"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pair:
    """Two conditions."""

    difference: Estimate
    kind: Literal["parameterization", "implementation", "both"]
    """in what they differ"""
    spread: statistics.SpreadTest | None
    """the scatter of their differences against the one-ulp control's; None without a control"""
    explained_by: Cause


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attribution:
    """The answer for one design."""

    seeds: list[int]
    """the seeds whose blocks are whole"""
    margin: float | None
    effects: dict[Factor, Estimate]
    pairs: list[Pair]
    variance_share: dict[str, float | None]
    verdict: Verdict
    warnings: list[str]


def attribute(runs: pd.DataFrame, outcome: str, margin: float | None) -> Attribution:
    """Answer for the runs of one design.

    **Arguments**: `runs`, a row a run, as `reports.sources` has them; `outcome`, one of the columns; `margin`, the
    effect up to which two policies are as good as equal, by default half the deviation between seeds of single cells
    of `REFERENCE`, pooled within precisions and replicates.
    """
    rng = np.random.default_rng(SEED)
    usable, warnings = _usable(runs, outcome)
    if usable.empty:
        return _no_answer(margin, [*warnings, f"no run has finished with a {outcome}: nothing can be concluded"])
    blocks, more = _blocks(usable, outcome)
    warnings += more
    if blocks.empty:
        return _no_answer(margin, warnings)
    if margin is None:
        margin = _default_margin(usable, outcome)
    if margin is None:
        warnings.append(
            f"no margin: {REFERENCE} has no deviation between seeds here, so equivalence is untested; give --margin"
        )

    contrasts: dict[Factor, tuple[str, str, Array]] = {}
    for factor in PRIMARY:
        contrast = factor_contrast(blocks, factor)
        if contrast is None:
            warnings.append(f"the {factor} effect can't be estimated: {_why_no_contrast(blocks, factor)}")
        else:
            contrasts[factor] = contrast
    effects = dict(zip(contrasts, _estimate(list(contrasts.values()), margin, rng), strict=True))

    pairs = _pairs(blocks, effects, margin, rng)
    untested = [pair.difference for pair in pairs if pair.spread is None]
    if untested:
        which = "" if len(untested) == len(pairs) else f" of {untested[0].a} and {untested[0].b}"
        warnings.append(f"no replicates{which}: whether round-off explains a difference is untested")
    for estimate in effects.values():
        if estimate.conclusion == "different" and estimate.p_equivalent is not None and estimate.p_equivalent <= ALPHA:
            warnings.append(f"{estimate.b} and {estimate.a} are different, but by less than the margin")
    return Attribution(
        seeds=[int(seed) for seed in blocks.index],
        margin=margin,
        effects=effects,
        pairs=pairs,
        variance_share=variance_share(blocks, effects),
        verdict=_verdict(effects, pairs),
        warnings=warnings,
    )


def factor_contrast(blocks: pd.DataFrame, factor: Factor) -> tuple[str, str, Array] | None:
    """Both levels of a factor, and each seed's contrast between them, `[seeds]`.

    Levels are compared where the other factor and the precision are the same, and the contrasts are averaged; None
    where the factor hasn't two levels, or nowhere both.
    """
    levels = _levels(blocks, factor)
    if len(levels) != 2:
        return None
    low, high = levels
    others = [name for name in (*PRIMARY, "precision") if name != factor]
    contrasts = []
    for _, stratum in blocks.T.groupby(level=others):
        means = stratum.groupby(level=factor).mean()
        if len(means) == 2:
            contrasts.append(_difference(means.loc[high].to_numpy(), means.loc[low].to_numpy()))
    return (low, high, np.mean(contrasts, axis=0)) if contrasts else None


def variance_share(blocks: pd.DataFrame, effects: dict[Factor, Estimate]) -> dict[str, float | None]:
    """Shares of the variance of an outcome, by the method of moments; they sum to 1.

    Round-off is the variance between replicates of a cell; the seed's is the variance of block means beyond what
    round-off gives them; a factor of two levels has a quarter of its squared effect, less what chance adds to that,
    and one without an effect to estimate has None. Without replicates, round-off can't be told from the rest, and all
    are None.
    """
    cells = blocks.T.groupby(level=["condition", "precision"])
    if len(blocks) < 2 or cells.size().min() < 2:
        return dict.fromkeys(SHARES)
    round_off = float(np.mean([cell.var(axis=0, ddof=1).to_numpy() for _, cell in cells]))
    parts = {"seed": blocks.mean(axis=1).var(ddof=1) - round_off / blocks.shape[1], "round_off": round_off}
    for factor, effect in effects.items():
        differences = effect.differences
        parts[factor] = (differences.mean() ** 2 - differences.var(ddof=1) / len(differences)) / 4
    parts = {name: max(0.0, float(part)) for name, part in parts.items()}
    total = sum(parts.values())
    return {name: parts[name] / total if total and name in parts else None for name in SHARES}


def _no_answer(margin: float | None, warnings: list[str]) -> Attribution:
    return Attribution(
        seeds=[],
        margin=margin,
        effects={},
        pairs=[],
        variance_share=dict.fromkeys(SHARES),
        verdict="undecided",
        warnings=warnings,
    )


def _usable(runs: pd.DataFrame, outcome: str) -> tuple[pd.DataFrame, list[str]]:
    """Finished runs with a finite outcome, and a word on the others."""
    warnings = []
    for status, group in runs[runs["status"] != "finished"].groupby("status"):
        first = group.iloc[0]
        reason = " ".join(str(first["error"] or "nobody says why").split())
        warnings.append(f"{len(group)} runs are {status}, such as {first['run']}: {reason}")
    finished = runs[runs["status"] == "finished"]
    finite = pd.to_numeric(finished[outcome], errors="coerce").abs() < LARGEST
    if not finite.all():
        broken = finished[~finite]["run"]
        warnings.append(f"{len(broken)} finished runs have no finite {outcome}, such as {broken.iloc[0]}")
    return finished[finite].astype({outcome: float}), warnings


def _blocks(usable: pd.DataFrame, outcome: str) -> tuple[pd.DataFrame, list[str]]:
    """Outcomes as a table, a row a seed and a column a cell, of the seeds that have them all."""
    blocks = (
        usable.pivot(index="seed", columns=["condition", *PRIMARY, "precision", "replicate"], values=outcome)
        .sort_index(axis=0)
        .sort_index(axis=1)
    )
    whole = blocks.notna().all(axis=1)
    warnings = []
    if usable[outcome].nunique() == 1 and len(usable) > 1:
        warnings.append(f"every run has the same {outcome}: there is nothing to explain")
    if not whole.all():
        holes = ", ".join(str(seed) for seed in blocks.index[~whole])
        warnings.append(f"left out of the paired analysis, since their blocks have holes: seeds {holes}")
    if not whole.any():
        warnings.append("no seed has all of its runs: nothing can be concluded")
    if whole.sum() == 1:
        warnings.append("a single seed: a difference can be seen, but nothing be tested")
    return blocks[whole], warnings


def _default_margin(usable: pd.DataFrame, outcome: str) -> float | None:
    """Half the deviation between seeds of the reference; None where it has none."""
    reference = usable[usable["condition"] == REFERENCE]
    groups = reference.groupby(["precision", "replicate"])[outcome]
    deviation = statistics.pooled_deviation([group.to_numpy() for _, group in groups])
    return deviation / 2 if deviation else None


def _levels(blocks: pd.DataFrame, factor: Factor) -> list[str]:
    """A factor's levels, in the order of their difference."""
    return sorted(
        blocks.columns.unique(factor), key=lambda level: (ORDER.index(level) if level in ORDER else len(ORDER), level)
    )


def _why_no_contrast(blocks: pd.DataFrame, factor: Factor) -> str:
    match _levels(blocks, factor):
        case [only]:
            return f"all runs are of one, {only}"
        case [_, _]:
            return "no two runs differ in it alone"
        case levels:
            return f"it is a contrast of two levels, and here are {len(levels)}: {', '.join(levels)}"


def _difference(b: Array, a: Array) -> Array:
    """How much more b is; zero where only the rounding of means tells the two apart."""
    return np.where(np.isclose(b, a, rtol=1e-12, atol=0.0), 0.0, b - a)


def _estimate(
    contrasts: Sequence[tuple[str, str, Array]], margin: float | None, rng: np.random.Generator
) -> list[Estimate]:
    """Test a family of differences."""
    flips: list[SignFlip] = [statistics.sign_flip(differences, rng) for _, _, differences in contrasts]
    p_values = [flip.p_two_sided() for flip in flips]
    estimates = []
    for (a, b, differences), flip, p, p_adjusted in zip(
        contrasts, flips, p_values, statistics.holm(p_values), strict=True
    ):
        estimate = Estimate(
            a=a,
            b=b,
            differences=differences,
            estimate=float(differences.mean()),
            ci=flip.interval(),
            p=p,
            p_adjusted=p_adjusted,
            p_equivalent=None if margin is None else flip.p_equivalent(margin),
            seeds_needed=None,
        )
        if estimate.conclusion == "undecided":
            needed = statistics.seeds_needed(differences, margin)
            estimate = dataclasses.replace(estimate, seeds_needed=needed)
        estimates.append(estimate)
    return estimates


def _pairs(
    blocks: pd.DataFrame, effects: dict[Factor, Estimate], margin: float | None, rng: np.random.Generator
) -> list[Pair]:
    conditions = {condition: factors for condition, *factors, _, _ in _labels(blocks)}
    cells = {condition: _cells(blocks, condition) for condition in conditions}
    couples = [
        (a, b)
        for a, b in itertools.combinations(conditions, 2)
        if not cells[a].columns.intersection(cells[b].columns).empty
    ]
    differences = [(cells[b] - cells[a]).dropna(axis=1).to_numpy() for a, b in couples]
    contrasts = [(a, b, difference.mean(axis=1)) for (a, b), difference in zip(couples, differences, strict=True)]
    pairs = []
    for (a, b), difference, estimate in zip(couples, differences, _estimate(contrasts, margin, rng), strict=True):
        kind = _kind(conditions[a], conditions[b])
        spread = _spread(difference, kind, [_control(cells[a]), _control(cells[b])], rng)
        cause = _explain(kind, estimate, spread, effects)
        pairs.append(Pair(difference=estimate, kind=kind, spread=spread, explained_by=cause))
    return pairs


def _cells(blocks: pd.DataFrame, condition: str) -> pd.DataFrame:
    """A condition's outcomes, a row a seed and a column a precision and replicate."""
    own = blocks.loc[:, blocks.columns.get_level_values("condition") == condition]
    return own.droplevel(["condition", *PRIMARY], axis=1)


def _control(cells: pd.DataFrame) -> Array:
    """What the nudge does to one condition: replicates less the run without it, `[seeds, nudged replicates]`."""
    nudged = [
        (precision, replicate) for precision, replicate in _labels(cells) if replicate and (precision, 0) in cells
    ]
    differences = [(cells[cell] - cells[cell[0], 0]).to_numpy() for cell in nudged]
    return np.stack(differences, axis=1) if differences else np.empty((len(cells), 0))


def _spread(
    pair: Array, kind: str, controls: Sequence[Array], rng: np.random.Generator
) -> statistics.SpreadTest | None:
    """Compare what sets two conditions apart with what one ulp does to either; a pair that isn't equal is centred."""
    control = np.concatenate(controls, axis=1)
    if not control.size:
        return None
    if kind != "implementation":
        pair = (pair - pair.mean()) * np.sqrt(len(pair) / max(1, len(pair) - 1))
    return statistics.compare_spread(pair, control, rng)


def _kind(a: Sequence[str], b: Sequence[str]) -> Literal["parameterization", "implementation", "both"]:
    if a[0] == b[0]:
        return "implementation"
    return "parameterization" if a[1] == b[1] else "both"


def _explain(
    kind: str, difference: Estimate, spread: statistics.SpreadTest | None, effects: dict[Factor, Estimate]
) -> Cause:
    if difference.conclusion == "different":
        if kind == "implementation":
            return "implementation"
        innocent = "implementation" in effects and effects["implementation"].conclusion == "equivalent"
        return "parameterization" if kind == "parameterization" or innocent else "undecided"
    if kind == "implementation":
        as_good_as_equal = "implementation" not in effects or effects["implementation"].conclusion != "different"
    else:
        as_good_as_equal = difference.conclusion == "equivalent"
    # A test of spread that couldn't have rejected, of too few seeds, has said nothing.
    if spread is None or 0.5 ** len(difference.differences) > ALPHA:
        return "undecided"
    return "round-off" if as_good_as_equal and spread.p > ALPHA else "undecided"


def _verdict(effects: dict[Factor, Estimate], pairs: Sequence[Pair]) -> Verdict:
    different = [factor for factor in PRIMARY if factor in effects and effects[factor].conclusion == "different"]
    if len(different) == 2:
        return "both"
    if different:
        return different[0]
    equivalent = effects and all(effect.conclusion == "equivalent" for effect in effects.values())
    round_off = pairs and all(pair.explained_by == "round-off" for pair in pairs)
    return "round-off" if equivalent and round_off else "undecided"


def _labels(table: pd.DataFrame) -> list[tuple[Any, ...]]:
    """A table's column labels, of which pandas' types say too little."""
    return [tuple(label) for label in table.columns]
