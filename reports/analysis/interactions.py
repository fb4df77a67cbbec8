"""Interactions: whether a factor's effect depends on another factor's level, or on the precision."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from reports import statistics
from reports.analysis.blocks import Blocks, Contrast, Part
from reports.statistics import ALPHA, Test, TwoSample


@dataclasses.dataclass(frozen=True, kw_only=True)
class Interaction:
    """How much a factor's effect differs between two levels of another factor, or between two precisions.

    Attributes:
        factor: The factor.
        level: Its level, against its reference.
        other: The other factor, or "precision".
        a: The other's first level.
        b: The other's second level: the difference is the effect at b minus that at a.
        test: Of the difference; of two samples, where no seed has both.
        p: Two-sided.
        p_adjusted: By Holm, over the design's interactions.
    """

    factor: str
    level: str
    other: str
    a: str
    b: str
    test: Test
    p: float
    p_adjusted: float

    @property
    def is_different(self) -> bool:
        """Whether the effect depends on the other factor."""
        return self.p_adjusted <= ALPHA


def judge_interactions(blocks: Blocks, contrasts: Sequence[Contrast], resamples: int) -> list[Interaction]:
    """Return all interactions of a design, tested as one family by Holm."""
    drafts = [
        draft
        for contrast in contrasts
        for first, second in _neighbours(contrast.parts)
        if (draft := _interaction(blocks, contrast, first, second, resamples)) is not None
    ]
    adjusted = statistics.holm([draft.p for draft in drafts]) if drafts else []
    return [dataclasses.replace(draft, p_adjusted=p) for draft, p in zip(drafts, adjusted, strict=True)]


def _neighbours(parts: Sequence[Part]) -> list[tuple[Part, Part]]:
    """Return the first part of each other factor, paired with each of its further ones."""
    first: dict[str, Part] = {}
    found = []
    for part in parts:
        (factor,) = part.held
        if factor in first:
            found.append((first[factor], part))
        else:
            first[factor] = part
    return found


def _interaction(blocks: Blocks, contrast: Contrast, first: Part, second: Part, resamples: int) -> Interaction | None:
    a, b = (contrast.by_seed(blocks.outcomes, part) for part in (first, second))
    both = np.isfinite(a) & np.isfinite(b)
    test: Test
    if both.sum() > 1:
        test = statistics.sign_flip((b - a)[both], resamples)
    else:
        sides = a[np.isfinite(a)], b[np.isfinite(b)]
        if min(map(len, sides)) < 2:
            return None
        test = TwoSample([sides])
    p = test.p_two_sided()
    ((other, level),) = first.held.items()
    return Interaction(
        factor=contrast.factor.name,
        level=contrast.level,
        other=other,
        a=level,
        b=second.held[other],
        test=test,
        p=p,
        p_adjusted=p,
    )
