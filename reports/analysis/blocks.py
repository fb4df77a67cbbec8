"""Outcomes by seed, and the contrasts that are taken inside a seed's block.

Only unperturbed runs (replicate 0) enter an effect. Runs with a replicate above 0 are ULP controls: they differ from
their arm's unperturbed run by a one-ULP perturbation, and what that does to an outcome is the *response*.
"""

import dataclasses
import functools
import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from reports.factors import Factor
from reports.sources.runs import LARGEST, as_numbers
from reports.statistics import Array

Goal = Literal["maximize", "minimize"]
Flags = NDArray[np.bool_]


@dataclasses.dataclass(frozen=True)
class Arm:
    """A condition, and its level of each factor."""

    name: str
    levels: Mapping[str, str]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Blocks:
    """The runs of a design, by seed.

    Attributes:
        seeds: One for each block; where runs are unpaired, numbers without a meaning.
        arms: In the order of the reference first.
        precisions: The precisions that there are.
        outcomes: Of unperturbed runs, `[seeds, arms, precisions]`; NaN where a run failed or isn't there.
        failed: Which of these failed, of the same shape.
        controls: Of perturbed runs, `[seeds, arms, precisions, replicates]`; NaN where there is none.
        failed_controls: Which of these failed, of the same shape.
        goal: Whether large outcomes are good: a failed run is the worst.
    """

    seeds: tuple[int, ...]
    arms: tuple[Arm, ...]
    precisions: tuple[str, ...]
    outcomes: Array
    failed: Flags
    controls: Array
    failed_controls: Flags
    goal: Goal = "maximize"

    @property
    def ended(self) -> Flags:
        """Which unperturbed runs are there, finished or failed, `[seeds, arms, precisions]`."""
        return np.asarray(np.isfinite(self.outcomes) | self.failed)

    @functools.cached_property
    def failures(self) -> Array:
        """1 for an unperturbed run that failed, 0 for one that finished, NaN for none, `[seeds, arms, precisions]`."""
        return np.where(self.ended, self.failed.astype(float), np.nan)

    @property
    def ended_controls(self) -> Flags:
        """Which perturbed runs are there, finished or failed, `[seeds, arms, precisions, replicates]`."""
        return np.asarray(np.isfinite(self.controls) | self.failed_controls)

    @property
    def responses(self) -> Array:
        """The change of an outcome by a one-ULP perturbation, `[seeds, arms, precisions, replicates]`."""
        return self.controls - self.outcomes[..., None]

    @functools.cached_property
    def ranks(self) -> Array:
        """Ranks of unperturbed runs among all of them; the failed share the worst. NaN where a run isn't there."""
        worst = -np.inf if self.goal == "maximize" else np.inf
        scores = np.where(self.failed, worst, self.outcomes)
        return np.asarray(stats.rankdata(scores, nan_policy="omit").reshape(scores.shape))

    def smallest(self, paired: bool) -> int:
        """Return the number of seeds with a run that ended, or of such runs if unpaired, of the arm with fewest."""
        if not paired:
            return int(self.ended.sum(axis=(0, 2)).min(initial=self.ended.size))
        return int(np.any(self.ended, axis=2).sum(axis=0).min(initial=len(self.seeds)))

    @property
    def has_failures(self) -> bool:
        """Whether any unperturbed run failed."""
        return bool(self.failed.any())

    @property
    def has_controls(self) -> bool:
        """Whether any one-ULP response is known."""
        return bool(np.isfinite(self.responses).any())


