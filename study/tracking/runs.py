"""A run as a W&B run: all that the run store has, with the same numbers.

Outside of `wandb agent`, a W&B run's id is the run's own. Under an agent the server chooses it. The first run of the
call becomes the W&B run that the agent was assigned, and the others of its cohort stand beside it in the sweep. Each
has its run's id in its config. By that, machines that share nothing but W&B see what the others have trained, and are
training (`study.tracking.elsewhere`).
"""

import dataclasses
import functools
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from reports.errors import in_one_line
from study.config.run_config import RunConfig
from study.errors import ConfigError, warn
from study.store.records import dump
from study.tracking.assignment import assignment

if TYPE_CHECKING:
    import wandb

PROJECT = "rl-roundoff"
"""The W&B project, where neither a sweep nor WANDB_PROJECT names another."""

MODES = ("online", "offline", "disabled")

LOSSES = (
    "policy_loss", "value_loss", "entropy", "approx_kl", "clipfrac", "explained_variance", "grad_norm",
    "scale_grad_norm",
)  # fmt: skip
"""What CleanRL calls `losses/`."""
FINGERPRINTS = ("params_sha256", "params_norm", "fingerprint")
"""What shows from which update on two runs differ."""
LEFT_OUT = ("tensor_sha256",)
"""What W&B would draw as a dozen charts without a number: it is in `history.jsonl`, which is saved with the run."""
STEPS = ("update", "global_step")
"""What the others are drawn over."""

INTERRUPTED = 255
"""The exit code by which W&B tells an interrupted run from one that failed."""

SECONDS_TO_FINISH = 60.0
"""How long W&B may take to upload a run once it has ended, where WANDB_FINISH_TIMEOUT doesn't say."""

OFFLINE = "-offline"
"""How the id of a run ends that W&B wouldn't begin."""


def namespaced(name: str) -> str:
    """Return the W&B name of an update's number, as CleanRL's users expect it."""
    if name in STEPS:
        return name
    return f"{'losses' if name in LOSSES else 'fingerprints' if name in FINGERPRINTS else 'charts'}/{name}"


def group_of(config: RunConfig) -> str:
    """Return the W&B group of a run: the runs that differ from it in nothing but their seed.

    W&B draws one line for each group, the mean over its runs. The digits at the end tell designs apart: they are the
    same for all runs whose hyperparameters are.
    """
    own = {"condition", "seed", "precision", "replicate", "perturbation"}
    shared = {name: value for name, value in dataclasses.asdict(config).items() if name not in own}
    design = hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()[:6]
    replicate = f"r{config.replicate} {config.perturbation}" if config.replicate else "r0"
    return f"{config.env_id} {config.condition} {config.precision} {replicate} {design}"


def _read_provenance(path: Path) -> dict[str, Any]:
    """Return the provenance in a run's `config.json`, by which W&B's users filter: `provenance.version_torch`."""
    return dict(json.loads(path.read_text(encoding="utf-8")).get("provenance", {}))


def project() -> str:
    """Return the W&B project of this process's runs, which `wandb agent` sets to its sweep's."""
    return os.environ.get("WANDB_PROJECT", PROJECT)


def choose_mode(runs_dir: Path) -> str:
    """Return W&B's "online" if its key is accepted, else "offline" with a warning. WANDB_MODE, where set, decides.

    Args:
        runs_dir: The run store, for the warning.

    Raises:
        ConfigError: WANDB_MODE is none of W&B's modes.
    """
    mode = os.environ.get("WANDB_MODE")
    if mode not in (None, *MODES):
        raise ConfigError(f"WANDB_MODE must be {', '.join(MODES[:-1])} or {MODES[-1]}, not {mode!r}")
    reason: str | None = "WANDB_MODE says so"
    if mode is None:
        reason = _reason_to_stay_offline()
        mode = "offline" if reason else "online"
    if mode == "offline":
        _say_offline(reason, runs_dir)
    return mode


def _reason_to_stay_offline() -> str | None:
    """Return why W&B can't be used; None where it can.

    This is asked once, before anything is trained: a W&B run that can't reach its server waits for a minute and a half.
    """
    import wandb

    just_talked_to_wandb = assignment() is not None  # the agent has, that started us
    try:
        return None if wandb.login(prompt=False, verify=not just_talked_to_wandb) else "no key is configured"
    except (OSError, ValueError, wandb.Error) as error:
        return in_one_line(error)


def _say_offline(reason: str | None, runs_dir: Path) -> None:
    warn(f"W&B runs offline, since {reason}: `wandb sync {runs_dir}/wandb/offline-run-*` uploads its runs.")


