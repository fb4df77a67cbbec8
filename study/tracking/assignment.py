"""What `wandb agent` asks of a process that it starts."""

import dataclasses
import functools
import os
from pathlib import Path
from typing import Any

import yaml


@dataclasses.dataclass
class Assignment:
    """What `wandb agent` asks of this process."""

    sweep: str
    run: str
    parameters: dict[str, Any]
    """by which the server tells the sweep's runs apart"""
    config: str | None = None
    """that became the run"""


@functools.cache
def assignment() -> Assignment | None:
    """Return what the agent that started this process asks of it; None where none did.

    It is taken out of the environment: W&B would else make every run of this process that one.
    """
    if not {"WANDB_SWEEP_ID", "WANDB_RUN_ID"} <= os.environ.keys():
        return None
    path = Path(os.environ.pop("WANDB_SWEEP_PARAM_PATH", os.devnull))
    parameters = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    values = {name: entry["value"] for name, entry in parameters.items() if name != "wandb_version"}
    return Assignment(os.environ.pop("WANDB_SWEEP_ID"), os.environ.pop("WANDB_RUN_ID"), values)
