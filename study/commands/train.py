"""`study train`."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import FlagConversionOff, arg

from study.cells import Cell, MistakeError, read_seeds, require_trainable
from study.commands.shared import CellFailedError, check_step_timeout, say_what_starts_over
from study.memory import require_memory
from study.tracking.assignment import assignment


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train:
    """Train one cell, or, as one cohort, those of several seeds. A sweep's agents call this, and so can you."""

    cell: FlagConversionOff[Annotated[Cell, arg(name="")]]  # `--anneal_lr=True`, as an agent says it
    seeds: str | None = None
    """instead of --seed, several, such as 0-9, 0-4,7 or 0-8:2: trained together, to the same bits as one by one"""
    margin: float | None = None
    """the sweep's equivalence margin, which an agent passes on: it changes nothing, and W&B keeps it in the config"""
    factor: str | None = None
    """what the sweep's report is to compare, which an agent passes on, too"""
    must_agree: str | None = None
    """the same, of values that are the same mathematics"""
    step_timeout: float = 0.0
    """seconds that a step or a reset of the environment may take before the run has failed; 0: any"""
    runs_dir: Path = Path("runs")
    """where runs are kept: the ledger"""

    def run(self) -> None:
        """Train, unless it has been done."""
        check_step_timeout(self.step_timeout)
        step_timeout = self.step_timeout or None
        seeds = [self.cell.seed] if self.seeds is None else read_seeds(self.seeds)
        cells = [dataclasses.replace(self.cell, seed=seed) for seed in dict.fromkeys(seeds)]
        require_trainable(cells)
        require_memory(cells)
        from study import training
        from study.ledger import Ledger
        from study.tracking import agent
        from study.tracking import runs as tracking

        ledger = Ledger(self.runs_dir)
        before = {cell.id for cell in cells if ledger.outcome(cell) is not None}
        say_what_starts_over(cell for cell in cells if cell.id not in before)
        if assignment():
            left = agent.carry_out(cells, self.runs_dir, tracking.choose_mode(self.runs_dir), step_timeout)
        else:
            left = {}
            if waiting := ledger.waiting(cells):
                mode = tracking.choose_mode(self.runs_dir)
                training.train(waiting, self.runs_dir, mode, step_timeout=step_timeout)
        failed = []
        for cell in cells:
            outcome = ledger.outcome(cell)
            if cell.id in left:
                print(f"{ledger.path(cell)} is being trained by {left[cell.id]}")
            elif outcome is None:
                raise MistakeError(f"cell {cell.id} is being trained by another process")
            elif outcome["status"] == "failed":
                failed.append(f"{ledger.path(cell)} failed: {outcome['error'] or 'no reason is recorded'}")
            else:
                print(f"{ledger.path(cell)} {_how_it_ended(outcome, cell.id in before)}")
        if failed:
            if assignment():
                agent.say_how_agents_give_up()
            raise CellFailedError("; ".join(failed))


def _how_it_ended(outcome: dict[str, Any], before: bool) -> str:
    shown = [name for name in ("final_return", "eval_return", "final_std") if name in outcome]
    figures = ", ".join(f"{name} {outcome[name]:.6g}" for name in shown)
    return f"{'had finished before' if before else 'finished'}: {figures}"


def with_first_seed(arguments: Sequence[str]) -> list[str]:
    """The arguments of `study train`, in which `--seeds 0-9` gives the cell its `--seed` too.

    **Raises**: `MistakeError`, when both are given.
    """
    given: dict[str, str] = {}
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        name, equals, value = argument.partition("=")
        if name in ("--seed", "--seeds"):
            given[name] = value if equals else following
    if "--seeds" not in given:
        return list(arguments)
    if "--seed" in given:
        raise MistakeError("--seed and --seeds exclude each other")
    return [*arguments, f"--seed={read_seeds(given['--seeds'])[0]}"]