def addresses(run_ids: Iterable[str]) -> dict[str, str]:
    """Return the runs' web addresses, by run id; nothing where W&B doesn't tell the entity."""
    entity = _entity()
    if entity is None:
        return {}
    import wandb

    app = wandb.setup().settings.app_url
    return {run_id: f"{app}/{entity}/{project()}/runs/{run_id}" for run_id in run_ids}


@functools.cache
def _entity() -> str | None:
    """Return the entity of this process's runs. W&B is asked once."""
    import wandb

    try:
        return os.environ.get("WANDB_ENTITY") or wandb.Api().default_entity
    except (OSError, ValueError, wandb.Error):
        return None


class Tracker:
    """Begins W&B runs, and remembers whether W&B can be reached.

    Args:
        runs_dir: The run store, which holds offline runs.
        mode: W&B's "online", "offline" or "disabled".
    """

    def __init__(self, runs_dir: Path, mode: str) -> None:
        self.runs_dir = runs_dir
        self.mode = mode

    def begin(self, config: RunConfig, files: Path) -> "TrackedRun":
        """Begin a run's W&B run.

        Args:
            config: The run.
            files: Its folder in the run store, with `config.json`.
        """
        return TrackedRun(config, files, self)

    def open(self, **about: Any) -> "wandb.Run":
        """Return a new W&B run: offline from the first for which W&B doesn't answer, so that nothing is lost.

        Args:
            about: Arguments of `wandb.init`.
        """
        import wandb

        try:
            return self._init(**about)
        except wandb.Error as error:
            if self.mode != "online":
                raise
            self.mode = "offline"
            _say_offline(in_one_line(error), self.runs_dir)
            # The client keeps trying, and refuses another run of that id.
            return self._init(**about | {"id": f"{about['id']}{OFFLINE}"})

    def _init(self, **about: Any) -> "wandb.Run":
        import wandb

        asked = assignment()
        # W&B takes our package `agents` for another of that name, and would recommend a product to trace it.
        os.environ.setdefault("WANDB_DISABLE_WEAVE", "true")
        return wandb.init(
            project=project(),
            dir=self.runs_dir,
            mode=self.mode,  # type: ignore[arg-type]
            reinit="create_new",
            # Dozens of runs are open at once, and what these would gather is in config.json.
            settings=wandb.Settings(
                silent=True,
                console="off",
                disable_git=True,
                save_code=False,
                sweep_id=asked.sweep if asked else None,
                x_disable_meta=True,
                x_disable_stats=True,
                x_save_requirements=False,
                finish_timeout=float(os.environ.get("WANDB_FINISH_TIMEOUT", SECONDS_TO_FINISH)),
                finish_timeout_raises=True,
            ),
            **about,
        )


