"""Trains a cohort of runs, each with its own directory in the run store and its own W&B run."""

import atexit
import dataclasses
import gc
import itertools
import math
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from threading import Thread

from agents.audit import precision_leaks
from agents.cohort import Cohort, use_one_thread
from agents.environments import can_be_checkpointed
from agents.records import Failure, Outcome, Run
from agents.reference import Reference
from reports.files import Json
from study.config.run_config import RunConfig
from study.errors import warn
from study.store.run_store import RunStore
from study.store.run_writer import RunWriter
from study.tracking.assignment import assignment
from study.tracking.runs import TrackedRun, Tracker
from study.training import provenance

# As a process ends, Python would search all that torch made for garbage, for a third of a second.
atexit.register(gc.freeze)

CHECKPOINT_SECONDS = 60.0
"""Time between two checkpoints of a run, at least: the most that an interruption costs."""


class Interrupted(KeyboardInterrupt):
    """Training was asked to end early, and its runs have checkpoints."""


def train(
    configs: Sequence[RunConfig],
    runs_dir: Path,
    wandb_mode: str,
    on_update: Callable[[int], None] = lambda _: None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    should_end: Callable[[], bool] = lambda: False,
    step_timeout: float | None = None,
) -> dict[str, str]:
    """Train those of the runs that haven't ended, and that no other process is training, to their end.

    Args:
        configs: All of one `RunConfig.kind`.
        runs_dir: The run store.
        wandb_mode: W&B's "online", "offline" or "disabled".
        on_update: Called with the numbers of updates that runs have made.
        checkpoint_seconds: Time between two checkpoints of a run.
        should_end: Asked after each update whether to write checkpoints, and end early.
        step_timeout: Seconds that a step or a reset of an environment may take before its run has failed; None for any.

    Returns:
        By run id, the W&B run on another machine to which the run was left. Only `wandb agent`'s calls ask for such.

    Raises:
        Interrupted: Because `should_end` returned true.
    """
    keeper = Keeper(checkpoint_seconds, should_end)
    use_one_thread()
    store = RunStore(runs_dir)
    facts = {
        **provenance.describe(),
        "leaks_precision": precision_leaks(configs[0].hyperparameters, step_timeout),
        "can_be_checkpointed": can_be_checkpointed(configs[0].env_id),
    }
    with ExitStack() as stack:
        writers: list[RunWriter] = [
            stack.enter_context(writer) for config in configs if (writer := store.begin(config, facts)) is not None
        ]
        if starting_over := sum(writer.starts_over for writer in writers):
            warn(
                f"{starting_over} interrupted runs start over: they were begun by another version of this program or "
                "its packages, or on another processor, or their history.jsonl isn't whole"
            )
        tracker = Tracker(runs_dir, wandb_mode)
        tracked = {
            writer.config.id: stack.enter_context(tracker.begin(writer.config, writer.path)) for writer in writers
        }
        left = _left_to_others(tracked.values()) if assignment() and tracker.mode == "online" else {}
        for config, rival in left.items():
            tracked[config].leave(rival)
        ours = sorted((writer for writer in writers if writer.config.id not in left), key=_cohort)
        for _, group in itertools.groupby(ours, key=_cohort):
            alike = list(group)
            _train(alike, [tracked[writer.config.id] for writer in alike], on_update, keeper, step_timeout)
    return left


def _left_to_others(tracked: Iterable[TrackedRun]) -> dict[str, str]:
    """Return, by run id, the W&B run on another machine to which the run is left."""
    from study.tracking import elsewhere  # W&B's public API: nothing for each worker of a pool

    return elsewhere.rivals(tracked)


class Keeper:
    """Decides when runs write checkpoints: after some time, and when they are to end early.

    Args:
        seconds: Time between two checkpoints.
        should_end: Asked whether to end early.
    """

    def __init__(self, seconds: float, should_end: Callable[[], bool]) -> None:
        self._seconds = seconds
        self._should_end = should_end
        self._kept_at = time.monotonic()

    def keep(self, cohort: Cohort | Reference, writers: Sequence[RunWriter]) -> None:
        """Write checkpoints after an update, if it is time to.

        Args:
            cohort: What is trained.
            writers: Of its runs.

        Raises:
            Interrupted: Training is to end.
        """
        should_end = self._should_end()
        if should_end or time.monotonic() - self._kept_at >= self._seconds:
            for index, writer in enumerate(writers):
                if index not in cohort.failures and (state := cohort.state(index)) is not None:
                    writer.keep(state)
            self._kept_at = time.monotonic()
        if should_end:
            raise Interrupted


