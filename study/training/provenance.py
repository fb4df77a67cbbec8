"""With what, and on what, a run was trained: to train it again, or to see why it came out otherwise."""

import functools
import importlib.metadata
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from agents.cohort.numerics import blas_libraries, count_threads

PACKAGES = ("torch", "numpy", "gymnasium", "mujoco", "wandb")


@functools.cache
def describe() -> dict[str, Any]:
    """Return versions, git commit, threads and CPU, by name."""
    return {
        **{f"version_{name}": importlib.metadata.version(name) for name in PACKAGES},
        "version_python": platform.python_version(),
        "version_blas": ", ".join(sorted(_name(library) for library in blas_libraries())),
        "git_commit": _git("rev-parse", "HEAD"),
        "git_dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": count_threads(),
    }


def _name(blas: Mapping[str, Any]) -> str:
    """Return a BLAS library's name and version, and the processors for which it chose its kernels."""
    return " ".join(str(blas[key]) for key in ("internal_api", "version", "architecture") if blas.get(key))


def _git(*arguments: str) -> str | None:
    """Return git's output for the code that runs; None where it isn't a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _cpu() -> str:
    """Return the processor's name, which `platform` doesn't have on Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
