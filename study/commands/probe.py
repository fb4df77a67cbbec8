"""`study probe`."""

import dataclasses

from rich.console import Console
from tyro.conf import FlagCreatePairsOff

from study.config.run_config import LARGEST_SEED
from study.errors import ConfigError

LARGEST_PROBE = 1000
"""Dimensions of which a covariance matrix still fits anywhere."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Probe:
    """Print the thread's numbers on this machine: log-probabilities, gradients and samples of the four policies."""

    n: int = 10
    """dimensions of the action"""
    seed: int = 0
    """seed of the noise"""
    json: FlagCreatePairsOff[bool] = False
    """print only the numbers, as {precision: {condition: {log_prob, grad_mean, grad_scale, sample}}}"""

    def run(self) -> None:
        """Print tables and what they show, or JSON.

        Raises:
            ConfigError: An option can't be used.
        """
        from study import probe

        if not 1 <= self.n <= LARGEST_PROBE:
            raise ConfigError(f"--n must be between 1 and {LARGEST_PROBE}, not {self.n}")
        if not 0 <= self.seed <= LARGEST_SEED:
            raise ConfigError(f"--seed must be between 0 and 2**53, not {self.seed}")
        if self.json:
            probe.print_json(self.n, self.seed)
        else:
            probe.print_tables(self.n, self.seed, Console(soft_wrap=True))
