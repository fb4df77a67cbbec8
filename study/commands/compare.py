"""`study compare`."""

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console
from tyro.conf import OmitArgPrefixes, Positional

from study.cells import MistakeError, read_seeds
from study.compare.arms import Arm, require_arms
from study.compare.planfile import read_options
from study.pool.cohorts import available_cores

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
    """what tells how much round-off does: all weights moved by one ULP after each step, one weight moved once, or the
    first arm again"""
    share_init: bool = False
    """whether all arms begin with the first arm's weights"""
    rename: Repeated = ()
    """NEW=OLD: beginnings of names of tensors, another arm's and the first arm's, for --share-init"""
    workers: int = 0
    """runs at once; 0: as many as cores"""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("comparison")
    """where runs and the answer are kept; the same command continues there"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compare:
    """Compare commands that train: what differs, since when, and whether it is more than round-off.

    Exit code 0: identical or round-off. 1: real or late. 3: nothing could be paired, or seen.
    """

    file: Positional[Path | None] = None
    """a YAML file with `arms:` and these options, instead of --arm"""
    arm: Repeated = ()
    """NAME=COMMAND with {seed} in it; the first is the reference"""
    env: Repeated = ()
    """NAME:VARIABLE=VALUE, an environment variable of one arm"""
    cwd: Repeated = ()
    """NAME:FOLDER in which an arm runs, instead of a folder of its own for each run"""
    shell: bool = False
    """whether a shell reads the commands"""
    comparison: OmitArgPrefixes[CompareOptions] = dataclasses.field(default_factory=CompareOptions)

    def run(self) -> None:
        """Check everything, then look."""
        arms, options = self._read()
        require_arms(arms)
        seeds = read_seeds(options.seeds)
        if options.steps < 3:
            raise MistakeError(f"--steps must be at least 3, not {options.steps}")
        from study.compare.launching import Launcher
        from study.compare.look import Looker, Options
        from study.compare.words import describe_looks, plain_looks

        console = Console(stderr=True, soft_wrap=True)
        launcher = Launcher(
            options.output / "look",
            options.workers or available_cores(),
            lambda run: console.print(f"{run.job.arm.name} {run.folder.name}: {run.seconds:.1f} s", markup=False),
            repeat_changed=True,
        )
        look = Options(
            seed=seeds[0],
            steps=options.steps,
            control=options.control,
            share_weights=options.share_init,
            rename=[_split(pair, "=", "--rename NEW=OLD") for pair in options.rename],
        )
        looks = Looker(arms, look, launcher).look()
        (options.output / "look.json").write_text(json.dumps(plain_looks(looks), indent=1) + "\n", encoding="utf-8")
        print("\n".join(describe_looks(looks)))
        sys.exit(max(EXIT_CODES[look.reading.name] for look in looks.looks))

    def _read(self) -> tuple[list[Arm], CompareOptions]:
        if self.file is None:
            return _make_arms(self.arm, self.env, self.cwd, self.shell), self.comparison
        if self.arm or self.env or self.cwd or self.shell:
            raise MistakeError(f"{self.file} has the arms: give no --arm, --env, --cwd or --shell beside it")
        return read_options(self.file, self.comparison)


def _make_arms(arm: Sequence[str], env: Sequence[str], cwd: Sequence[str], shell: bool) -> list[Arm]:
    commands = dict(_split(text, "=", "--arm NAME=COMMAND") for text in arm)
    if len(commands) < len(arm):
        raise MistakeError("two arms have the same name: give each another")
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


def _split(text: str, separator: str, form: str) -> tuple[str, str]:
    first, found, rest = text.partition(separator)
    if not found or not first:
        raise MistakeError(f"{brief_text(text)} isn't of the form {form}")
    return first, rest


def _of_arm(text: str, arms: Mapping[str, str], form: str) -> tuple[str, str]:
    name, rest = _split(text, ":", form)
    if name not in arms:
        raise MistakeError(
            f"{form.split()[0]} {text}: there is no arm {name!r}; choose from {', '.join(arms) or 'none'}"
        )
    return name, rest


def brief_text(text: str) -> str:
    """Return a text as it is quoted in an error."""
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
