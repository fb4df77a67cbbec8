"""`study.watch`: one line in a script whose training `study compare` doesn't see by itself."""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # `import study` stays quick
    from numpy.typing import ArrayLike


def watch(
    parameters: Mapping[str, "ArrayLike"],
    *,
    step: int,
    gradients: Mapping[str, "ArrayLike"] | None = None,
    optimizer: int = 0,
) -> None:
    """Record a training step for `study compare`; do nothing where a script isn't run by it.

    For JAX, for optimizers that aren't `torch.optim`'s, and for steps inside of a CUDA graph.

    Args:
        parameters: By name, after the step: arrays of any shape and precision.
        step: The step's number, from 1.
        gradients: By name, those that the step was made of.
        optimizer: The optimizer's number, where there are several.
    """
    probe = sys.modules.get("study_probe")
    if probe is not None:
        probe.manual.watch(parameters, step, gradients, optimizer)
