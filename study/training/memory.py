"""Whether runs fit into memory, asked before anything is trained."""

import dataclasses
import math
import os
from collections.abc import Sequence
from typing import Any

from agents import environments
from study.config.run_config import RunConfig, brief
from study.errors import ConfigError

WORKER_BYTES = 500e6
"""What a worker needs before it has a single run."""

ENVIRONMENT_BYTES = 1.5e6
"""What an environment needs: MuJoCo's largest, with a margin."""

LEAST = {"hidden_size": 16, "num_envs": 1, "num_steps": 1, "eval_episodes": 1}
"""The parameters on which a run's memory depends, and their smallest values."""


def available_cores() -> int:
    """Return how many cores this process may use: a cluster's job rarely has the whole machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine_memory() -> float:
    """Return the bytes of memory that this machine has."""
    return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def run_bytes(config: RunConfig) -> float:
    """Return about how many bytes a run adds to the memory of its cohort, at most.

    They are its environments, those it is evaluated in, its parameters, and what is kept of every transition while the
    agent learns from a rollout.
    """
    observation, action = environments.sizes(config.env_id)
    number, hidden = 4 if config.precision == "float32" else 8, config.hidden_size
    # The last rollout is kept while the next is collected, and shuffled copies are learned from.
    transition = number * (6 * observation + 8 * action + 2 * action**2) + 8 * (2 * action + 16)
    weights = 2 * hidden * (hidden + observation + action + 32)
    activations = 2 * config.minibatch_size * (4 * hidden + observation)
    environments_held = config.num_envs + config.eval_episodes
    try:
        alone = (
            config.batch_size * transition
            + number * (5 * weights + activations)
            + environments_held * ENVIRONMENT_BYTES
        )
    except OverflowError:  # of numbers with hundreds of digits
        return math.inf
    return alone if config.rollouts == "own" else 2 * alone  # beside it, the run from whose rollouts it learns


def require_memory(configs: Sequence[RunConfig]) -> None:
    """Check that runs of one kind can be trained together here.

    Args:
        configs: The runs.

    Raises:
        ConfigError: They can't. The text names the parameter that takes the most memory, or the number of runs.
    """
    config, memory = configs[0], machine_memory()
    require_fit(config, memory, f"this machine has {memory / 1e9:.1f} GB")
    together = 1 if config.engine == "reference" else len(configs)
    needed = WORKER_BYTES + together * run_bytes(config)
    if needed > memory:
        raise ConfigError(
            f"{together} seeds together need {needed / 1e9:.1f} GB of memory, and this machine has "
            f"{memory / 1e9:.1f} GB: take fewer in one call"
        )


def require_fit(config: RunConfig, memory: float, has: str) -> None:
    """Check that a run fits into a worker's memory.

    Args:
        config: The run.
        memory: Bytes.
        has: Where that much memory is, as a clause.

    Raises:
        ConfigError: It doesn't fit. The parameter that takes the most memory is named.
    """
    needed = WORKER_BYTES + run_bytes(config)
    if needed > memory:
        name = min(LEAST, key=lambda name: run_bytes(_with_least(config, name)))
        raise ConfigError(
            f"{name} {brief(getattr(config, name))} is too large: a run needs {needed / 1e9:.1f} GB of memory, "
            f"and {has}: choose a smaller {name}"
        )


def _with_least(config: RunConfig, name: str) -> RunConfig:
    """Return the run with a parameter's smallest value, of which any batch is one minibatch."""
    changes: dict[str, Any] = {name: LEAST[name], "num_minibatches": 1, "norm_adv": False}
    return dataclasses.replace(config, **changes)
