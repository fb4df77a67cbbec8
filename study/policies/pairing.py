"""The parameters of two policies that correspond."""

import collections
import dataclasses
from collections.abc import Collection, Mapping

from torch import Tensor

from study.errors import ConfigError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pairing:
    """The names of the first policy's parameters, by those of the second's.

    Attributes:
        by_name: Parameters whose names agree, after renaming.
        by_shape: Of the others, those whose shape no other has.
        by_order: The rest, in their order.
    """

    by_name: dict[str, str]
    by_shape: dict[str, str]
    by_order: dict[str, str]

    @property
    def names(self) -> dict[str, str]:
        """Return all names."""
        return {**self.by_name, **self.by_shape, **self.by_order}

    def __str__(self) -> str:
        found = [
            f"by {how}: " + ", ".join(f"{own}={other}" for own, other in pairs.items())
            for how, pairs in (("shape", self.by_shape), ("order", self.by_order))
            if pairs
        ]
        hint = "; if that is wrong, rename them" if self.by_order else ""
        return f"parameters were paired {'; '.join(found)}{hint}" if found else "parameters were paired by name"


Parameters = Mapping[str, Tensor]


def pair(
    one: Parameters, other: Parameters, used: tuple[Collection[str], Collection[str]], rename: Mapping[str, str]
) -> Pairing | None:
    """Return how parameters correspond; None if some have no counterpart.

    Args:
        one: The first policy's parameters.
        other: The second's.
        used: For each policy, the names of the parameters that its density or entropy depends on. Others, such as a
            value head's, need no counterpart.
        rename: Beginnings of names, the second's and the first's.

    Raises:
        ConfigError: No parameter's name has a beginning that `rename` has.
    """
    for beginning in rename:
        if not any(name.startswith(beginning) for name in other):
            raise ConfigError(f"rename: no parameter's name begins with {beginning}; there are {', '.join(other)}")
    named = {own: _renamed(own, rename) for own in other}
    by_name = {own: name for own, name in named.items() if name in one and _fit(other[own], one[name])}
    rest = [name for name in one if name not in by_name.values()]
    rest_of_other = [name for name in other if name not in by_name]
    if _sizes(one, rest) != _sizes(other, rest_of_other):
        rest = [name for name in rest if name in used[0]]
        rest_of_other = [name for name in rest_of_other if name in used[1]]
    if _sizes(one, rest) != _sizes(other, rest_of_other):
        return None
    by_shape = _by_shape(one, other, rest, rest_of_other)
    rest = [name for name in rest if name not in by_shape.values()]
    rest_of_other = [name for name in rest_of_other if name not in by_shape]
    by_order = _by_order(one, other, rest, rest_of_other)
    return Pairing(by_name=by_name, by_shape=by_shape, by_order=by_order)


def _renamed(name: str, rename: Mapping[str, str]) -> str:
    for new, old in rename.items():
        if name.startswith(new):
            return old + name.removeprefix(new)
    return name


def _fit(one: Tensor, other: Tensor) -> bool:
    return one.numel() == other.numel()


def _sizes(parameters: Parameters, names: Collection[str]) -> collections.Counter[int]:
    return collections.Counter(parameters[name].numel() for name in names)


def _without_ones(tensor: Tensor) -> tuple[int, ...]:
    return tuple(size for size in tensor.shape if size != 1)


def _by_shape(
    one: Parameters, other: Parameters, names: Collection[str], names_of_other: Collection[str]
) -> dict[str, str]:
    """Return the parameters whose shape no other of the same policy has."""
    found = {}
    for own in names_of_other:
        same = [name for name in names if one[name].shape == other[own].shape]
        twins = [name for name in names_of_other if other[name].shape == other[own].shape]
        if len(same) == len(twins) == 1:
            found[own] = same[0]
    return found


def _by_order(
    one: Parameters, other: Parameters, names: Collection[str], names_of_other: Collection[str]
) -> dict[str, str]:
    """Pair each with the first that is left of the same shape, dimensions of one aside, or else of the same size."""
    left, found = list(names), {}
    for own in names_of_other:
        same = [name for name in left if _without_ones(one[name]) == _without_ones(other[own])]
        same = same or [name for name in left if _fit(one[name], other[own])]
        found[own] = same[0]
        left.remove(same[0])
    return found
