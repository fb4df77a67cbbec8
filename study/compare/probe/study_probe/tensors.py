"""Hashes, sketches and names of tensors."""

from __future__ import annotations

import gc
import hashlib
from typing import Any, Sequence

SKETCH = 16
"""The most numbers of a sketch."""
_signs: dict[int, Any] = {}


def bits(value: Any) -> bytes:
    """Return the bytes of a tensor or an array."""
    import numpy

    if hasattr(value, "detach"):
        import torch

        value = value.detach().reshape(-1).to("cpu").contiguous().view(torch.uint8)
    return numpy.ascontiguousarray(value).tobytes()


def numbers(value: Any) -> Any:
    """Return the numbers of a tensor or an array in float64, `[numbers]`."""
    import numpy

    if hasattr(value, "detach"):
        value = value.detach().to("cpu").double()
    return numpy.asarray(value, dtype=numpy.float64).reshape(-1)


def hash_of(value: Any) -> str:
    """Return a hash of the bits of a tensor or an array."""
    return hashlib.blake2b(bits(value), digest_size=8).hexdigest()


def sketch(value: Any) -> list[float]:
    """Return a count sketch (Charikar et al. 2002) of a tensor or an array: at most 16 sums with random signs.

    It is linear, and its squared norm is on average that of the tensor. So the norm of the difference of two sketches
    tells how far two tensors are apart, whichever of their numbers differ.
    """
    import numpy

    content = numbers(value)
    if content.size <= SKETCH:
        return [float(number) for number in content]
    if content.size not in _signs:
        _signs[content.size] = _make_signs(content.size)
    signed = numpy.zeros(-(-content.size // SKETCH) * SKETCH)
    signed[: content.size] = content * _signs[content.size]
    return [float(number) for number in signed.reshape(-1, SKETCH).sum(axis=0)]


def _make_signs(size: int) -> Any:
    """Return -1 or 1 for each index, by integer arithmetic that is the same everywhere."""
    import numpy

    index: Any = numpy.arange(size, dtype=numpy.uint64)
    mixed: Any = (index * 2654435761 + 40503) % 4294967296
    mixed = (mixed ^ (mixed >> 16)) * 73244475 % 4294967296
    return (mixed >> 15 & 1) * 2.0 - 1.0


def names_of(parameters: Sequence[Any]) -> list[str]:
    """Return the names of parameters, by the module that has most of them."""
    import torch

    wanted = {id(parameter) for parameter in parameters}
    best: dict[int, str] = {}
    for thing in gc.get_objects():
        try:
            if issubclass(type(thing), torch.nn.Module):  # `isinstance` would run code of proxies
                found = {id(p): name for name, p in thing.named_parameters() if id(p) in wanted}
                if len(found) > len(best):
                    best = found
        except Exception:  # objects that are half built, or proxies of others
            continue
    return [best.get(id(parameter), f"tensor {index}") for index, parameter in enumerate(parameters)]