def make_blocks(runs: pd.DataFrame, outcome: str, factors: Sequence[Factor], goal: Goal = "maximize") -> Blocks:
    """Return a design's runs, arranged by seed.

    A finished run whose outcome isn't a finite number counts as failed. Runs that are unfinished, missing or damaged
    are not there.

    Args:
        runs: A row for each run, with the columns of `reports.sources`; no two of the same arm, precision, replicate
            and seed.
        outcome: The outcome's column.
        factors: In what the arms differ.
        goal: Whether large outcomes are good.
    """
    arms = order_arms(runs, factors)
    index = {arm.name: number for number, arm in enumerate(arms)}
    seeds, precisions = sorted(set(runs["seed"])), sorted(set(runs["precision"]))
    replicates = sorted(set(runs["replicate"]) - {0})
    shape = (len(seeds), len(arms), len(precisions))
    outcomes, failed = np.full(shape, np.nan), np.zeros(shape, dtype=bool)
    controls = np.full((*shape, len(replicates)), np.nan)
    failed_controls = np.zeros(controls.shape, dtype=bool)
    at = (
        np.searchsorted(seeds, runs["seed"]),
        runs["condition"].map(index).to_numpy(dtype=int),
        np.searchsorted(precisions, runs["precision"].to_numpy(dtype=object)),
    )
    values = as_numbers(runs[outcome]).to_numpy(dtype=float)
    with np.errstate(invalid="ignore"):
        finite = np.abs(values) < LARGEST
    status, replicate = runs["status"].to_numpy(dtype=object), runs["replicate"].to_numpy()
    ended = status == "finished"
    for row in np.flatnonzero((ended & ~finite) | (status == "failed")):
        where = (at[0][row], at[1][row], at[2][row])
        if replicate[row] == 0:
            failed[where] = True
        else:
            failed_controls[(*where, replicates.index(replicate[row]))] = True
    for row in np.flatnonzero(ended & finite):
        where = (at[0][row], at[1][row], at[2][row])
        if replicate[row] == 0:
            outcomes[where] = values[row]
        else:
            controls[(*where, replicates.index(replicate[row]))] = values[row]
    return Blocks(
        seeds=tuple(int(seed) for seed in seeds),
        arms=arms,
        precisions=tuple(map(str, precisions)),
        outcomes=outcomes,
        failed=failed,
        controls=controls,
        failed_controls=failed_controls,
        goal=goal,
    )


def order_arms(runs: pd.DataFrame, factors: Sequence[Factor]) -> tuple[Arm, ...]:
    """Return the conditions that there are, in the order of their levels, the reference first."""
    names = [factor.name for factor in factors]
    found = runs.drop_duplicates("condition")
    arms = [
        Arm(str(row["condition"]), {name: str(row[name]) for name in names})
        for row in found[list(dict.fromkeys(["condition", *names]))].to_dict("records")
    ]
    return tuple(
        sorted(arms, key=lambda arm: ([factor.levels.index(arm.levels[factor.name]) for factor in factors], arm.name))
    )


def factors_of(runs: pd.DataFrame, factors: Sequence[Factor]) -> tuple[Factor, ...]:
    """Return the factors with the levels that these runs have."""
    return tuple(factor.among(set(runs[factor.name].astype(str))) for factor in factors)


