"""One thread: with several, work is cut up by how many there are, and a run may not repeat bit for bit.

One thread is also the fastest for networks as small as these; a machine's other cores train other cohorts.
"""

from typing import Any

import threadpoolctl
import torch


def use_one_thread() -> None:
    """Have torch, and the library in which NumPy multiplies matrices, compute in one thread from now on."""
    torch.set_num_threads(1)
    threadpoolctl.threadpool_limits(1, user_api="blas")


def count_threads() -> int:
    """The threads in which they compute: the larger number of both."""
    return max([torch.get_num_threads(), *(int(library["num_threads"]) for library in blas_libraries())])


def blas_libraries() -> list[dict[str, Any]]:
    """What `threadpoolctl` says of the libraries that multiply matrices: their names, versions and kernels."""
    return [library for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas"]
