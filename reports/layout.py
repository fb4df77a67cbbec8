"""What there is to compare in a design: which of its runs, in a seed's block, make an effect, a pair, or a control."""

import dataclasses
import functools
import itertools
from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reports.statistics import Array

Factor = Literal["parameterization", "implementation"]
Kind = Literal["parameterization", "implementation", "both"]
Indices = NDArray[np.intp]

PRIMARY: tuple[Factor, Factor] = ("parameterization", "implementation")
REFERENCE = "normal_std"
"""The condition whose deviation between seeds sets the margin: what most of the field writes."""
ORDER = ("variance", "std", "mvn", "normal")
"""An effect is the later level minus the earlier; levels of other names follow in alphabetical order."""


def references(conditions: Iterable[str]) -> set[str]:
    """Those of the conditions whose deviation between seeds sets the margin: `REFERENCE`, or all without it."""
    found = set(conditions)
    return {REFERENCE} if REFERENCE in found else found


class Place(NamedTuple):
    """A run's place in its seed's block."""

    condition: str
    parameterization: str
    implementation: str
    precision: str
    replicate: int


@dataclasses.dataclass(frozen=True, eq=False)
class Contrast:
    """A factor's effect, as weights of a block's runs."""

    a: str
    b: str
    """levels: the effect is b minus a"""
    low: Array
    high: Array
    """weights of the runs at each level, which sum to 1, `[places]`"""

    def of(self, outcomes: Array) -> tuple[Array, Array]:
        """Each seed's means at a and at b: `[seeds, places]` to two `[seeds]`."""
        return outcomes @ self.low, outcomes @ self.high


@dataclasses.dataclass(frozen=True, eq=False)
class PairLayout:
    """Two conditions, compared run by run where precision and replicate are the same."""

    a: str
    b: str
    kind: Kind
    """in what they differ"""
    runs_a: Indices
    runs_b: Indices
    plain: Indices
    nudged: Indices
    """their controls: runs, and the same with a weight nudged"""


@dataclasses.dataclass(frozen=True, eq=False)
class Layout:
    """The places of a design's blocks, in order."""

    places: tuple[Place, ...]

    def levels(self, factor: str) -> list[str]:
        """A factor's levels, in the order of their difference."""
        found = {getattr(place, factor) for place in self.places}
        return sorted(found, key=lambda level: (ORDER.index(level) if level in ORDER else len(ORDER), level))

    @functools.cached_property
    def conditions(self) -> dict[str, Place]:
        """Conditions in order, and what they are, by their first place."""
        return {place.condition: place for place in reversed(self.places)}

    @functools.cached_property
    def contrasts(self) -> dict[Factor, Contrast]:
        """Of each factor that has two levels, somewhere both."""
        found = {factor: self._contrast(factor) for factor in PRIMARY}
        return {factor: contrast for factor, contrast in found.items() if contrast is not None}

    @functools.cached_property
    def pairs(self) -> list[PairLayout]:
        """Of all conditions that share a precision and replicate."""
        found = []
        for a, b in itertools.combinations(sorted(self.conditions), 2):
            own, others = self._runs(a), self._runs(b)
            common = [where for where in own if where in others]
            if common:
                controls = [*_controls(own), *_controls(others)]
                found.append(
                    PairLayout(
                        a=a,
                        b=b,
                        kind=kind_of(self.conditions[a], self.conditions[b]),
                        runs_a=_indices(own[where] for where in common),
                        runs_b=_indices(others[where] for where in common),
                        plain=_indices(plain for plain, _ in controls),
                        nudged=_indices(nudged for _, nudged in controls),
                    )
                )
        return found

    @functools.cached_property
    def reference(self) -> Indices:
        """The runs whose deviation between seeds sets the margin."""
        conditions = references(self.conditions)
        return _indices(index for index, place in enumerate(self.places) if place.condition in conditions)

    @functools.cached_property
    def factorial(self) -> tuple[dict[str, Array], list[int]]:
        """Factors that have two levels, as -1 and 1 by place, and the number of each place's cell in them."""
        factors = {}
        for factor in (*PRIMARY, "precision"):
            levels = self.levels(factor)
            if len(levels) == 2:
                factors[factor] = np.array([-1.0 + 2 * levels.index(getattr(place, factor)) for place in self.places])
        cells = [
            sum(int(signs[place] > 0) << bit for bit, signs in enumerate(factors.values()))
            for place in range(len(self.places))
        ]
        return factors, cells

    def why_no_contrast(self, factor: Factor) -> str:
        """In words, where `contrasts` hasn't it."""
        match self.levels(factor):
            case [only]:
                return f"all runs are of one, {only}"
            case [_, _]:
                return "no two runs differ in it alone"
            case levels:
                return f"it is a contrast of two levels, and here are {len(levels)}: {', '.join(levels)}"

    def _contrast(self, factor: Factor) -> Contrast | None:
        """Levels are compared where the other factor and the precision are the same, and the contrasts are averaged."""
        levels = self.levels(factor)
        if len(levels) != 2:
            return None
        others = [name for name in (*PRIMARY, "precision") if name != factor]
        strata: dict[tuple[str, ...], tuple[list[int], list[int]]] = {}
        for index, place in enumerate(self.places):
            stratum = strata.setdefault(tuple(getattr(place, name) for name in others), ([], []))
            stratum[levels.index(getattr(place, factor))].append(index)
        both = [stratum for stratum in strata.values() if all(stratum)]
        if not both:
            return None
        weights = np.zeros((2, len(self.places)))
        for stratum in both:
            for level, members in enumerate(stratum):
                weights[level, members] = 1 / len(members) / len(both)
        return Contrast(levels[0], levels[1], weights[0], weights[1])

    def _runs(self, condition: str) -> dict[tuple[str, int], int]:
        """A condition's runs by precision and replicate."""
        return {
            (place.precision, place.replicate): index
            for index, place in enumerate(self.places)
            if place.condition == condition
        }


def _controls(runs: dict[tuple[str, int], int]) -> list[tuple[int, int]]:
    """What the nudge does to one condition: the run without it, and each run with it."""
    return [
        (runs[precision, 0], index)
        for (precision, replicate), index in runs.items()
        if replicate and (precision, 0) in runs
    ]


def kind_of(a: Place, b: Place) -> Kind:
    """In what two conditions differ."""
    if a.parameterization == b.parameterization:
        return "implementation"
    return "parameterization" if a.implementation == b.implementation else "both"


def _indices(indices: Iterable[int]) -> Indices:
    return np.array(list(indices), dtype=np.intp)