@dataclasses.dataclass(frozen=True)
class Stratum:
    """Arms at a level and at the reference that can be compared, since all other factors are the same.

    Attributes:
        levels: Those of the other factors.
        reference: The arms at the reference.
        level: The arms at the level.
    """

    levels: Mapping[str, str]
    reference: tuple[int, ...]
    level: tuple[int, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """Some strata and precisions of a contrast: all of them, or those at some levels of other factors.

    Attributes:
        held: The level at which each of these other factors is held, "precision" among them; empty for all.
        strata: Their numbers.
        precisions: Their numbers.
        crossed: Two levels of each of several other factors, over which the difference changes its sign; or empty.
        signs: Those that it has, `[strata, precisions]`; None where it is crossed with nothing.
    """

    held: Mapping[str, str]
    strata: tuple[int, ...]
    precisions: tuple[int, ...]
    crossed: Mapping[str, tuple[str, str]] = dataclasses.field(default_factory=dict)
    signs: Array | None = None

    @property
    def name(self) -> str:
        """The levels that are held or crossed, in words; empty for all."""
        held = [f"{factor} {level}" for factor, level in self.held.items()]
        crossed = [f"{factor} {first}/{second}" for factor, (first, second) in self.crossed.items()]
        return " and ".join(crossed) or ", ".join(held)


@dataclasses.dataclass(frozen=True, eq=False)
class Contrast:
    """A level of a factor against its reference, inside each seed's block.

    Attributes:
        factor: The factor.
        level: The level that is compared with the reference.
        strata: Where they can be compared.
        precisions: The precisions of the runs.
        compared_at: The levels of the other factors, and the precisions, at which there are runs of both levels; None
            where there are runs of both wherever there are any.
    """

    factor: Factor
    level: str
    strata: tuple[Stratum, ...]
    precisions: tuple[str, ...]
    compared_at: tuple[str, ...] | None = None

    @property
    def where(self) -> str:
        """`compared_at` in words; empty where it is None."""
        return "" if self.compared_at is None else "; ".join(self.compared_at) or "no level of the others"

    @functools.cached_property
    def whole(self) -> Part:
        """All strata and precisions."""
        return self._part({})

    @functools.cached_property
    def parts(self) -> tuple[Part, ...]:
        """Each level of each other factor, and each precision, where there are several."""
        return tuple(self._part({name: level}) for name, levels in self._others.items() for level in levels)

    @functools.cached_property
    def cells(self) -> tuple[Part, ...]:
        """Each combination of levels of the other factors and precisions that there is; none where those are `parts`.

        An effect in one cell alone, or of opposite signs in several, may not be seen in any of `parts`.
        """
        if len(self._others) < 2:
            return ()
        combined = (
            dict(zip(self._others, levels, strict=True)) for levels in itertools.product(*self._others.values())
        )
        return tuple(part for held in combined if (part := self._part(held)).strata)

    @functools.cached_property
    def crossings(self) -> tuple[Part, ...]:
        """The interactions with several other factors at once, where there are arms in all cells.

        In each, the difference changes its sign between the first level and another one of two or more other factors: a
        pattern that cancels in all of `parts`. It is symmetric where all cells' runs are distributed alike, as a single
        cell's difference needn't be.
        """
        pairs = {name: [(first, other) for other in others] for name, (first, *others) in self._others.items()}
        found = [
            self._crossing(dict(zip(names, crossed, strict=True)))
            for number in range(2, len(pairs) + 1)
            for names in itertools.combinations(pairs, number)
            for crossed in itertools.product(*(pairs[name] for name in names))
        ]
        return tuple(part for part in found if part is not None)

    @functools.cached_property
    def _others(self) -> dict[str, list[str]]:
        """The levels of each other factor that has several, and of the precision."""
        found = {name: list(dict.fromkeys(each.levels[name] for each in self.strata)) for name in self.strata[0].levels}
        found["precision"] = list(self.precisions)
        return {name: levels for name, levels in found.items() if len(levels) > 1}

    def _part(self, held: Mapping[str, str]) -> Part:
        """Return the part in which these other factors, and the precision, are at these levels."""
        return Part(
            held,
            tuple(
                number
                for number, stratum in enumerate(self.strata)
                if all(stratum.levels.get(name, level) == level for name, level in held.items())
            ),
            tuple(number for number, name in enumerate(self.precisions) if name == held.get("precision", name)),
        )

    def _crossing(self, crossed: Mapping[str, tuple[str, str]]) -> Part | None:
        """Return the part of these two levels of other factors; None unless there are arms in each of its cells."""
        cells = {
            (stratum, precision): {**self.strata[stratum].levels, "precision": self.precisions[precision]}
            for stratum, precision in itertools.product(range(len(self.strata)), range(len(self.precisions)))
        }
        signs: dict[tuple[int, int], int] = {}
        alike: Counter[tuple[str, ...]] = Counter()
        for cell, levels in cells.items():
            if all(levels[name] in pair for name, pair in crossed.items()):
                signs[cell] = math.prod(1 if levels[name] == first else -1 for name, (first, _) in crossed.items())
                alike[tuple(level for name, level in levels.items() if name not in crossed)] += 1
        if set(alike.values()) != {2 ** len(crossed)}:
            return None
        strata, precisions = (tuple(dict.fromkeys(numbers)) for numbers in zip(*signs, strict=True))
        own = np.array([[signs[stratum, precision] for precision in precisions] for stratum in strata], dtype=float)
        return Part({}, strata, precisions, crossed, own)

    def differences(self, values: Array, part: Part | None = None) -> Array:
        """Return level minus reference: `[seeds, arms, precisions, ...]` to `[seeds, strata, precisions, ...]`.

        Args:
            values: Of all runs.
            part: Only its strata and precisions, with its signs, which take values of three axes; by default all.
        """
        part = part or self.whole
        own = values[:, :, list(part.precisions)]
        strata = [self.strata[number] for number in part.strata]
        found = np.stack([_mean(own, each.level) - _mean(own, each.reference) for each in strata], axis=1)
        return found if part.signs is None else found * part.signs

    def sides(self, values: NDArray[Any], part: Part | None = None) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return single runs at the reference and at the level, `[seeds, arms of all strata, precisions, ...]` each.

        Args:
            values: Of all runs, `[seeds, arms, precisions, ...]`.
            part: Only these strata and precisions; by default all.
        """
        part = part or self.whole
        own, precisions = [self.strata[number] for number in part.strata], list(part.precisions)
        return tuple(  # type: ignore[return-value]
            np.concatenate([values[:, list(getattr(stratum, side))] for stratum in own], axis=1)[:, :, precisions]
            for side in ("reference", "level")
        )

    def by_seed(self, values: Array, part: Part) -> Array:
        """Return each seed's contrast, `[seeds]`: the mean over those strata and precisions in which it has both sides.

        NaN for a seed without any, and in an interaction for one that has more of one sign: it would be of the main
        effect too. Where only the rounding of means tells both levels apart, it is zero.
        """
        signed = self.differences(values, part)
        differences = mean_of_known(signed)
        if part.signs is not None:
            balance = np.where(np.isfinite(signed), part.signs, 0.0).sum(axis=(1, 2))
            differences = np.where(balance == 0, differences, np.nan)
        size = float(np.nanmax(np.abs(values), initial=0.0))
        return np.where(np.abs(differences) < 1e-13 * size, 0.0, differences)


def _mean(values: Array, arms: Sequence[int]) -> Array:
    """Return the mean over some arms: `[seeds, arms, ...]` to `[seeds, ...]`."""
    return values[:, arms[0]] if len(arms) == 1 else values[:, list(arms)].mean(axis=1)


def mean_of_known(values: Array) -> Array:
    """Return the mean over all axes but the first of what isn't NaN: `[seeds, ...]` to `[seeds]`; NaN where all is."""
    flat = values.reshape(len(values), -1)
    known = np.isfinite(flat)
    counts = known.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.where(counts > 0, np.where(known, flat, 0.0).sum(axis=1) / np.maximum(counts, 1), np.nan)


def contrasts(blocks: Blocks, factors: Sequence[Factor]) -> list[Contrast]:
    """Return the contrasts that these arms allow: of each factor, each level with the reference."""
    found = []
    for factor in factors:
        others = [other.name for other in factors if other is not factor]
        for level in factor.others:
            strata = tuple(_strata(blocks.arms, factor, level, others))
            if strata:
                contrast = Contrast(factor, level, strata, blocks.precisions)
                found.append(dataclasses.replace(contrast, compared_at=_compared_at(blocks, contrast)))
    return found


def _compared_at(blocks: Blocks, contrast: Contrast) -> tuple[str, ...] | None:
    """Return a contrast's `compared_at`."""
    others = {name: {arm.levels[name] for arm in blocks.arms} for name in contrast.strata[0].levels}
    several = [name for name, levels in others.items() if len(levels) > 1]

    def combinations(levels: Sequence[Mapping[str, str]], is_there: NDArray[Any]) -> dict[str, None]:
        """Return the names of combinations of levels and precisions for which `is_there` is true.

        Args:
            levels: By combination.
            is_there: `[combinations, precisions]`.
        """
        found = []
        for combination, precision in np.argwhere(is_there).tolist():
            names = [f"{name} {levels[combination][name]}" for name in several]
            names += [f"precision {blocks.precisions[precision]}"] * (len(blocks.precisions) > 1)
            found.append(", ".join(names))
        return dict.fromkeys(found)

    there = combinations([arm.levels for arm in blocks.arms], np.any(blocks.ended, axis=0))
    both = np.any(np.isfinite(contrast.differences(blocks.failures)), axis=0)
    compared = combinations([stratum.levels for stratum in contrast.strata], both)
    return None if compared.keys() >= there.keys() else tuple(compared)


def _strata(arms: Sequence[Arm], factor: Factor, level: str, others: Sequence[str]) -> list[Stratum]:
    by_levels: dict[tuple[str, ...], dict[str, list[int]]] = {}
    for number, arm in enumerate(arms):
        sides = by_levels.setdefault(tuple(arm.levels[name] for name in others), {})
        sides.setdefault(arm.levels[factor.name], []).append(number)
    return [
        Stratum(dict(zip(others, levels, strict=True)), tuple(sides[factor.reference]), tuple(sides[level]))
        for levels, sides in by_levels.items()
        if factor.reference in sides and level in sides
    ]


def has_runs(blocks: Blocks, contrast: Contrast, paired: bool) -> bool:
    """Return whether any seed, or any stratum of unpaired runs, has ended runs at both levels."""
    if paired:
        return bool(np.isfinite(contrast.by_seed(blocks.failures, contrast.whole)).any())
    return all(np.isfinite(side).any() for side in contrast.sides(blocks.failures))


def arm_pairs(arms: Sequence[Arm]) -> list[tuple[int, int]]:
    """Return all pairs of arms, the earlier first."""
    return list(itertools.combinations(range(len(arms)), 2))
