"""The answer for the runs of one design: for each factor three axes, never mixed, and the conclusion from them."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from reports import statistics, thread
from reports.analysis import conclusions
from reports.analysis.blocks import Arm, Blocks, Contrast, Goal, contrasts, factors_of, has_runs, make_blocks
from reports.analysis.conclusions import Verdict
from reports.analysis.effects import Effect
from reports.analysis.failures import judge_failures
from reports.analysis.interactions import Interaction, judge_interactions
from reports.analysis.mean import Case, Mean, judge_means
from reports.analysis.mechanism import UNTESTED, Mechanism
from reports.analysis.spread import PrecisionSensitivity, judge_spreads, placebo, precision_sensitivity
from reports.factors import Factor
from reports.statistics import Margin, SignFlip

MARGIN = 0.5
"""The default equivalence margin, in standard deviations between seeds of the reference's single runs."""
SEED = 0
"""Of the generator that draws bootstrap samples."""

ReadMechanism = Callable[[Contrast, Sequence[Arm]], Mechanism]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attribution:
    """The answer for one design.

    Attributes:
        blocks: The outcomes by seed.
        factors: With the levels that there are.
        margin: The equivalence margin.
        effects: Of each factor, each level against the reference.
        paired: Whether runs of the same seed belong together.
        resamples: Sign flips to draw where there are too many to try all.
    """

    blocks: Blocks
    factors: tuple[Factor, ...]
    margin: Margin | None
    effects: tuple[Effect, ...]
    paired: bool
    resamples: int = statistics.RESAMPLES

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The conditions, the reference first."""
        return self.blocks.arms

    @property
    def is_thread(self) -> bool:
        """Whether the factors are the thread's, and their levels, so that its words and its verdict apply."""
        levels = {factor.name: set(factor.levels) for factor in thread.FACTORS}
        return bool(self.factors) and all(
            set(factor.levels) <= levels.get(factor.name, set()) for factor in self.factors
        )

    @property
    def seeds(self) -> list[int]:
        """The seeds that enter any effect."""
        used = {int(seed) for effect in self.effects for seed in effect.main.seeds}
        return [self.blocks.seeds[index] for index in sorted(used)]

    @property
    def smallest(self) -> int:
        """The number of seeds, or runs where they are unpaired, of the arm that has fewest."""
        return self.blocks.smallest(self.paired)

    def of(self, factor: str) -> list[Effect]:
        """Return the effects of a factor, one for each level."""
        return [effect for effect in self.effects if effect.factor.name == factor]

    def effect(self, factor: str) -> Effect | None:
        """Return the effect of a factor's first level; None where there is none."""
        return next(iter(self.of(factor)), None)

    @functools.cached_property
    def verdict(self) -> Verdict | None:
        """In the thread's design, which of its factors makes the difference; None in any other."""
        if not self.is_thread:
            return None
        different = [effect.factor.name for effect in self.effects if effect.mean_conclusion == "different"]
        if len(different) == 2:
            return "both"
        if different:
            return different[0]  # type: ignore[return-value]
        if not self.effects or any(effect.mean_conclusion == "undecided" for effect in self.effects):
            return "undecided"
        if any(effect.spread_conclusion in conclusions.SPREAD for effect in self.effects):
            return "undecided"
        words = {effect.conclusion for effect in self.effects}
        return "round-off" if words <= {conclusions.ROUND_OFF, conclusions.IDENTICAL} else "no effect"

    @functools.cached_property
    def interactions(self) -> tuple[Interaction, ...]:
        """The interactions of each factor with the others and the precision; none where runs are unpaired."""
        own = [effect.contrast for effect in self.effects]
        return tuple(judge_interactions(self.blocks, own, self.resamples)) if self.paired else ()

    @functools.cached_property
    def placebo(self) -> SignFlip | None:
        """The ULP control analysed as if it were an effect; None without a control."""
        return placebo(self.blocks, self.resamples) if self.paired else None

    @functools.cached_property
    def precision(self) -> PrecisionSensitivity | None:
        """The effect of round-off in two precisions; None without ULP controls in both."""
        return precision_sensitivity(self.blocks, self.resamples) if self.paired else None

    @functools.cached_property
    def sizes(self) -> list[statistics.Sizes | None]:
        """Each effect's sizes, as rliable defines them; None where runs are unpaired or every block is incomplete."""
        rng = np.random.default_rng(SEED)
        return [_sizes(self.blocks, effect.contrast, rng) if self.paired else None for effect in self.effects]

    @functools.cached_property
    def shares(self) -> dict[str, float] | None:
        """What the outcome's variance consists of; None without replicates in every cell of a two-level factorial."""
        return _variance_shares(self.blocks, self.factors) if self.paired else None

    def __repr__(self) -> str:
        lines = [f"Attribution of {len(self.blocks.seeds)} seeds, {len(self.arms)} arms"]
        return "\n".join([*lines, *(f"  {effect!r}" for effect in self.effects)])


