"""What makes a run's bits independent of its company, and of the machine's mood.

`torch.bmm` and `torch.vmap` aren't batch-invariant: a product of one matrix takes another kernel than one of many. So
the engine multiplies with NumPy's `matmul`, which takes stacked matrices one after the other, and everything else that
rounds by where a number lies, or by how many there are, has its substitute here.
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
"""A run's parameters begin at, and are, a multiple of so many numbers, 64 bytes in float32: the optimizer computes what
is left over from the processor's whole vectors otherwise, and what is left over would depend on how many runs there
are. Guarded by `test_cohort.py::test_a_run_has_the_same_bits_in_any_batch`."""

MATRIX_BYTES = 32
"""A vector of the processor: matrices of a multiple of its size, one behind the other, are all aligned alike."""

WIDTH = 4
"""Inputs and outputs are filled up with zeros to a multiple of it: NumPy multiplies columns of one number slowly."""


def rounded_up(size: int, multiple: int) -> int:
    """Return the next multiple."""
    return size + -size % multiple


def softplus(numbers: Tensor) -> Tensor:
    """`torch.nn.functional.softplus`, whose last bit depends on whether a number falls into a whole vector."""
    return torch.where(numbers > 20, numbers, numbers.clamp(max=20).exp().log1p())


def mean(values: Floats) -> Floats:
    """Of each run's values, `[..., batch]` to `[...]`: the same sum of a row however many rows there are."""
    total: Floats = np.add.reduce(values, axis=-1)
    means: Floats = total / values.shape[-1]
    return means


def variance(values: Floats) -> Floats:
    """Unbiased variance of each run's values, `[..., batch]` to `[...]`."""
    count = values.shape[-1]
    deviations: Floats = values - mean(values)[..., None]
    unbiased: Floats = mean(np.square(deviations)) * (count / (count - 1))
    return unbiased


def use_one_thread() -> None:
    """Have torch, and the library in which NumPy multiplies matrices, compute in one thread from now on.

    With several, work is cut up by how many there are, and a run may not repeat bit for bit. One is also the fastest
    for networks as small as these; a machine's other cores train other cohorts.
    """
    torch.set_num_threads(1)
    threadpoolctl.threadpool_limits(1, user_api="blas")


def count_threads() -> int:
    """The threads in which they compute: the larger number of both."""
    return max([torch.get_num_threads(), *(int(library["num_threads"]) for library in blas_libraries())])


def blas_libraries() -> list[dict[str, Any]]:
    """What `threadpoolctl` says of the libraries that multiply matrices: their names, versions and kernels.

    SciPy has one of its own, which no run uses: whether it is loaded mustn't tell two runs apart.
    """
    found = [library for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas"]
    return [library for library in found if Path(library["filepath"]).parent.name != "scipy.libs"]
