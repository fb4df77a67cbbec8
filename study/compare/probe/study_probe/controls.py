"""Changes of weights: one-ULP perturbations, which are the controls, and the weights of another run."""

from __future__ import annotations

import glob
import json
import math
import os
from typing import Any, Sequence

from .settings import Settings

LARGE = 0.1
"""The fraction of its tensor's largest weight from which a weight is large. A zero's neighbour is a denormal number,
which would vanish."""


def neighbours(tensor: Any, direction: Any) -> Any:
    """Return the next representable numbers: below, the same or above, for -1, 0 or 1 in `direction`."""
    import torch

    up = torch.nextafter(tensor, torch.full_like(tensor, float("inf")))
    down = torch.nextafter(tensor, torch.full_like(tensor, float("-inf")))
    return torch.where(direction > 0, up, torch.where(direction < 0, down, tensor))


def perturb_one(parameters: Sequence[Any], seed: int) -> tuple[int, int, float, float] | None:
    """Move one large weight of the largest matrix up by one ULP.

    Args:
        parameters: Tensors of an optimizer.
        seed: Chooses the weight.

    Returns:
        The index of its tensor and of the weight, and the weight before and after; None without a matrix.

    Raises:
        ArithmeticError: No bit changed.
    """
    import torch

    matrices = [index for index, parameter in enumerate(parameters) if parameter.dim() >= 2]
    if not matrices:
        return None
    chosen = max(matrices, key=lambda index: parameters[index].numel())
    with torch.no_grad():
        weights = parameters[chosen].data.reshape(-1)
        large = (weights.abs() >= LARGE * weights.abs().max()).nonzero().reshape(-1)
        index = int(large[seed % len(large)])
        before = weights[index].clone()
        weights[index] = neighbours(before, torch.ones_like(before))
        parameters[chosen].data.copy_(weights.view_as(parameters[chosen]))
    after = parameters[chosen].data.reshape(-1)[index]
    if bool(after == before):
        raise ArithmeticError("the one-ULP perturbation changed no bit")
    return chosen, index, float(before), float(after)


def jitter(parameters: Sequence[Any], generator: Any) -> None:
    """Move every weight by -1, 0 or 1 ULP, drawn at random."""
    import torch

    with torch.no_grad():
        for parameter in parameters:
            direction = torch.randint(-1, 2, parameter.shape, generator=generator).to(parameter.device)
            parameter.data.copy_(neighbours(parameter.data, direction))


class NoCounterpartError(LookupError):
    """A tensor that is to take another run's weights has no counterpart there."""


def take_weights(parameters: Sequence[Any], names: Sequence[str], optimizer: int, settings: Settings) -> dict[str, str]:
    """Give parameters the initial weights of another run.

    Args:
        parameters: Tensors of an optimizer.
        names: Their names.
        optimizer: The optimizer's number.
        settings: The other run's folder, and how names correspond.

    Returns:
        The other run's names, by this run's.

    Raises:
        NoCounterpartError: The other run has no tensor of that name and size.
    """
    import torch

    theirs = _initial_weights(settings.weights, optimizer)
    taken: dict[str, str] = {}
    for name, parameter in zip(names, parameters):
        other = next((to + name[len(own) :] for own, to in settings.rename if name.startswith(own)), name)
        if other not in theirs or theirs[other].size != parameter.numel():
            raise NoCounterpartError(
                f"{name} takes nothing: {other} isn't among {', '.join(sorted(theirs))}, or of another size"
            )
        taken[name] = other
    with torch.no_grad():
        for name, parameter in zip(names, parameters):
            values = torch.as_tensor(theirs[taken[name]]).reshape(parameter.shape)
            parameter.copy_(values.to(parameter.dtype))
    return taken


def _initial_weights(folder: str, optimizer: int) -> dict[str, Any]:
    """Return another run's initial weights by name."""
    import numpy

    for path in sorted(glob.glob(os.path.join(folder, "events-*.jsonl"))):
        with open(path, encoding="utf-8") as file:
            events = [json.loads(line) for line in file if line.startswith('{"kind": "optimizer"')]
        found = next((event for event in events if event["number"] == optimizer), None)
        if found is not None:
            with numpy.load(os.path.join(folder, found["whole"])) as arrays:
                whole = arrays["before"]
            ends = numpy.cumsum([math.prod(shape) for shape in found["shapes"]])
            return dict(zip(found["names"], numpy.split(whole, ends[:-1])))
    raise LookupError(f"{folder} has no weights of an optimizer {optimizer}")
