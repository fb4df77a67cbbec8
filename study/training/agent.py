"""Carries out calls of `wandb agent`: each run of a call becomes a W&B run of its sweep, and none is trained twice."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from study.config.run_config import RunConfig
from study.store.run_store import RunStore
from study.tracking.runs import Tracker, settle_assigned_run
from study.training import cohort as training


def carry_out(
    configs: Sequence[RunConfig],
    runs_dir: Path,
    mode: str,
    on_update: Callable[[int], None] = lambda _: None,
    step_timeout: float | None = None,
) -> dict[str, str]:
    """Train the runs, and have the sweep's W&B runs repeat those that have ended here or in W&B.

    Args:
        configs: The runs of the agent's call.
        runs_dir: The run store.
        mode: W&B's mode.
        on_update: Called with the numbers of updates that runs have made.
        step_timeout: As of `training.train`.

    Returns:
        By id of a run that isn't trained here, what trains it.
    """
    from study.tracking import elsewhere  # W&B's public API: nothing for a command that no agent calls

    store = RunStore(runs_dir)
    waiting = store.waiting(configs)
    sources = elsewhere.copy_finished(waiting, store) if waiting and mode == "online" else {}
    tracker = Tracker(runs_dir, mode)
    for config in configs:
        outcome = store.summary(config)
        if outcome is None:
            continue
        with tracker.begin(config, store.path(config)) as run:
            for update in store.history(config):
                run.log(update)
            run.finish(outcome, copied_from=sources.get(config.id, "the run store"))
    waiting = store.waiting(configs)
    left = training.train(waiting, runs_dir, tracker.mode, on_update, step_timeout=step_timeout) if waiting else {}
    here = {config.id: "another process of this machine" for config in store.waiting(configs) if config.id not in left}
    if here:
        settle_assigned_run({"status": "elsewhere", "same_as": "another process of this machine"}, runs_dir)
    return left | here


def say_how_agents_give_up() -> None:
    """Print that agents end for good after a few failures in their first minute, which they print nowhere."""
    wanted = {"WANDB_AGENT_DISABLE_FLAPPING": "true", "WANDB_AGENT_MAX_INITIAL_FAILURES": "1000000"}
    missing = [f"{name}={value}" for name, value in wanted.items() if name not in os.environ]
    if missing:
        print(
            "An agent gives up after 3 failures in its first minute, or 5 at its start, and its sweep's other runs "
            f"wait: {' '.join(missing)} wandb agent ... continues.",
            file=sys.stderr,
        )