def attribute(
    runs: pd.DataFrame,
    outcome: str,
    factors: Sequence[Factor],
    margin: float | None = None,
    *,
    goal: Goal = "maximize",
    paired: bool = True,
    mechanism: ReadMechanism | None = None,
) -> Attribution:
    """Return the answer for the runs of one design.

    Args:
        runs: A row for each run, with the columns of `reports.sources`.
        outcome: One of the columns.
        factors: In what the conditions differ.
        margin: The equivalence margin, by default `MARGIN` standard deviations between seeds of the reference's runs.
        goal: Whether large outcomes are good.
        paired: Whether runs of the same seed belong together.
        mechanism: Returns a contrast's mechanism; without it, mechanisms are untested.
    """
    (answer,) = attribute_together(
        runs, {outcome: margin}, factors, goal=goal, paired=paired, mechanism=mechanism
    ).values()
    return answer


def attribute_together(
    runs: pd.DataFrame,
    margins: Mapping[str, float | None],
    factors: Sequence[Factor],
    *,
    goal: Goal = "maximize",
    paired: bool = True,
    mechanism: ReadMechanism | None = None,
) -> dict[str, Attribution]:
    """Return the answers for several outcomes, whose effects are one family: Holm's correction is over all of them.

    Args:
        runs: As `attribute` takes them.
        margins: The equivalence margin by outcome; None for the default one.
        factors: As `attribute` takes them, and so the rest.
        goal: Whether large outcomes are good.
        paired: Whether runs of the same seed belong together.
        mechanism: Returns a contrast's mechanism.
    """
    present = factors_of(runs, factors)
    runs = runs if paired else _numbered(runs)
    blocks = {outcome: make_blocks(runs, outcome, present, goal) for outcome in margins}
    given = [None if margin is None else Margin(margin) for margin in margins.values()]
    answers = judge_together(list(blocks.values()), present, given, paired=paired, mechanism=mechanism)
    return dict(zip(blocks, answers, strict=True))


def _numbered(runs: pd.DataFrame) -> pd.DataFrame:
    """Return unpaired runs with numbers for seeds, so that each has its own index."""
    return runs.assign(seed=runs.groupby(["condition", "precision", "replicate"]).cumcount())


def judge(
    blocks: Blocks,
    factors: Sequence[Factor],
    margin: Margin | None = None,
    *,
    paired: bool = True,
    mechanism: ReadMechanism | None = None,
    resamples: int = statistics.RESAMPLES,
) -> Attribution:
    """Return the answer for the blocks of one outcome, as `judge_together` does."""
    (answer,) = judge_together([blocks], factors, [margin], paired=paired, mechanism=mechanism, resamples=resamples)
    return answer


def judge_together(
    outcomes: Sequence[Blocks],
    factors: Sequence[Factor],
    margins: Sequence[Margin | None],
    *,
    paired: bool = True,
    mechanism: ReadMechanism | None = None,
    resamples: int = statistics.RESAMPLES,
) -> list[Attribution]:
    """Return the answers for the blocks of several outcomes, whose effects are one family.

    Args:
        outcomes: The same runs' blocks, one for each outcome.
        factors: With the levels that there are.
        margins: The equivalence margins, where they are given.
        paired: Whether runs of the same seed belong together.
        mechanism: Returns a contrast's mechanism.
        resamples: Sign flips to draw where there are too many to try all.
    """
    margins = [margin or estimate_margin(blocks, factors) for blocks, margin in zip(outcomes, margins, strict=True)]
    found = [
        [contrast for contrast in contrasts(blocks, factors) if has_runs(blocks, contrast, paired)]
        for blocks in outcomes
    ]
    cases = [
        Case(blocks, contrast, margin)
        for blocks, own, margin in zip(outcomes, found, margins, strict=True)
        for contrast in own
    ]
    means = iter(judge_means(cases, paired, resamples))
    return [
        Attribution(
            blocks=blocks,
            factors=tuple(factors),
            margin=margin,
            effects=tuple(_effects(blocks, own, means, paired, mechanism, resamples)),
            paired=paired,
            resamples=resamples,
        )
        for blocks, own, margin in zip(outcomes, found, margins, strict=True)
    ]


