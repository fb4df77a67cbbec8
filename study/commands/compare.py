"""`study compare`."""

import dataclasses
import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from rich.console import Console
from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, Positional

from study.compare.arms import Arm, require_arms
from study.compare.planfile import read_options
from study.config.run_config import brief, read_seeds
from study.errors import ConfigError, WorkerError
from study.options import Omittable
from study.progress import duration
from study.store.files import write_atomically
from study.training.memory import available_cores

if TYPE_CHECKING:
    from study.compare.launching import Ended, Shared
    from study.compare.look import Looks
    from study.compare.metrics import Metric

Repeated = tyro.conf.UseAppendAction[tuple[str, ...]]

EXIT_CODES = {"identical": 0, "round-off": 0, "real": 1, "late": 1, "unpaired": 3, "unseen": 3}
"""By reading, for scripts that test for regressions."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """How arms are compared; a YAML file has the same names."""

    seeds: str = "0"
    """such as 0-9: the first is looked at, all are trained where outcomes are compared"""
    steps: int = 100
    """optimizer steps of the first look"""
    control: Literal["jitter", "one_ulp", "rerun"] = "jitter"
    """what shows round-off: every weight moved by one ULP after each step, one weight moved once, or a rerun"""
    share_init: FlagCreatePairsOff[bool] = False
    """whether all arms begin with the first arm's weights"""
    rename: Repeated = ()
    """NEW=OLD,...: beginnings of names of tensors, another arm's and the first arm's, for --share-init"""
    first_look: FlagCreatePairsOff[bool] = False
    """stop after the first look"""
    metric: str = "episodes"
    """the outcome of a full run: episodes, tb:TAG, csv:FILE:COLUMN, json:FILE:KEY or stdout:REGEX"""
    margin: Omittable[float | None] = None
    """the equivalence margin of the outcome; by default half the standard deviation between seeds"""
    goal: Literal["maximize", "minimize"] = "maximize"
    """whether large outcomes are good: a failed run counts as the worst"""
    plan: FlagCreatePairsOff[bool] = False
    """say how many seeds would decide, by the outcomes of these seeds, instead of a report"""
    may_differ: FlagCreatePairsOff[bool] = False
    """arms are not meant to be the same mathematics"""
    workers: int = 0
    """runs at once; 0: as many as cores"""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("comparison")
    """where runs and the answer are kept; the same command continues there"""

    def check(self) -> None:
        """Check the options.

        Raises:
            ConfigError: One of them can't be used.
        """
        if self.steps < 3:
            raise ConfigError(f"--steps must be at least 3, not {self.steps}")
        if self.workers < 0:
            raise ConfigError(f"--workers must be zero or positive, not {self.workers}")
        if self.margin is not None and not 0 < self.margin < math.inf:
            raise ConfigError(f"--margin must be positive and finite, not {self.margin}")

    @property
    def shared(self) -> "Shared | None":
        """Return how arms share initial weights; None where each has its own."""
        from study.compare.launching import Shared

        pairs = read_renames(self.rename)
        return Shared(rename=pairs) if self.share_init else None

    def look(self, arms: Sequence[Arm], seed: int, lines: "RunLines") -> "Looks":
        """Compare the arms' first steps, print what was found, and write it to `look.json`.

        Args:
            arms: The reference, and the others.
            seed: Of all arms.
            lines: Printed for each run that has ended.

        Returns:
            What was found.
        """
        from study.compare.launching import Launcher
        from study.compare.look import Looker, Options
        from study.compare.words import describe_looks, plain_looks

        options = Options(seed=seed, steps=self.steps, control=self.control, shared=self.shared)
        launcher = Launcher(self.output / "look", self.workers or available_cores(), lines.on_end, repeat=True)
        looks = Looker(arms, options, launcher).look()
        write_atomically(self.output / "look.json", f"{json.dumps(plain_looks(looks), indent=1)}\n".encode())
        print("\n".join(describe_looks(looks)))
        return looks

    def compare_outcomes(self, arms: Sequence[Arm], seeds: Sequence[int], metric: "Metric", lines: "RunLines") -> str:
        """Train all arms with all seeds, and write a report, or with `--plan` a plan.

        Args:
            arms: The reference, and the others.
            seeds: Of each arm.
            metric: Reads the outcome of a run.
            lines: Printed for each run that has ended.

        Returns:
            The headlines of the report, or of the plan.
        """
        from reports.documents import plan, report
        from reports.sources import Reading
        from study.compare import outcomes
        from study.compare.launching import Launcher

        workers = self.workers or available_cores()
        wanted = outcomes.Plan(arms=arms, seeds=seeds, control=self.control, shared=self.shared)
        lines.expect(sum(map(len, wanted.jobs(self.output))))
        table = outcomes.train(wanted, self.output, Launcher(self.output, workers, lines.on_end), metric)
        outcomes.write(table, self.output)
        source = f"compare:{self.output}"
        reading = Reading(factors=("condition",) if self.may_differ else ())
        options = report.Options(margin=self.margin, goal=self.goal, reading=reading)
        if not self.plan:
            return report.write(source, self.output / "report", options)
        _, designs = report.read(source, options)
        minutes = outcomes.seconds_a_seed(table) / workers / 60
        return f"{plan.write(plan.from_designs(designs), self.output / 'plan')}\nA seed takes {minutes:.1f} min here."