class TrackedRun:
    """A run as a W&B run; where W&B is disabled, nothing is begun, and W&B's client isn't imported."""

    def __init__(self, config: RunConfig, files: Path, tracker: Tracker) -> None:
        self.config = config
        self.id = _run_id(config)
        self.claimed = time.time()
        """when it said that it would train the run"""
        self._files = files
        self._is_silent = tracker.mode == "disabled"
        self._finished = False
        self._tell(lambda: self._begin(tracker))

    def _begin(self, tracker: Tracker) -> None:
        config, asked = self.config, assignment()
        if tracker.mode == "offline":
            _discard_interrupted(self.id, tracker.runs_dir)
        self._run = tracker.open(
            id=self.id,
            name=f"{config.condition}-s{config.seed}-{config.precision}-r{config.replicate}",
            group=group_of(config),
            job_type="train",
            tags=[config.condition, config.parameterization, config.implementation, config.precision, config.env_id],
            config={
                **(asked.parameters if asked else {}),
                **dataclasses.asdict(config),
                "run_id": config.id,
                "provenance": _read_provenance(self._files / "config.json"),
                "claimed": self.claimed,
            },
        )
        self._run.define_metric("*", step_metric="global_step")
        self._run.define_metric("charts/episodic_return", step_metric="global_step", summary="last,max")
        self._run.define_metric("losses/value_loss", step_metric="global_step", summary="last,min")
        # A summary is a table's row, in which W&B can't show a list.
        self._run.define_metric(namespaced("fingerprint"), step_metric="global_step", summary="none")
        self._save(self._files / "config.json")

    def log(self, record: Mapping[str, Any], steps_per_second: float | None = None) -> None:
        """Add an update to the history, without NaN, which would spoil a maximum.

        Args:
            record: The update, as in `history.jsonl`.
            steps_per_second: Environment steps of this run a second, where it is being trained. It differs each time
                that a run is trained, so it isn't in `history.jsonl`.
        """
        row = {
            namespaced(name): value
            for name, value in record.items()
            if name not in LEFT_OUT and value is not None and value == value
        }
        if steps_per_second is not None:
            row["charts/SPS"] = round(steps_per_second)
        self._tell(lambda: self._run.log(row, step=record["update"]))

    def finish(self, outcome: Mapping[str, Any], **about: Any) -> None:
        """Write the outcome into the summary, and save the run's files. A failed run is marked so, with the reason.

        Args:
            outcome: As in `summary.json`.
            about: Further values of W&B's summary.
        """
        self._tell(lambda: self._finish(outcome, about))

    def begin_to_finish(self, outcome: Mapping[str, Any]) -> threading.Thread:
        """Finish in a thread, and return it. It is a daemon, so that Ctrl-C ends the wait for it."""
        self._finished = True
        thread = threading.Thread(target=self.finish, args=(outcome,), daemon=True)
        thread.start()
        return thread

    def _finish(self, outcome: Mapping[str, Any], about: Mapping[str, Any]) -> None:
        self._finished = True
        said = Path(self._run.dir) / "summary.json"
        said.write_text(dump(outcome, indent=2) + "\n", encoding="utf-8")
        others = (self._files / name for name in ("policy.pt", "cost.json"))
        self._save(self._files / "history.jsonl", said, *(path for path in others if path.exists()))
        _end(self._run, {**outcome, **about}, exit_code=0 if outcome["status"] == "finished" else 1)

    def leave(self, rival: str) -> None:
        """Leave the run to another W&B run, which claimed it before."""
        self._finished = True
        self._tell(lambda: _end(self._run, {"status": "elsewhere", "same_as": rival}, exit_code=0))

    def _save(self, *files: Path) -> None:
        """Save copies of files with the W&B run, which uploads what is in its folder only on request."""
        folder = Path(self._run.dir)
        for path in files:
            if path.parent != folder:
                shutil.copy(path, folder)
            self._run.save(folder / path.name, base_path=folder, policy="now", glob=False)

    def _tell(self, word: Callable[[], None]) -> None:
        """Call a function that talks to W&B, unless one has failed before or W&B is disabled."""
        if self._is_silent:
            return
        try:
            word()
        except TimeoutError:
            self._is_silent = True
            folder = Path(self._run.dir).parent
            warn(f"W&B hasn't taken run {self.id} in time: `wandb sync --include-online {folder}` uploads it")
        except Exception as error:
            self._is_silent = True
            warn(f"W&B has failed, and run {self.id} continues in the run store alone: {in_one_line(error)}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if error is None or self._finished:
            return
        interrupted = not isinstance(error, Exception)
        summary = {
            "status": "interrupted" if interrupted else "failed",
            "error": "interrupted" if interrupted else in_one_line(error),
        }
        self._tell(lambda: _end(self._run, summary, exit_code=INTERRUPTED if interrupted else 1))


def settle_assigned_run(summary: Mapping[str, Any], runs_dir: Path = Path("runs")) -> None:
    """End the W&B run that an agent assigned to this process, if none of its runs became it.

    Args:
        summary: Its summary, with a `status`.
        runs_dir: The run store.
    """
    asked, mode = assignment(), os.environ.get("WANDB_MODE", "online")
    if asked is None or asked.config or mode not in MODES or mode == "disabled":
        return
    try:
        run = Tracker(runs_dir, mode).open(id=asked.run)
        _end(run, summary, exit_code=1 if summary["status"] == "failed" else 0)
    except Exception as error:
        warn(f"W&B has failed, and knows nothing of it: {in_one_line(error)}")


def _end(run: "wandb.Run", summary: Mapping[str, Any], exit_code: int) -> None:
    run.summary.update(dict(summary))
    if summary.get("error"):
        run.write_logs(str(summary["error"]))
    run.finish(exit_code=exit_code)


def _run_id(config: RunConfig) -> str:
    asked = assignment()
    if asked is None:
        return config.id
    asked.config = asked.config or config.id
    return asked.run if asked.config == config.id else f"{asked.run}-{config.id}"


def _discard_interrupted(run_id: str, runs_dir: Path) -> None:
    """Remove what a killed process recorded of this run offline: uploaded, it would be a second run of that id."""
    for folder in (runs_dir / "wandb").glob("offline-run-*-*"):
        if folder.name.split("-", 3)[-1] in (run_id, f"{run_id}{OFFLINE}"):
            shutil.rmtree(folder)
