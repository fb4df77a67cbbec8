"""Batch invariance: arithmetic by which a run's bits don't depend on the other runs of the batch.

`torch.bmm` and `torch.vmap` aren't batch-invariant: a product of one matrix takes another kernel than one of many. So
the engine multiplies with NumPy's `matmul`, which takes stacked matrices one after the other. This module replaces all
else whose rounding depends on where a number lies in memory, or on the number of runs.
"""

from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.floating[Any]]

ALIGNMENT = 16
"""Each parameter of a run begins at a multiple of 16 numbers, 64 bytes in float32, and is padded to one. Without that,
the optimizer would compute the numbers that don't fill a vector of the processor differently, and which numbers those
are would depend on the number of runs. Tests of batch invariance guard this."""

MATRIX_BYTES = 32
"""The size of a vector of the processor: consecutive matrices of a multiple of it are all aligned alike."""

WIDTH = 4
"""Inputs and outputs are padded with zeros to a multiple of it: NumPy multiplies columns of one number slowly."""


def rounded_up(size: int, multiple: int) -> int:
    """Return a size, rounded up to a multiple."""
    return size + -size % multiple


def softplus(numbers: Tensor) -> Tensor:
    """Return the softplus of numbers. The last bit of torch's own depends on whether a number is in a full vector."""
    return torch.where(numbers > 20, numbers, numbers.clamp(max=20).exp().log1p())


def mean(values: Floats) -> Floats:
    """Return the mean of each run's values, `[..., batch]` to `[...]`, summed alike for any number of runs."""
    total: Floats = np.add.reduce(values, axis=-1)
    means: Floats = total / values.shape[-1]
    return means


def variance(values: Floats) -> Floats:
    """Return the unbiased variance of each run's values, `[..., batch]` to `[...]`."""
    count = values.shape[-1]
    centred: Floats = values - mean(values)[..., None]
    unbiased: Floats = mean(np.square(centred)) * (count / (count - 1))
    return unbiased


def use_one_thread() -> None:
    """Make torch, and the library in which NumPy multiplies matrices, compute in one thread from now on.

    With several, work is divided by their number, and a run may not repeat bit for bit. One is also the fastest for
    networks as small as these; a machine's other cores train other cohorts.
    """
    torch.set_num_threads(1)
    threadpoolctl.threadpool_limits(1, user_api="blas")


def count_threads() -> int:
    """Return the number of threads in which torch and NumPy's library compute, the larger of both."""
    return max([torch.get_num_threads(), *(int(library["num_threads"]) for library in blas_libraries())])


def blas_libraries() -> list[dict[str, Any]]:
    """Return what `threadpoolctl` finds of the libraries that multiply matrices: names, versions and kernels.

    SciPy's own is left out: no run uses it, so the provenance of runs mustn't depend on whether it is loaded.
    """
    found = [library for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas"]
    return [library for library in found if Path(library["filepath"]).parent.name != "scipy.libs"]