class RunLines:
    """Prints a line for each run that has ended, with the time that is left where that can be told.

    Args:
        console: Where.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._expected, self._ended, self._began = 0, 0, 0.0

    def expect(self, runs: int) -> None:
        """Set how many runs are to come."""
        self._expected, self._ended, self._began = runs, 0, time.monotonic()

    def on_end(self, run: "Ended") -> None:
        """Print a line for a run that has ended."""
        self._ended += 1
        failed = f", exit code {run.exit_code}" if run.exit_code else ""
        left = (time.monotonic() - self._began) / self._ended * (self._expected - self._ended)
        total = f", {self._ended} of {self._expected}, about {duration(left)} left" if self._expected else ""
        line = f"{run.job.arm.name} {run.folder.name}: {run.seconds:.1f} s{failed}{total}"
        self._console.print(line, markup=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compare:
    """Compare commands that train: what differs, since when, and whether it is more than round-off.

    Exit code 0: identical or round-off. 1: real or late. 3: nothing could be paired, or seen. It is 1, too, if an arm
    fails. Then standard error ends with a line "study: arm ..." that has its exit code. In look.json its reading is
    "failed"; if the first arm fails, look.json isn't written.
    """

    file: Positional[Omittable[Path | None]] = None
    """a YAML file with `arms:` and these options, instead of --arm"""
    arm: Repeated = ()
    """NAME=COMMAND with {seed} in it; the first is the reference"""
    env: Repeated = ()
    """NAME:VARIABLE=VALUE, an environment variable of one arm"""
    cwd: Repeated = ()
    """NAME:FOLDER in which an arm runs, instead of a folder of its own for each run"""
    shell: FlagCreatePairsOff[bool] = False
    """whether a shell reads the commands"""
    comparison: OmitArgPrefixes[CompareOptions] = dataclasses.field(default_factory=CompareOptions)

    def run(self) -> None:
        """Check the options, compare first steps, and compare outcomes where the first steps differ.

        Raises:
            ConfigError: An arm or an option can't be used.
            WorkerError: An arm failed. What was found of the others is printed before.
            SystemExit: With the exit code that stands for what was found.
        """
        arms, options = self._read()
        require_arms(arms)
        options.check()
        from study.compare import metrics

        metric = metrics.parse(options.metric)
        seeds = read_seeds(options.seeds)
        lines = RunLines(Console(stderr=True, soft_wrap=True))
        looks = options.look(arms, seeds[0], lines)
        differing = [look.arm for look in looks.looks if look.reading.name != "identical"]
        if differing and len(seeds) > 1 and not options.first_look:
            print(f"\n{options.compare_outcomes([arms[0], *differing], seeds, metric, lines)}")
        if looks.failures:
            raise WorkerError("; ".join(str(failure.error) for failure in looks.failures))
        codes = {EXIT_CODES[look.reading.name] for look in looks.looks}
        sys.exit(next(code for code in (1, 3, 0) if code in codes))

    def _read(self) -> tuple[list[Arm], CompareOptions]:
        if self.file is None:
            return _make_arms(self.arm, self.env, self.cwd, self.shell), self.comparison
        if self.arm or self.env or self.cwd or self.shell:
            raise ConfigError(f"{self.file} has the arms: give no --arm, --env, --cwd or --shell beside it")
        return read_options(self.file, self.comparison)


def _make_arms(arm: Sequence[str], env: Sequence[str], cwd: Sequence[str], shell: bool) -> list[Arm]:
    commands = dict(_split(text, "=", "--arm NAME=COMMAND") for text in arm)
    if len(commands) < len(arm):
        raise ConfigError("two arms have the same name: give each another")
    variables: dict[str, dict[str, str]] = {name: {} for name in commands}
    folders: dict[str, Path] = {}
    for text in env:
        name, pair = _of_arm(text, commands, "--env NAME:VARIABLE=VALUE")
        key, value = _split(pair, "=", "--env NAME:VARIABLE=VALUE")
        variables[name][key] = value
    for text in cwd:
        name, folder = _of_arm(text, commands, "--cwd NAME:FOLDER")
        folders[name] = Path(folder).resolve()
    return [
        Arm(name=name, command=command, env=variables[name], cwd=folders.get(name), shell=shell)
        for name, command in commands.items()
    ]


def read_renames(given: Sequence[str]) -> list[tuple[str, str]]:
    """Return pairs of names, the new and the old, of texts such as NEW=OLD,NEW=OLD.

    Raises:
        ConfigError: A text isn't of the form.
    """
    return [_split(pair, "=", "--rename NEW=OLD") for text in given for pair in text.split(",")]


def _split(text: str, separator: str, form: str) -> tuple[str, str]:
    first, found, rest = text.partition(separator)
    if not found or not first:
        raise ConfigError(f"{brief(text)} isn't of the form {form}")
    return first, rest


def _of_arm(text: str, arms: Mapping[str, str], form: str) -> tuple[str, str]:
    name, rest = _split(text, ":", form)
    if name not in arms:
        raise ConfigError(
            f"{form.split()[0]} {text}: there is no arm {name!r}; choose from {', '.join(arms) or 'none'}"
        )
    return name, rest
