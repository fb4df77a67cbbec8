"""Where runs are trained, and where they are kept."""

import dataclasses
from pathlib import Path

from study.options import Omittable
from study.training.memory import available_cores, machine_memory

MEMORY_OF_A_WORKER = 2e9
"""Bytes that a scheduler's worker is taken to have."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PoolOptions:
    """Where runs are trained, and where they are kept."""

    workers: int = 0
    """processes of this machine, of one thread each; 0: as many as cores"""
    memory: float = 0.0
    """GB for all workers together; 0: three quarters of this machine's, or with --scheduler 2 for each worker"""
    cohort: int = 40
    """runs that are trained together, at most: with few, many workers have work; with many, a run is cheaper"""
    runs_dir: Path = Path("runs")
    """where runs are kept: the run store"""
    scheduler: Omittable[str] = ""
    """a Dask scheduler, such as tls://HOST:8786, or the file that it wrote, instead of this machine's processes"""
    tls: Omittable[Path | None] = None
    """a folder with ca.pem, cert.pem and key.pem, for --scheduler"""
    step_timeout: float = 0.0
    """seconds that a step or a reset of an environment may take before its run has failed; 0: any"""

    @property
    def processes(self) -> int:
        """Return how many worker processes this machine has."""
        return self.workers or available_cores()

    @property
    def memory_each(self) -> float:
        """Return the bytes that each worker may use."""
        if self.scheduler:
            return MEMORY_OF_A_WORKER
        return (1e9 * self.memory or 0.75 * machine_memory()) / self.processes
