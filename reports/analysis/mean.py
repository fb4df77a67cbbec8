"""The mean: whether a factor's level changes the outcome, on average and at each level of the others.

A may-differ factor is judged by its main effect. A must-agree factor is judged by its main effect, by its simple
effects, at each level of the other factors and in each precision, and by its interactions with several of them at once.
So effects that cancel in the mean are differences all the same. It is *different* where any of these is, after Holm's
correction over them, and *equivalent* only where all are, in each cell too: a combination of the others' levels and a
precision.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from reports import statistics
from reports.analysis.blocks import Blocks, Contrast, Part
from reports.analysis.conclusions import MeanConclusion
from reports.analysis.failures import has_failures, may_differ
from reports.statistics import ALPHA, Array, Margin, Test, TwoSample

Indices = NDArray[np.intp]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimate:
    """A difference, its intervals, and the tests on it.

    Attributes:
        where: The part of the contrast that it is of; empty for the main effect.
        alternates: Whether it is an interaction: a difference whose sign alternates over that part.
        a: The reference.
        b: The level: the difference is b minus a.
        seeds: The indices of its blocks; empty where runs are unpaired.
        test: Of the differences in the outcome's own unit, of runs that finished (complete cases).
        ranked: Of the differences of ranks, where runs failed: a failed run is the worst. It decides then.
        p: Of `ranked`, or else of `test`.
        p_adjusted: By Holm, over the family; NaN for a cell, which is judged for equivalence alone.
        level: The level at which Holm judged it, or its factor.
        margin: The equivalence margin.
        failures_may_differ: Whether it isn't shown that runs fail about as often there at both levels.
    """

    where: str = ""
    alternates: bool = False
    a: str
    b: str
    seeds: Indices = dataclasses.field(default_factory=lambda: np.array([], dtype=np.intp))
    test: Test
    ranked: Test | None = None
    p: float
    p_adjusted: float
    level: float
    margin: Margin | None
    failures_may_differ: bool = False

    @property
    def size(self) -> int:
        """The number of seeds, or of runs of the smaller level where they are unpaired."""
        return self.test.size

    @property
    def place(self) -> str:
        """`where`, with its preposition; empty for the main effect."""
        if not self.where:
            return ""
        return f"with alternating signs over {self.where}" if self.alternates else f"at {self.where}"

    @property
    def estimate(self) -> float:
        """The mean difference."""
        return self.test.estimate

    @property
    def differences(self) -> Array:
        """Each seed's difference, `[seeds]`; empty where runs are unpaired."""
        return np.asarray(getattr(self.test, "differences", np.array([])))

    @functools.cached_property
    def ci(self) -> tuple[float, float]:
        """95% interval, of the same test as `p`; infinite where there are too few seeds."""
        return self.test.interval()

    @functools.cached_property
    def ci_adjusted(self) -> tuple[float, float]:
        """The interval at `level`: without failed runs, zero is outside exactly where `p_adjusted` rejects it.

        NaN where it isn't tested.
        """
        return self.test.interval(1 - self.level) if self.is_tested else (math.nan, math.nan)

    @functools.cached_property
    def ci90(self) -> tuple[float, float]:
        """90% interval: inside an exact margin exactly where the effect is equivalent."""
        return self.test.interval(1 - 2 * ALPHA)

    @functools.cached_property
    def p_equivalent(self) -> float | None:
        """The p of two one-sided tests of equivalence within the margin; None without a margin."""
        return None if self.margin is None else statistics.p_equivalent(self.test, self.margin, self.seeds)

    @functools.cached_property
    def p_skew(self) -> float | None:
        """The p of Johnson's test, which corrects for skewness; None where runs are unpaired or too few."""
        return statistics.p_johnson(self.differences)

    @property
    def can_reject(self) -> bool:
        """Whether a test of this number of seeds can find anything different at `level`."""
        return self._can_reject(self.ranked or self.test)

    @property
    def can_show_equality(self) -> bool:
        """Whether this number of finished runs could have shown a difference at `level`."""
        return self.can_reject and self._can_reject(self.test)

    def _can_reject(self, test: Test) -> bool:
        return test.smallest_p <= self.level * (1 + 1e-9)

    @property
    def is_tested(self) -> bool:
        """Whether it is tested for a difference; a cell isn't."""
        return not math.isnan(self.p_adjusted)

    @property
    def is_different(self) -> bool:
        """Whether the family's test rejects zero."""
        return self.is_tested and self.p_adjusted <= ALPHA

    @functools.cached_property
    def is_equivalent(self) -> bool:
        """Whether two one-sided tests show equivalence within the margin, and a difference could have been seen."""
        return (
            self.margin is not None
            and self.can_show_equality
            and statistics.p_equivalent(self.test, self.margin, self.seeds, enough=ALPHA) <= ALPHA
        )

    @property
    def conclusion(self) -> MeanConclusion:
        """The conclusion from the tests of this effect alone."""
        if self.is_different:
            return "different"
        return "equivalent" if self.is_equivalent and not self.failures_may_differ else "undecided"

    @functools.cached_property
    def detectable(self) -> float | None:
        """The effect that such a study finds with a chance of 80%; None if it can find none, or ranks decide."""
        if not self.error or not self.can_reject or self.ranked is not None:
            return None
        return statistics.detectable(self.error, self.size, self.level)

    @property
    def fewest(self) -> int:
        """The fewest seeds, or runs of each level where unpaired, of which a test can find a difference."""
        is_unpaired = isinstance(self.test, TwoSample)
        return statistics.fewest_unpaired(self.level) if is_unpaired else statistics.fewest_for(self.level)

    def power_to_differ(self, seeds: int) -> float:
        """Return the chance that this number of seeds, or of runs of each level if unpaired, finds it different.

        This takes the estimates for true. It is 0 where the error isn't known, or it isn't tested.
        """
        if not self.sd or not self.is_tested or seeds < self.fewest:
            return 0.0
        return statistics.power_different(self.estimate, self.sd, seeds, self.level)

    def power_to_agree(self, seeds: int) -> float:
        """Return a lower bound of the chance that this number of seeds shows it equivalent, likewise."""
        if self.sd is None or self.margin is None or seeds < self.fewest:
            return 0.0
        if not self.sd:
            return float(not self.exceeds_margin)
        return statistics.power_equivalent(self.estimate, self.sd, self.margin, seeds)

    @property
    def exceeds_margin(self) -> bool:
        """Whether the estimate is as large as the margin."""
        return self.margin is not None and abs(self.estimate) >= self.margin.value

    @property
    def sd(self) -> float | None:
        """The standard deviation of a difference, as if the estimate were a mean of `size` of them; None if unknown."""
        return None if self.error is None else self.error * self.size**0.5

    def __repr__(self) -> str:
        low, high = self.ci_adjusted if self.is_tested else self.ci90
        judged = f"p {self.p_adjusted:.2g} by Holm" if self.is_tested else "90%"
        return f"{self.estimate:.3g} [{low:.3g}, {high:.3g}], {judged}"

    @property
    def error(self) -> float | None:
        """The standard error of the estimate; None where it isn't known."""
        if isinstance(self.test, TwoSample):
            return self.test.error
        return float(self.differences.std(ddof=1)) / self.size**0.5 if self.size > 1 else None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mean:
    """The effect of a level of a factor on the mean.

    Attributes:
        main: Its main effect.
        simple: Its effects at each level of the other factors, and in each precision.
        interactions: Those of a must-agree factor with several of these at once.
        cells: The effects of a must-agree factor in each combination of levels and precision.
        must_agree: Whether all of these take part in the conclusion.
        has_failures: Whether runs that it compares failed.
        is_identical: Whether every pair of its runs has the same outcome.
    """

    main: Estimate
    simple: tuple[Estimate, ...]
    interactions: tuple[Estimate, ...]
    cells: tuple[Estimate, ...]
    must_agree: bool
    has_failures: bool
    is_identical: bool

    @property
    def lines(self) -> tuple[Estimate, ...]:
        """All estimates, each a line of the table of effects."""
        return (self.main, *self.simple, *self.interactions, *self.cells)

    @property
    def deciding(self) -> tuple[Estimate, ...]:
        """The estimates from which the conclusion is drawn."""
        return self.lines if self.must_agree else (self.main,)

    @property
    def can_reject(self) -> bool:
        """Whether any of their tests can find a difference."""
        return any(effect.is_tested and effect.can_reject for effect in self.deciding)

    @property
    def can_show_equality(self) -> bool:
        """Whether all of them could have shown a difference of the runs that finished."""
        return all(effect.can_show_equality for effect in self.deciding)

    @property
    def p(self) -> float:
        """The smallest p of the deciding effects, by Holm: that of the factor."""
        return min(effect.p_adjusted for effect in self.deciding if effect.is_tested)

    @property
    def shown(self) -> Estimate:
        """The effect that stands for the factor: the most different one, or without any the main one."""
        return self.decisive if self.decisive.is_different else self.main

    @property
    def is_decided_elsewhere(self) -> bool:
        """Whether the decisive effect is another than the main one."""
        return self.decisive is not self.main

    @property
    def decisive(self) -> Estimate:
        """The most different effect, or if none is different, the one furthest from being equivalent."""
        found = [effect for effect in self.deciding if effect.is_different]
        if found:
            return min(found, key=lambda effect: effect.p_adjusted)
        return max(self.deciding, key=lambda effect: 0.0 if effect.p_equivalent is None else effect.p_equivalent)

    @property
    def is_equivalent(self) -> bool:
        """Whether all deciding effects are equivalent: as each has to be, no correction for their number is needed."""
        return all(effect.is_equivalent for effect in self.deciding)

    def conclusion(self, failures_may_differ: bool) -> MeanConclusion:
        """Return the conclusion on the mean. "Not significant" is never "equal".

        Args:
            failures_may_differ: Whether runs may fail more often at one level: then nothing is equivalent.
        """
        if any(effect.is_different for effect in self.deciding):
            return "different"
        if failures_may_differ:
            return "undecided"
        if self.is_identical:
            return "identical"
        return "equivalent" if self.is_equivalent and not self.differing else "undecided"

    @functools.cached_property
    def seeds_needed(self) -> int | None:
        """Seeds that decide with a chance of 80%, if the estimates are true; None if none up to 10,000 do.

        They show that all effects are equivalent, or find the main one, or one that seems as large as the margin. Any
        other doesn't count: of many small effects, one seems larger than it is.
        """
        if not self.main.size:
            return None
        return statistics.fewest_seeds(lambda seeds: self._power(seeds) >= statistics.POWER, more_than=self.main.size)

    def _power(self, seeds: int) -> float:
        """Return a lower bound of the chance that this number of seeds decides."""
        own = {effect.where: seeds * effect.size // self.main.size for effect in self.deciding}
        agree = 1 - sum(1 - effect.power_to_agree(own[effect.where]) for effect in self.deciding)
        counted = [effect for effect in self.deciding if effect is self.main or effect.exceeds_margin]
        return max(agree, *(effect.power_to_differ(own[effect.where]) for effect in counted))

    @property
    def is_inside_margin(self) -> bool:
        """Whether all effects that were found different are smaller than the margin; in ranks, none is."""
        found = [effect for effect in self.deciding if effect.is_different]
        return bool(found) and all(
            effect.ranked is None and effect.margin is not None and not effect.exceeds_margin for effect in found
        )

    @property
    def differing(self) -> list[Estimate]:
        """The simple effects and interactions that are different."""
        return [effect for effect in (*self.simple, *self.interactions) if effect.is_different]


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """A contrast to be tested, the outcomes, and the equivalence margin."""

    blocks: Blocks
    contrast: Contrast
    margin: Margin | None


def judge_means(cases: Sequence[Case], paired: bool, resamples: int = statistics.RESAMPLES) -> list[Mean]:
    """Return the effects of contrasts, tested as one family by Holm; of a must-agree factor, by Holm over its effects.

    A must-agree factor enters the family with the smallest of its effects' own corrected p-values, and its effects are
    then judged at the level at which the factor was. Its cells are judged for equivalence alone: a cell's differences
    are skewed where levels vary unequally, so that a test of them finds too much. The simple effects of all may-differ
    factors decide nothing: they are a family of their own.

    Args:
        cases: The family. Every case has runs that ended at both levels.
        paired: Whether runs of the same seed belong together.
        resamples: Sign flips to draw where there are too many to try all.
    """
    if not cases:
        return []
    drafts = [_draft(case, paired, resamples) for case in cases]
    smallest = [draft.smallest for draft in drafts]
    family = zip(
        statistics.holm(smallest), statistics.holm_levels(smallest), statistics.holm_factors(smallest), strict=True
    )
    beside = iter(_judge([effect for draft in drafts for effect in draft.beside]))
    found = []
    for case, draft, (p_factor, level, times) in zip(cases, drafts, family, strict=True):
        main, *others = _judge(draft.tested, level, p_factor, times)
        found.append(
            Mean(
                main=main,
                simple=tuple(next(beside) for _ in draft.beside)
                or tuple(each for each in others if not each.alternates),
                interactions=tuple(each for each in others if each.alternates),
                cells=tuple(dataclasses.replace(cell, p_adjusted=math.nan, level=level) for cell in draft.cells),
                must_agree=case.contrast.factor.must_agree,
                has_failures=has_failures(case.blocks, case.contrast),
                is_identical=_is_identical(case.blocks, case.contrast),
            )
        )
    return found


def judge_main_effects(cases: Sequence[Case], paired: bool, resamples: int = statistics.RESAMPLES) -> list[Estimate]:
    """Return the main effects of contrasts alone, tested as one family by Holm. The arguments are `judge_means`'."""
    found = (_estimated(case, case.contrast.whole, paired, resamples) for case in cases)
    return _judge([each for each in found if each is not None])


def _judge(family: Sequence[Estimate], level: float = ALPHA, least: float = 0.0, times: int = 1) -> list[Estimate]:
    """Return a family of effects, corrected by Holm at the level that a superior family gives it.

    Args:
        family: Effects, not yet corrected.
        level: The level of the family.
        least: The family's own corrected p: no effect's is smaller.
        times: By what the superior family's correction multiplies it.
    """
    p_values = [effect.p for effect in family]
    corrected = zip(family, statistics.holm(p_values), statistics.holm_levels(p_values, level), strict=True)
    return [
        dataclasses.replace(effect, p_adjusted=min(1.0, max(least, p * times)), level=own)
        for effect, p, own in corrected
    ]


@dataclasses.dataclass(frozen=True, eq=False)
class _Draft:
    """A contrast's effects, not yet corrected.

    Attributes:
        tested: The main effect, and of a must-agree factor the simple effects and interactions.
        cells: Those of a must-agree factor in each cell.
        beside: The simple effects of a may-differ factor.
    """

    tested: Sequence[Estimate]
    cells: Sequence[Estimate] = ()
    beside: Sequence[Estimate] = ()

    @property
    def smallest(self) -> float:
        """The smallest p of the tested effects, corrected for their number."""
        return min(1.0, len(self.tested) * min(effect.p for effect in self.tested))


def _draft(case: Case, paired: bool, resamples: int) -> _Draft:
    """Return the main effect and the simple effects. Parts in which no run ended are left out."""
    contrast = case.contrast

    def estimate(*parts: Part) -> list[Estimate]:
        found = (_estimated(case, part, paired, resamples) for part in parts)
        return [each for each in found if each is not None]

    if not contrast.factor.must_agree:
        return _Draft(tested=estimate(contrast.whole), beside=estimate(*contrast.parts))
    tested = estimate(contrast.whole, *contrast.parts, *contrast.crossings)
    return _Draft(tested=tested, cells=estimate(*contrast.cells))


def _estimated(case: Case, part: Part, paired: bool, resamples: int) -> Estimate | None:
    return _paired(case, part, resamples) if paired else _unpaired(case, part)


def _paired(case: Case, part: Part, resamples: int) -> Estimate | None:
    def test(values: Array) -> tuple[Test, Indices]:
        by_seed = case.contrast.by_seed(values, part)
        known = np.flatnonzero(np.isfinite(by_seed))
        return (statistics.sign_flip(by_seed[known], resamples) if len(known) else statistics.Untested()), known

    complete, seeds = test(case.blocks.outcomes)
    ranked = test(case.blocks.ranks)[0] if has_failures(case.blocks, case.contrast) else None
    return _estimate(case, part, complete, ranked, seeds)


def _unpaired(case: Case, part: Part) -> Estimate | None:
    complete = _two_sample(case.blocks.outcomes, case.contrast, part)
    is_ranked = has_failures(case.blocks, case.contrast)
    ranked = _two_sample(case.blocks.ranks, case.contrast, part) if is_ranked else None
    return _estimate(case, part, complete, ranked, seeds=None)


def _two_sample(values: Array, contrast: Contrast, part: Part) -> Test:
    signs = np.ones((len(part.strata), len(part.precisions))) if part.signs is None else part.signs
    strata = []
    for number, of_stratum in zip(part.strata, signs, strict=True):
        for precision, sign in zip(part.precisions, of_stratum, strict=True):
            stratum = contrast.strata[number]
            sides = [values[:, list(arms), precision].ravel() for arms in (stratum.reference, stratum.level)]
            reference, level = (side[np.isfinite(side)] for side in sides)
            if len(reference) and len(level):
                strata.append((reference, level) if sign > 0 else (level, reference))
    is_complete = len(strata) == signs.size
    return TwoSample(strata) if strata and (is_complete or part.signs is None) else statistics.Untested()


def _estimate(case: Case, part: Part, test: Test, ranked: Test | None, seeds: Indices | None) -> Estimate | None:
    """Return a part's effect, not yet corrected; None where no run ended.

    Args:
        case: The contrast, outcomes and margin.
        part: The part.
        test: Of runs that finished.
        ranked: Of ranks, where runs failed.
        seeds: The indices of the blocks; None where runs are unpaired.
    """
    if not (ranked or test).size:
        return None
    p = (ranked or test).p_two_sided()
    return Estimate(
        where=part.name,
        alternates=part.signs is not None,
        a=case.contrast.factor.reference,
        b=case.contrast.level,
        seeds=np.array([], dtype=np.intp) if seeds is None else seeds,
        test=test,
        ranked=ranked,
        p=p,
        p_adjusted=p,
        level=ALPHA,
        margin=case.margin,
        failures_may_differ=may_differ(case.blocks, case.contrast, part, paired=seeds is not None),
    )


def _is_identical(blocks: Blocks, contrast: Contrast) -> bool:
    """Return whether all runs of a seed, stratum and precision have the same outcome."""
    differences = contrast.differences(blocks.outcomes)
    known = np.isfinite(differences)
    return bool(known.any()) and bool((differences[known] == 0).all())
