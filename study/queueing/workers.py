"""Taking part in studies: claimed trials in processes of one thread each, with progress, and without losing anything.

What a process has finished is in the ledger, whatever becomes of it or of its parent. The parent speaks with the queue,
and nobody else does.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path

from optuna.trial import TrialState
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from study.cells import Cell, MistakeError
from study.errors import WorkerError
from study.files import UnwritableError
from study.queueing.cohorts import cohorts
from study.queueing.plans import Plan
from study.queueing.queue import LIVE, Claim, listed

POLL_SECONDS = 1.0
"""How often a process is looked at."""
ASKS_PER_HEARTBEAT = 5
"""How often a worker that has nothing to do asks for work."""


def work(plans: Sequence[Plan], runs_dir: Path, workers: int, memory: float, wandb_mode: str, console: Console) -> None:
    """Take part in studies until nothing is left to do in any, by `workers` processes at a time.

    **Arguments**: `memory`, bytes for all processes together.

    **Raises**: `WorkerError`, at the end, when a process failed; `StorageLostError` and `KeyboardInterrupt`, after the
    processes were ended.
    """
    jobs: list[_Job] = []
    failed: list[_Job] = []
    with _Bar(plans, console) as bar, _Crew(runs_dir, memory / workers, wandb_mode) as crew:
        stalled = False
        try:
            while True:
                planned = [plan.extend() for plan in plans]
                while len(jobs) < workers and (job := _claim(plans, crew)):
                    jobs.append(job)
                bar.measure()
                if not jobs and not any(plan.queue.unfinished() for plan in plans):
                    # A plan that has more to do, but still nothing after another look, waits for what has failed.
                    if all(planned) or stalled:
                        break
                    stalled = True
                    continue
                stalled = False
                if not jobs:
                    bar.say_idle()
                rest = min(plan.queue.heartbeat for plan in plans) / (1 if len(jobs) == workers else ASKS_PER_HEARTBEAT)
                ended = _run_until_something_ends(jobs, bar, rest)
                for job in ended:
                    job.go_on()
                failed += [job for job in jobs if job.exit_code]
                jobs = [job for job in jobs if job.process is not None]
        except KeyboardInterrupt:
            for job in jobs:
                job.stop()
                job.plan.queue.give_up(job.claim, None)
            raise
        finally:
            for job in jobs:
                job.stop()
    if failed:
        raise WorkerError(
            f"{len(failed)} of the worker processes failed (exit code {failed[0].exit_code}): "
            "what was finished is kept, and the same command goes on"
        )


def _claim(plans: Sequence[Plan], crew: "_Crew") -> "_Job | None":
    """The first trial that is waiting in any of the studies."""
    for plan in plans:
        claim = plan.queue.claim()
        if claim is not None:
            return _Job(plan, claim, crew)
    return None


def _run_until_something_ends(jobs: "Sequence[_Job]", bar: "_Bar", seconds: float) -> "list[_Job]":
    """Let the processes run, and say that we live. **Returns**: the jobs whose step has ended; none after so many
    seconds, so that new work is seen.
    """
    until = time.monotonic() + seconds
    while True:
        poll = min(POLL_SECONDS, seconds)
        if jobs:
            wait([source for job in jobs for source in job.news()], timeout=poll)
        else:
            time.sleep(poll)
        bar.advance(sum(job.hear() for job in jobs))
        for plan in bar.plans:
            ours = plan.queue.beat()
            for job in jobs:
                if job.plan is plan and job.claim.trial_id not in ours:
                    job.stop()
        ended = [job for job in jobs if job.has_ended]
        if ended or time.monotonic() > until:
            return ended


class _Job:
    """A claimed trial, and the process at work on its current step."""

    def __init__(self, plan: Plan, claim: Claim, crew: "_Crew") -> None:
        self.plan = plan
        self.claim = claim
        self.process: _Process | None = None
        self.exit_code = 0
        self._crew = crew
        self._steps = plan.steps(claim)
        self._cells: list[Cell] = []
        self.go_on()

    @property
    def has_ended(self) -> bool:
        """Whether its step has, or there is none any more."""
        return self.process is None or self.process.has_ended

    def news(self) -> list[Connection | int]:
        """What to wait for."""
        return self.process.news() if self.process else []

    def hear(self) -> int:
        """Updates made since the last time."""
        return self.process.hear() if self.process else 0

    def go_on(self) -> None:
        """Once a step has ended: on to the next, or to the trial's end."""
        queue, ledger = self.plan.queue, self.plan.queue.worker.ledger
        if self.process is not None:
            self.exit_code = self.process.exit_code
            self._crew.take_back(self.process)
            self.process = None
        if self.exit_code:
            queue.give_up(self.claim, f"its process failed (exit code {self.exit_code})")
            return
        if any(ledger.outcome(cell) is None for cell in self._cells):
            queue.give_up(self.claim, "another process is training its cells")
            return
        try:
            self._cells = next(self._steps)
        except StopIteration as end:
            value, state = end.value
            outcomes = {cell.id: outcome for cell in self.claim.cells if (outcome := ledger.outcome(cell))}
            if links := self._crew.addresses([cell for cell in self.claim.cells if cell.id in outcomes]):
                queue.tell(self.claim, wandb=links)
            queue.complete(self.claim, value, outcomes, state)
            return
        if ledger.waiting(self._cells):
            self.process = self._crew.train(self._cells)
        else:
            self.go_on()

    def stop(self) -> None:
        """End its process, whatever it is doing."""
        if self.process is not None:
            self.process.stop()
            self.process = None


