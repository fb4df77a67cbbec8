"""The command line. What the user can mend is one line and exit code 2; torch and W&B are imported only to train."""

import ast
import contextlib
import dataclasses
import io
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import tyro
from rich.console import Console
from tyro.conf import FlagConversionOff, FlagCreatePairsOff, OmitArgPrefixes, OmitSubcommandPrefixes, Positional, arg

from agents import environments
from reports.sources import UnreadableSourceError
from study.cells import LARGEST_SEED, Cell, MistakeError, require_trainable
from study.files import UnwritableError
from study.sweepfile import read_cells
from study.workers import WorkerError, available_cores, cohorts, machine_memory, train_all

LARGEST_PROBE = 1000
"""Dimensions of which a covariance matrix still fits anywhere."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Probe:
    """The thread on this machine: log-probabilities, gradients and samples of the four policies."""

    n: int = 10
    """dimensions of the action"""
    seed: int = 0
    """seed of the noise"""
    json: FlagCreatePairsOff[bool] = False
    """print only the numbers, as {precision: {condition: {log_prob, grad_mean, grad_scale, sample}}}"""

    def run(self) -> None:
        """Print tables and what is seen in them, or JSON."""
        from study import probe

        if not 1 <= self.n <= LARGEST_PROBE:
            raise MistakeError(f"--n must be between 1 and {LARGEST_PROBE}, not {self.n}")
        if not 0 <= self.seed <= LARGEST_SEED:
            raise MistakeError(f"--seed must be between 0 and 2**53, not {self.seed}")
        if self.json:
            probe.print_json(self.n, self.seed)
        else:
            probe.print_tables(self.n, self.seed, Console(soft_wrap=True))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train:
    """Train one cell. A sweep's agents call this, and so can you."""

    cell: FlagConversionOff[Annotated[Cell, arg(name="")]]  # `--anneal_lr=True`, as an agent says it
    runs_dir: Path = Path("runs")
    """where runs are kept: the ledger"""

    def run(self) -> None:
        """Train, unless it has been done."""
        require_trainable([self.cell])
        from study import tracking, training
        from study.ledger import Ledger

        ledger = Ledger(self.runs_dir)
        before = ledger.outcome(self.cell)
        if before is None:
            _say_what_starts_over([self.cell])
            training.train([self.cell], self.runs_dir, tracking.choose_mode(self.runs_dir))
        outcome = ledger.outcome(self.cell)
        if outcome is None:
            raise MistakeError(f"cell {self.cell.id} is being trained by another process")
        if outcome["status"] == "failed":
            _exit(f"{ledger.path(self.cell)} failed: {outcome['error']}", code=1)
        figures = ", ".join(f"{name} {outcome[name]:.6g}" for name in ("final_return", "eval_return", "final_std"))
        print(f"{ledger.path(self.cell)} {'had finished before' if before else 'finished'}: {figures}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sweep:
    """Train every cell of a W&B sweep file, here. What has ended is skipped, what was cut off goes on."""

    file: Positional[Path]
    """a sweep file, such as sweeps/thread.yaml"""
    workers: int = 0
    """processes, of one thread each; 0: as many as cores"""
    memory: float = 0.0
    """GB for all workers together, by which cohorts are sized; 0: three quarters of the machine's"""
    runs_dir: Path = Path("runs")
    """where runs are kept: the ledger"""

    def run(self) -> None:
        """Check everything, then train."""
        if self.workers < 0:
            raise MistakeError(f"--workers must be zero or positive, not {self.workers}")
        if not 0 <= self.memory < float("inf"):
            raise MistakeError(f"--memory must be zero or positive, not {self.memory}")
        cells = read_cells(self.file)
        require_trainable(cells)
        from study.ledger import Ledger

        ledger = Ledger(self.runs_dir)
        waiting = ledger.waiting(cells)
        console = Console(stderr=True, soft_wrap=True)
        console.print(f"{self.file}: {len(cells)} cells, {len(cells) - len(waiting)} of them ended before")
        if waiting:
            from study import tracking

            workers = self.workers or available_cores()
            cut = cohorts(waiting, workers, 1e9 * self.memory or 0.75 * machine_memory())
            _say_what_starts_over(waiting)
            mode = tracking.choose_mode(self.runs_dir)
            ledger.prepare()
            train_all(cut, self.runs_dir, workers, mode, console)
        outcomes = [(cell, ledger.outcome(cell)) for cell in cells]
        for cell, outcome in outcomes:
            if outcome is not None and outcome["status"] == "failed":
                console.print(f"failed: {ledger.path(cell)}: {outcome['error']}")
        elsewhere = sum(outcome is None for _, outcome in outcomes)
        if elsewhere:
            console.print(f"{elsewhere} cells are being trained by another process")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """Write the answer: report.md, its figures, and verdict.json."""

    source: Positional[str]
    """a runs directory, or a CSV or Parquet table of runs"""
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    """where to; SOURCE/report by default, or beside a table"""
    outcome: str = "final_return"
    """which of the runs' outcomes to study"""
    margin: float | None = None
    """the effect up to which two policies are as good as equal; by default half the deviation between seeds"""
    sweep: Path | None = None
    """only the cells of this sweep file, and a word on those that are missing"""
    where: tuple[str, ...] = ()
    """only the runs of which this holds, as key=value"""

    def run(self) -> None:
        """Read, compute, write, and print the verdict."""
        from reports import report

        expected = {cell.id: dataclasses.asdict(cell) for cell in read_cells(self.sweep)} if self.sweep else None
        options = report.Options(outcome=self.outcome, margin=self.margin, where=self.where, sweep=self.sweep)
        print(report.write(self.source, self.output, options, expected))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bench:
    """How fast training is here, beside bare environments and Stable-Baselines3. A round takes seven minutes."""

    env_ids: tuple[str, ...] = ("Pendulum-v1", "Hopper-v5", "HalfCheetah-v5")
    """where to measure: of Pendulum-v1, Hopper-v5 and HalfCheetah-v5"""
    rounds: int = 3
    """how often everything is measured, in turns; the median counts"""
    seconds: float = 3.0
    """how long each measurement goes on, at least; one update at least"""
    output: Annotated[Path, arg(aliases=["-o"])] = Path("bench.json")
    """the JSON file to write"""

    def run(self) -> None:
        """Measure, print a table, and write JSON."""
        from study import bench

        unknown = sorted(set(self.env_ids) - set(bench.SETTINGS))
        if unknown or not self.env_ids:
            raise MistakeError(f"--env-ids must be of {', '.join(bench.SETTINGS)}, not {' '.join(unknown) or 'empty'}")
        if self.rounds < 1:
            raise MistakeError(f"--rounds must be at least 1, not {self.rounds}")
        if not 0 < self.seconds < float("inf"):
            raise MistakeError(f"--seconds must be positive, not {self.seconds}")
        measurements = bench.measure(self.env_ids, self.rounds, self.seconds, Console(stderr=True))
        Console().print(*bench.tables(measurements))
        bench.write(self.output, measurements)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command."""
    try:
        _parse(arguments).run()
    except (MistakeError, environments.UnsuitableEnvironmentError, UnreadableSourceError) as error:
        _exit(str(error), code=2)
    except (WorkerError, UnwritableError) as error:
        _exit(str(error), code=1)
    except KeyboardInterrupt:
        _exit("interrupted: what was finished is kept, and the same command goes on", code=130)


def _parse(arguments: Sequence[str] | None) -> Probe | Train | Sweep | Report | Bench:
    """The command, from the command line. Tyro's complaint comes in a box of many lines; here it becomes one."""
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(
                Probe | Train | Sweep | Report | Bench,
                prog="study",
                args=list(_ungrouped(sys.argv[1:] if arguments is None else arguments)),
                config=(OmitArgPrefixes, OmitSubcommandPrefixes),
                description="Two RL implementations should be the same and aren't: which part is round-off?",
            )
    except ValueError as error:
        _exit(str(error), code=2)
    except SystemExit as error:
        if error.code:
            lines = [line.strip(" │") for line in complaint.getvalue().splitlines() if not re.match(r"[╭╰]|│ ─", line)]
            _exit(" ".join(lines), code=2)
        raise


def _ungrouped(arguments: Iterable[str]) -> Iterator[str]:
    """The arguments, with `--gamma=0.9` for the `--group={'gamma': 0.9}` by which an agent passes nested parameters."""
    for argument in arguments:
        _, _, value = argument.partition("=")
        if argument.startswith("--") and value.startswith("{"):
            yield from _ungrouped(f"--{name}={inner}" for name, inner in _read_group(argument, value).items())
        else:
            yield argument


def _read_group(argument: str, value: str) -> dict[str, Any]:
    try:
        return dict(ast.literal_eval(value))
    except (ValueError, SyntaxError, TypeError) as error:
        raise MistakeError(f"{argument} isn't a group of parameters, such as --group={{'gamma': 0.9}}") from error


def _say_what_starts_over(cells: Iterable[Cell]) -> None:
    for env_id in sorted({cell.env_id for cell in cells}):
        if not environments.can_be_put_aside(env_id):
            print(
                f"Nobody knows where {env_id} keeps its state: a cell of it that is interrupted starts over.",
                file=sys.stderr,
            )


def _exit(message: str, code: int) -> NoReturn:
    print(f"study: {message}", file=sys.stderr)
    raise SystemExit(code)
