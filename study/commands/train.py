"""`study train`."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import FlagConversionOff, arg

from study.commands.shared import check_step_timeout, say_what_starts_over, what_is_kept
from study.config.run_config import RunConfig, read_seeds, require_trainable
from study.errors import ConfigError, RunFailedError
from study.options import Omittable
from study.tracking.assignment import assignment
from study.training.memory import require_memory

if TYPE_CHECKING:
    from study.progress import Progress


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train:
    """Train one run, or, as one cohort, those of several seeds. It is also what a sweep's agents call."""

    config: FlagConversionOff[Annotated[RunConfig, arg(name="")]]  # `--anneal_lr=True`, as an agent says it
    seeds: Omittable[str | None] = None
    """instead of --seed, several, such as 0-9, 0-4,7 or 0-8:2: trained together, to the same bits as one by one"""
    margin: Omittable[float | None] = None
    """the sweep's equivalence margin, as agents pass it: it changes no run, and W&B keeps it in the config"""
    factor: Omittable[str | None] = None
    """the parameter that the sweep's report compares, as agents pass it: it changes no run"""
    must_agree: Omittable[str | None] = None
    """the same, for a parameter whose values are the same mathematics"""
    step_timeout: float = 0.0
    """seconds that a step or a reset of the environment may take before the run has failed; 0: any"""
    runs_dir: Path = Path("runs")
    """where runs are kept: the run store"""

    def run(self) -> None:
        """Train the runs that haven't ended, and print how each has.

        Raises:
            ConfigError: The runs can't be trained here.
            RunFailedError: A run has failed.
        """
        check_step_timeout(self.step_timeout)
        step_timeout = self.step_timeout or None
        seeds = [self.config.seed] if self.seeds is None else read_seeds(self.seeds)
        configs = [dataclasses.replace(self.config, seed=seed) for seed in dict.fromkeys(seeds)]
        require_trainable(configs)
        require_memory(configs)
        from study.store.run_store import RunStore
        from study.tracking import runs as tracking
        from study.training import agent
        from study.training import cohort as training

        store = RunStore(self.runs_dir)
        before = {config.id for config in configs if store.summary(config) is not None}
        say_what_starts_over(config for config in configs if config.id not in before)
        left: dict[str, str] = {}
        waiting = store.waiting(configs)
        if waiting or assignment():
            mode = tracking.choose_mode(self.runs_dir)
            try:
                with _progress(waiting) as progress:
                    if assignment():
                        left = agent.carry_out(configs, self.runs_dir, mode, progress.advance, step_timeout)
                    else:
                        training.train(waiting, self.runs_dir, mode, progress.advance, step_timeout=step_timeout)
            except KeyboardInterrupt:
                raise KeyboardInterrupt(what_is_kept(store, configs)) from None
        failed = []
        for config in configs:
            outcome = store.summary(config)
            if config.id in left:
                print(f"{store.path(config)} is being trained by {left[config.id]}")
            elif outcome is None:
                raise ConfigError(f"run {config.id} is being trained by another process")
            elif outcome["status"] == "failed":
                failed.append(f"{store.path(config)} failed: {outcome['error'] or 'no reason is recorded'}")
            else:
                print(f"{store.path(config)} {_how_it_ended(outcome, config.id in before)}")
        if failed:
            if assignment():
                agent.say_how_agents_give_up()
            raise RunFailedError("; ".join(failed))


def _progress(configs: Sequence[RunConfig]) -> "Progress":
    from rich.console import Console

    from study.progress import Progress

    doing = f"training {len(configs)} {'run' if len(configs) == 1 else 'runs'}"
    return Progress(Console(stderr=True), "updates", doing, sum(config.num_updates for config in configs))


def _how_it_ended(outcome: dict[str, Any], before: bool) -> str:
    shown = [name for name in ("final_return", "eval_return", "final_std") if name in outcome]
    figures = ", ".join(f"{name} {outcome[name]:.6g}" for name in shown)
    return f"{'had finished before' if before else 'finished'}: {figures}"


def with_first_seed(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of `study train`, with a `--seed` beside `--seeds 0-9`, since a run has one.

    Args:
        arguments: As typed.

    Raises:
        ConfigError: Both are given.
    """
    given: dict[str, str] = {}
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        name, equals, value = argument.partition("=")
        if name in ("--seed", "--seeds"):
            given[name] = value if equals else following
    if "--seeds" not in given:
        return list(arguments)
    if "--seed" in given:
        raise ConfigError("--seed and --seeds exclude each other")
    return [*arguments, f"--seed={read_seeds(given['--seeds'])[0]}"]