def make_cohort(configs: Sequence[RunConfig], step_timeout: float | None = None) -> Cohort | Reference:
    """Return runs of one `RunConfig.cohort_key`, ready to be trained together.

    Args:
        configs: The runs.
        step_timeout: Seconds that a step or a reset of an environment may take; None for any.
    """
    runs = [Run(condition=config.condition, seed=config.seed, replicate=config.replicate) for config in configs]
    first = configs[0]
    if first.engine == "reference":
        return Reference(runs, first.hyperparameters, first.numerics, step_timeout)
    assert first.precision != "bfloat16"
    return Cohort(runs, first.hyperparameters, first.precision, step_timeout)


def _cohort(writer: RunWriter) -> tuple[int, str]:
    """Return what runs that are trained together have in common.

    A process may have been killed between the checkpoints of its runs. Those of the same update continue together.
    """
    return len(writer.history), repr(writer.config.cohort_key)


def _train(
    writers: Sequence[RunWriter],
    tracked: Sequence[TrackedRun],
    on_update: Callable[[int], None],
    keeper: Keeper,
    step_timeout: float | None,
) -> None:
    with closing(make_cohort([writer.config for writer in writers], step_timeout)) as cohort:
        states = [writer.state for writer in writers if writer.state is not None]
        began_at = None if states else time.process_time()  # what a run cost before an interruption isn't known
        if states:
            cohort.restore(states)
        for writer, run in zip(writers, tracked, strict=True):
            for line in writer.history:
                run.log(line)
        if cohort.update:
            on_update(len(writers) * cohort.update)
        finishing = _record(cohort, writers, tracked, on_update, keeper)
        outcomes = cohort.outcomes()
        core_seconds = None if began_at is None else (time.process_time() - began_at) / len(writers)
        ended = [index for index in range(len(writers)) if index not in cohort.failures]
        summaries = {index: summarise(outcomes[index]) for index in ended}
        for index in ended:
            if isinstance(outcomes[index], Outcome):
                writers[index].keep_policy(cohort.policy(index))
            if core_seconds is not None:
                writers[index].note_cost(core_seconds)
            writers[index].finish(summaries[index])
        # Where W&B can't be reached, they wait for it together.
        finishing += [tracked[index].begin_to_finish(summaries[index]) for index in ended]
        for thread in finishing:
            thread.join()


def _record(
    cohort: Cohort | Reference,
    writers: Sequence[RunWriter],
    tracked: Sequence[TrackedRun],
    on_update: Callable[[int], None],
    keeper: Keeper,
) -> list[Thread]:
    """Train to the end, write each update, and finish each run that fails, for W&B in the threads that are returned."""
    failed: set[int] = set()
    finishing: list[Thread] = []

    def finish_failed() -> None:
        summaries = {index: summarise(cohort.failures[index]) for index in cohort.failures.keys() - failed}
        for index, summary in summaries.items():
            writers[index].finish(summary)
        finishing.extend(tracked[index].begin_to_finish(summary) for index, summary in summaries.items())
        failed.update(summaries)

    finish_failed()
    began_at, steps_before = time.monotonic(), cohort.update * writers[0].config.batch_size
    for records in cohort.train():
        seconds = time.monotonic() - began_at
        for index, record in records.items():
            line = vars(record)
            writers[index].append(line)
            tracked[index].log(line, (record.global_step - steps_before) / seconds)
        finish_failed()
        on_update(len(records))
        if cohort.update < writers[0].config.num_updates:
            keeper.keep(cohort, writers)
    return finishing


def summarise(outcome: Outcome | Failure) -> Json:
    """Return the content of `summary.json`. An outcome that isn't finite makes a run a failed one."""
    if isinstance(outcome, Failure):
        return {"status": "failed", "error": outcome.reason}
    values = dataclasses.asdict(outcome)
    broken = [name for name, value in values.items() if not math.isfinite(value)]
    if broken:
        return {"status": "failed", "error": f"{broken[0]} is {values[broken[0]]}"}
    return {"status": "finished", "error": None, **values}