def _effects(
    blocks: Blocks,
    found: Sequence[Contrast],
    means: Iterator[Mean],
    paired: bool,
    mechanism: ReadMechanism | None,
    resamples: int,
) -> Iterator[Effect]:
    """Yield the effect of each contrast; `means` yields their means, in order."""
    spreads = judge_spreads(blocks, found, resamples) if paired else [None] * len(found)
    failures = judge_failures(blocks, found, paired)
    for contrast, spread, failed in zip(found, spreads, failures, strict=True):
        yield Effect(
            contrast=contrast,
            mechanism=mechanism(contrast, blocks.arms) if mechanism else UNTESTED,
            mean=next(means),
            spread=spread,
            failures=failed,
        )


def estimate_margin(blocks: Blocks, factors: Sequence[Factor]) -> Margin | None:
    """Return `MARGIN` standard deviations of the reference's runs between seeds; None where they don't vary.

    The reference is the arm at every factor's reference, or all arms where there is none such.
    """
    own = [
        number
        for number, arm in enumerate(blocks.arms)
        if all(arm.levels[factor.name] == factor.reference for factor in factors)
    ]
    runs = blocks.outcomes[:, own or list(range(len(blocks.arms)))]
    found = statistics.standard_deviation(runs.reshape(len(runs), -1))
    return Margin(MARGIN * found.value, found) if found else None


def _sizes(blocks: Blocks, contrast: Contrast, rng: np.random.Generator) -> statistics.Sizes | None:
    """Return a contrast's sizes, of the seeds in which all of its runs finished; None without any."""
    sides = [side.reshape(len(side), -1) for side in contrast.sides(blocks.outcomes)]
    columns = [np.isfinite(side).any(axis=0) for side in sides]
    sides = [side[:, known] for side, known in zip(sides, columns, strict=True)]
    whole = np.isfinite(np.concatenate(sides, axis=1)).all(axis=1)
    if not sides[0].size or not whole.any() or sides[0].shape != sides[1].shape:
        return None
    return statistics.sizes(sides[0][whole], sides[1][whole], rng)


def _variance_shares(blocks: Blocks, factors: Sequence[Factor]) -> dict[str, float] | None:
    """Return the shares of the variance, of seeds with all runs and controls of a two-level factorial."""
    runs = np.concatenate([blocks.outcomes[..., None], blocks.controls], axis=3)
    seeds, arms, precisions, replicates = runs.shape
    whole = runs.reshape(seeds, -1)
    whole = whole[np.isfinite(whole).all(axis=1)]
    if len(whole) < 2 or any(len(factor.levels) > 2 for factor in factors):
        return None
    grid = np.indices((arms, precisions, replicates)).reshape(3, -1)
    signs = {}
    for factor in factors:
        if len(factor.levels) == 2:
            level = np.array([factor.levels.index(arm.levels[factor.name]) for arm in blocks.arms])
            signs[factor.name] = -1.0 + 2 * level[grid[0]]
    if precisions == 2:
        signs["precision"] = -1.0 + 2 * grid[1]
    cells = [
        sum(int(values[run] > 0) << bit for bit, values in enumerate(signs.values())) for run in range(grid.shape[1])
    ]
    return statistics.variance_shares(whole, signs, cells) if signs else None


def by_name(answer: Attribution) -> dict[str, Effect]:
    """Return the effects by their names in `verdict.json`: the factor's, with the level where it has several."""
    several = {factor.name for factor in answer.factors if len(factor.levels) > 2}
    return {
        f"{effect.factor.name}={effect.level}" if effect.factor.name in several else effect.factor.name: effect
        for effect in answer.effects
    }


def differences_of(answer: Attribution, factor: str) -> dict[int, float]:
    """Return the differences of a factor's first level, by seed."""
    effect = answer.effect(factor)
    if effect is None:
        return {}
    return dict(zip((answer.blocks.seeds[int(i)] for i in effect.main.seeds), effect.main.differences, strict=True))