class _Crew:
    """Processes that train, one after the other or side by side: to begin one takes as long as many an update."""

    def __init__(self, runs_dir: Path, memory: float, wandb_mode: str) -> None:
        self._idle: list[_Process] = []
        self._arguments = (runs_dir, memory, wandb_mode)

    def train(self, cells: Sequence[Cell]) -> "_Process":
        """Let a process train these cells."""
        process = self._idle.pop() if self._idle else _Process(*self._arguments)
        process.train(cells)
        return process

    def addresses(self, cells: Sequence[Cell]) -> dict[str, str]:
        """Where these are to be seen in W&B, by cell id."""
        from study.tracking import runs as tracking

        return tracking.addresses(cells) if self._arguments[-1] == "online" else {}

    def take_back(self, process: "_Process") -> None:
        """A process that has done its work, or has died over it."""
        if process.is_alive:
            self._idle.append(process)

    def __enter__(self) -> "_Crew":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._idle:
            process.stop()


class _Process:
    """A process that trains cells, and the pipe by which it reports: its own, so that it can block no other."""

    def __init__(self, runs_dir: Path, memory: float, wandb_mode: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, end = context.Pipe()
        self._process = context.Process(target=_serve, args=(_train, runs_dir, memory, wandb_mode, end))
        self._process.start()
        end.close()
        self.has_ended = True
        """whether what it was last given is done, or it has died over it"""

    @property
    def is_alive(self) -> bool:
        """Whether it can be given something."""
        return self._process.exitcode is None

    @property
    def exit_code(self) -> int:
        """How it died; 0 if it lives."""
        return self._process.exitcode or 0

    def train(self, cells: Sequence[Cell]) -> None:
        """Give it something to do."""
        self.has_ended = False
        with contextlib.suppress(OSError):  # it has died, which is noticed
            self._pipe.send(cells)

    def news(self) -> list[Connection | int]:
        """What to wait for: its next report, or its end."""
        return [self._process.sentinel] if self._pipe.closed else [self._process.sentinel, self._pipe]

    def hear(self) -> int:
        """Updates made since the last time."""
        # Asked before it is heard, so that what a dead one has said is all there.
        is_dead = not self.is_alive
        updates = 0
        try:
            while self._pipe.poll():
                report = self._pipe.recv()
                self.has_ended = self.has_ended or report is None
                updates += report or 0
        except (EOFError, OSError):
            self._pipe.close()
        self.has_ended = self.has_ended or is_dead
        return updates

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.join()


class _Bar:
    """Progress: of what is left to do, what is done, here or elsewhere."""

    def __init__(self, plans: Sequence[Plan], console: Console) -> None:
        self.plans = plans
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("updates, elapsed"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, console=console)
        self._task = self._progress.add_task("", total=None)
        self._made = 0
        self._elsewhere = 0
        self._has_idled = False
        self._before = {
            (plan.queue.name, trial.number)
            for plan in plans
            for trial in plan.queue.trials(TrialState.COMPLETE, TrialState.PRUNED)
        }

    def measure(self) -> None:
        """See how much there is to do."""
        trials = [
            (plan, trial)
            for plan in self.plans
            for trial in plan.queue.trials()
            if (trial.state in LIVE or "error" in trial.user_attrs)
            and (plan.queue.name, trial.number) not in self._before
        ]
        others = [
            trial
            for plan, trial in trials
            if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
            and trial.user_attrs["worker"]["token"] != plan.queue.worker.token
        ]
        self._elsewhere = sum(trial.user_attrs["updates"] for trial in others)
        self._progress.update(
            self._task,
            description=f"{sum(len(listed(trial)) for _, trial in trials)} runs",
            total=sum(trial.user_attrs["updates"] for _, trial in trials),
        )
        self.advance(0)

    def advance(self, updates: int) -> None:
        """Say that so many more updates were made here."""
        self._made += updates
        self._progress.update(self._task, completed=self._made + self._elsewhere)

    def say_idle(self) -> None:
        """A word, once, on why nothing happens here."""
        number = sum(plan.queue.unfinished() for plan in self.plans)
        if number and not self._has_idled:
            self._progress.console.print(f"waiting for {number} trials of other workers")
            self._has_idled = True

    def __enter__(self) -> "_Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()


Train = Callable[[Sequence[Cell], Path, float, str, Connection], None]


def _serve(train: Train, runs_dir: Path, memory: float, wandb_mode: str, pipe: Connection) -> None:
    """A process: trains what it is given. Ctrl-C is its parent's business, which then terminates it, so that its runs
    in W&B are finished; if that dies, so does it, and its cells are free.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    with contextlib.suppress(EOFError, BrokenPipeError, KeyboardInterrupt):  # the parent has died, or wants it to end
        while True:
            train(pipe.recv(), runs_dir, memory, wandb_mode, pipe)
            pipe.send(None)


def _train(cells: Sequence[Cell], runs_dir: Path, memory: float, wandb_mode: str, reports: Connection) -> None:
    from study import training

    def report(updates: int) -> None:
        with contextlib.suppress(BrokenPipeError):  # the parent has died
            reports.send(updates)

    try:
        for cohort in cohorts(cells, 1, memory):
            training.train(cohort, runs_dir, wandb_mode, report)
    except (MistakeError, UnwritableError) as error:
        raise SystemExit(f"study: {error}") from error


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
