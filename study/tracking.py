"""What a run tells Weights & Biases: all that the ledger has, with the same names and the same numbers."""

import dataclasses
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import wandb

from study.cells import Cell, MistakeError
from study.ledger import dump

PROJECT = "rl-roundoff"
"""The W&B project, where neither a sweep nor WANDB_PROJECT names another."""

MODES = ("online", "offline", "disabled")


def choose_mode(runs_dir: Path) -> str:
    """W&B's "online" if it lets us in, else "offline", and a word on it. WANDB_MODE, where set, decides.

    **Raises**: `MistakeError`, when WANDB_MODE is none of W&B's modes.
    """
    mode = os.environ.get("WANDB_MODE")
    if mode not in (None, *MODES):
        raise MistakeError(f"WANDB_MODE must be {', '.join(MODES[:-1])} or {MODES[-1]}, not {mode!r}")
    reason: str | None = "WANDB_MODE says so"
    if mode is None:
        reason = _reason_to_stay_offline()
        mode = "offline" if reason else "online"
    if mode == "offline":
        print(
            f"W&B runs offline, since {reason}: `wandb sync {runs_dir}/wandb/offline-run-*` uploads its runs.",
            file=sys.stderr,
        )
    return mode


def _reason_to_stay_offline() -> str | None:
    """Asked once, before anything is trained: a run that can't reach W&B gives up after a minute and a half only."""
    just_talked_to_wandb = "WANDB_SWEEP_ID" in os.environ  # the agent has, that started us
    try:
        return None if wandb.login(prompt=False, verify=not just_talked_to_wandb) else "no key is configured"
    except (OSError, ValueError, wandb.Error) as error:
        return _in_one_line(error)


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())


class TrackedRun:
    """A cell as a W&B run. Its id is the cell's, except under `wandb agent`, where the server names it."""

    def __init__(self, cell: Cell, runs_dir: Path, mode: str) -> None:
        self._id = cell.id
        self._failed = False
        self._tell(lambda: self._begin(cell, runs_dir, mode))

    def _begin(self, cell: Cell, runs_dir: Path, mode: str) -> None:
        # W&B takes our package `agents` for another of that name, and would recommend a product to trace it.
        os.environ.setdefault("WANDB_DISABLE_WEAVE", "true")
        under_agent = "WANDB_SWEEP_ID" in os.environ
        if mode == "offline" and not under_agent:
            _discard_interrupted(cell, runs_dir)
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=None if under_agent else cell.id,
            name=f"{cell.condition}-s{cell.seed}-{cell.precision}-r{cell.replicate}",
            group=f"{cell.env_id} seed {cell.seed}",
            job_type=cell.condition,
            tags=[cell.parameterization, cell.implementation, cell.precision, cell.env_id],
            config={**dataclasses.asdict(cell), "cell_id": cell.id},
            dir=runs_dir,
            mode=mode,  # type: ignore[arg-type]
            reinit="create_new",
            # Dozens of runs are open at once, and what these would gather is in cell.json.
            settings=wandb.Settings(
                silent=True,
                console="off",
                disable_git=True,
                save_code=False,
                x_disable_meta=True,
                x_disable_stats=True,
                x_save_requirements=False,
            ),
        )
        self._run.define_metric("*", step_metric="global_step")

    def log(self, record: Mapping[str, Any]) -> None:
        """An update's record, into the history."""
        self._tell(lambda: self._run.log(dict(record), step=record["update"]))

    def finish(self, outcome: Mapping[str, Any], files: Path) -> None:
        """The outcome, into the summary, and the ledger's files; a failed run is marked so.

        **Arguments**: `files`, the cell's folder in the ledger, where the outcome isn't yet.
        """
        self._tell(lambda: self._finish(outcome, files))

    def _finish(self, outcome: Mapping[str, Any], files: Path) -> None:
        self._run.summary.update(dict(outcome))
        if not self._run.disabled:
            saved = Path(self._run.dir)
            for name in ("cell.json", "updates.jsonl"):
                shutil.copy(files / name, saved)
            (saved / "outcome.json").write_text(dump(outcome, indent=2) + "\n", encoding="utf-8")
        self._run.finish(exit_code=0 if outcome["status"] == "finished" else 1)

    def _tell(self, word: Callable[[], None]) -> None:
        """Tell W&B something, or nothing more once it has failed, however: the ledger has all, and training goes on."""
        if self._failed:
            return
        try:
            word()
        except Exception as error:
            self._failed = True
            reason = _in_one_line(error)
            print(f"W&B has failed, and run {self._id} goes on in the ledger alone: {reason}", file=sys.stderr)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self._tell(lambda: self._run.finish(exit_code=1))


def _discard_interrupted(cell: Cell, runs_dir: Path) -> None:
    """Remove what a killed process recorded of this cell offline: uploaded, it would be a second run of that id."""
    for interrupted in (runs_dir / "wandb").glob(f"offline-run-*-{cell.id}"):
        shutil.rmtree(interrupted)
