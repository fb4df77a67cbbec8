"""The optimizers and tensors of two runs that correspond."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from study.compare.recordings import Optimizer, Recording

ALIKE = 1e-3
"""The relative distance below which initial weights are of the same tensor."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pair:
    """An optimizer of each of two runs, whose tensors correspond.

    Attributes:
        a: The first run's optimizer.
        b: The second run's.
        order: For each tensor of a, the index of b's.
    """

    a: Optimizer
    b: Optimizer
    order: Sequence[int]


def match(a: Recording, b: Recording) -> list[Pair] | None:
    """Pair the optimizers of two runs, in the order of their first steps.

    Returns:
        The pairs; None where the numbers of optimizers or the shapes of their tensors differ.
    """
    if len(a.optimizers) != len(b.optimizers):
        return None
    pairs = []
    for one, other in zip(a.optimizers.values(), b.optimizers.values(), strict=True):
        order = match_tensors(one, other)
        if order is None:
            return None
        pairs.append(Pair(a=one, b=other, order=order))
    return pairs


def match_tensors(a: Optimizer, b: Optimizer) -> list[int] | None:
    """Return for each tensor of a the index of b's, by name, by order, or else by their initial values."""
    if sorted(a.names) == sorted(b.names) and len(set(a.names)) == len(a.names):
        order = [b.names.index(name) for name in a.names]
        if [_plain(b.shapes[index]) for index in order] == [_plain(shape) for shape in a.shapes]:
            return order
    if [_plain(shape) for shape in a.shapes] == [_plain(shape) for shape in b.shapes]:
        in_order = list(range(len(a.names)))
        return in_order if _are_alike(a, b, in_order) else _match_by_values(a, b) or in_order
    return _match_by_values(a, b)


def _plain(shape: Sequence[int]) -> tuple[int, ...]:
    """Return a shape without its ones: a row vector has the numbers of a vector."""
    return tuple(length for length in shape if length != 1)


def _are_alike(a: Optimizer, b: Optimizer, order: Sequence[int]) -> bool:
    return all(_distance(a, index, b, other) < ALIKE for index, other in enumerate(order))


def _match_by_values(a: Optimizer, b: Optimizer) -> list[int] | None:
    """Return for each tensor of a the index of one of b's with its shape and its values; None if one has none.

    Tensors with unique values come first. Biases that are zero have the same values: such a bias is matched by its
    module, whose other tensors match. Those without such a module come last.
    """
    unique = {_module(name) for index, name in enumerate(a.names) if not _is_constant(a, index)}

    def rank(index: int) -> tuple[bool, bool]:
        return _is_constant(a, index), _module(a.names[index]) not in unique

    left = set(range(len(b.names)))
    order: dict[int, int] = {}
    for index in sorted(range(len(a.names)), key=rank):
        found = [other for other in sorted(left) if _plain(b.shapes[other]) == _plain(a.shapes[index])]
        found = [other for other in found if _distance(a, index, b, other) < ALIKE]
        if not found:
            return None
        modules = {_module(b.names[order[own]]) for own in order if _module(a.names[own]) == _module(a.names[index])}
        order[index] = next((other for other in found if _module(b.names[other]) in modules), found[0])
        left.discard(order[index])
    return None if left else [order[index] for index in range(len(a.names))]


def _is_constant(optimizer: Optimizer, index: int) -> bool:
    """Return whether a tensor's initial values are all zero, so that other tensors may have the same."""
    return not np.any(optimizer.sketches[index]) if optimizer.sketches else False


def _module(name: str) -> str:
    return name.rpartition(".")[0]


def _distance(a: Optimizer, index: int, b: Optimizer, other: int) -> float:
    """Return the relative distance of two tensors' initial values."""
    if not a.hashes or not b.hashes or a.hashes[index] == b.hashes[other]:
        return 0.0
    one, two = np.array(a.sketches[index]), np.array(b.sketches[other])
    size = float(np.linalg.norm(one))
    return float(np.linalg.norm(one - two)) / size if size else float(np.linalg.norm(two))
