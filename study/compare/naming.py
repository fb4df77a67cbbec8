"""What differs in a step, in words: gradients by tensor, or the update computed from the same gradients."""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from study.compare.matching import Pair
from study.compare.recordings import Floats, Whole

PARALLEL = 1e-4
"""1 minus the cosine below which two gradients have the same direction."""
SAME_FACTOR = 2e-3
"""The relative difference of two factors that are the same."""
MOST_NAMES = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compared:
    """A tensor's gradients in both runs.

    Attributes:
        name: The tensor's name.
        factor: The second gradient's component along the first, as a multiple of the first.
        cosine: The cosine of the angle between them.
    """

    name: str
    factor: float
    cosine: float

    @property
    def is_parallel(self) -> bool:
        """Return whether both have the same direction, or opposite ones."""
        return abs(self.cosine) > 1 - PARALLEL


def name_gradients(pair: Pair, a: Whole, b: Whole) -> list[str]:
    """Return how gradients differ, tensor by tensor, in words.

    A factor that most tensors share is named by itself, apart from those of single tensors: clipping the norm of all
    gradients rescales them together, whatever the cause.

    Args:
        pair: The optimizers.
        a: The step of the first run.
        b: The step of the second run.
    """
    compared = [
        _compare(name, one, other)
        for name, one, other in zip(pair.a.names, *_split(pair, a.gradient, b.gradient), strict=True)
        if one.any() or other.any()
    ]
    parallel = [own for own in compared if own.is_parallel]
    turned = [own for own in compared if not own.is_parallel]
    common = _common_factor([own.factor for own in parallel])
    words = []
    shared = [own.name for own in parallel if _is_same(own.factor, common)]
    is_rescaled = not _is_same(common, 1.0)
    several = is_rescaled and len(shared) > 1
    if is_rescaled and shared:
        words.append(f"{_times(common)}: {brief(shared)}{' (a rescaling that these tensors share)' * several}")
    beside = " beside that" * several
    others = sorted((own for own in parallel if own.name not in shared), key=lambda own: own.factor)
    for factor, group in itertools.groupby(others, key=lambda own: float(f"{own.factor / common:.3g}")):
        words.append(f"{_times(factor)}{beside}: {brief([own.name for own in group])}")
    if turned:
        cosines = [own.cosine for own in turned]
        spread = (
            f"cosine {min(cosines):.3f}" if len(turned) == 1 else f"cosines {min(cosines):.3f} to {max(cosines):.3f}"
        )
        words.append(f"another direction ({spread}): {brief([own.name for own in turned])}")
    if shared and words and not is_rescaled:
        words.append(f"the same: {brief(shared)}")
    return words


def name_update(pair: Pair, a: Whole, b: Whole, settings: Mapping[str, tuple[Any, Any]]) -> list[str]:
    """Return how updates of the same gradients differ, in words: the optimizer's settings, and the size of the step."""
    changed = [f"{name} {one} against {other}" for name, (one, other) in settings.items() if one != other]
    move, other = (np.concatenate(own) for own in _split(pair, a.after - a.before, b.after - b.before))
    size = _compare("the step", move, other)
    step = f"the step is {size.factor:.4g} times as large" if size.is_parallel else "the step has another direction"
    return [f"the optimizer: {', '.join(changed)}"] * bool(changed) + [step]


def brief(names: Sequence[str]) -> str:
    """Return names as a list in words, which is cut after `MOST_NAMES`."""
    if len(names) <= MOST_NAMES:
        return ", ".join(names)
    return f"{', '.join(names[: MOST_NAMES - 1])} and {len(names) - MOST_NAMES + 1} more"


def _compare(name: str, one: Floats, other: Floats) -> Compared:
    sizes = float(np.linalg.norm(one)), float(np.linalg.norm(other))
    if not sizes[0]:
        return Compared(name=name, factor=math.inf, cosine=0.0)
    inner = float(one @ other)
    cosine = inner / (sizes[0] * sizes[1]) if sizes[1] else 1.0
    return Compared(name=name, factor=inner / sizes[0] ** 2, cosine=cosine)


def _split(pair: Pair, one: Floats, other: Floats) -> tuple[list[Floats], list[Floats]]:
    """Return both runs' numbers by tensor, in the order of the first run's tensors."""
    own = np.split(one, np.cumsum([math.prod(shape) for shape in pair.a.shapes])[:-1])
    their = np.split(other, np.cumsum([math.prod(shape) for shape in pair.b.shapes])[:-1])
    return own, [their[index] for index in pair.order]


def _common_factor(factors: Sequence[float]) -> float:
    """Return the factor that most gradients share; 1 where no two share one."""
    votes = {factor: sum(_is_same(factor, other) for other in factors) for factor in factors}
    best = max(votes, key=lambda factor: votes[factor], default=1.0)
    ones = sum(_is_same(factor, 1.0) for factor in factors)
    return best if votes.get(best, 0) > max(ones, 1) or len(factors) == 1 else 1.0


def _is_same(factor: float, other: float) -> bool:
    return factor == other or (other != 0 and abs(factor / other - 1) < SAME_FACTOR)


def _times(factor: float) -> str:
    if factor == 0:
        return "none, where the first arm has one"
    return f"{factor:.4g} times as large"
