"""Factors: how arms differ, and whether they may."""

import dataclasses
from collections.abc import Iterable
from typing import Self

NUMBER_FORMATS = frozenset({"bfloat16", "float16", "float32", "float64"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Factor:
    """One way in which arms differ: a column of the runs, and its levels.

    Attributes:
        name: The column.
        levels: Its levels as they are reported, the reference first.
        must_agree: Whether all levels are the same mathematics, so that only round-off may tell them apart.
        phrase: A contrast of two levels in words, with the fields `level` and `reference`.
    """

    name: str
    levels: tuple[str, ...]
    must_agree: bool = False
    phrase: str = "{level} instead of {reference}"

    @property
    def reference(self) -> str:
        """The level that each other level is compared with."""
        return self.levels[0]

    @property
    def others(self) -> tuple[str, ...]:
        """The levels that are compared with the reference."""
        return self.levels[1:]

    @property
    def has_number_formats(self) -> bool:
        """Whether the levels are number formats: their gap is rounding by design, and their ULPs differ in size."""
        return NUMBER_FORMATS.issuperset(self.levels)

    def contrast(self, level: str) -> str:
        """Return the contrast of a level and the reference in words."""
        return self.phrase.format(level=level, reference=self.reference)

    def among(self, levels: Iterable[str]) -> Self:
        """Return the factor with only those of its levels that are given, the reference first where it is there."""
        kept = set(levels)
        return dataclasses.replace(self, levels=tuple(level for level in self.levels if level in kept))
