"""Keeps what is decided before the first run of a study, in `RUNS/plans/NAME.json`."""

import json
from pathlib import Path
from urllib.parse import quote

from filelock import FileLock

from reports.files import Json
from study.errors import ConfigError
from study.store.files import write_atomically, writing

PLANS = "plans"
"""The directory of the plans in a run store."""


def keep_plan(runs_dir: Path, name: str, plan: Json) -> None:
    """Write a study's plan, or compare it with the one that is there.

    A rule for stopping, a margin or a search space that is changed after runs were seen would undo what the study
    guarantees.

    Args:
        runs_dir: The run store.
        name: The study's.
        plan: What is decided.

    Raises:
        ConfigError: A study of that name has another plan, which is left unchanged.
    """
    path = runs_dir / PLANS / f"{quote(name, safe='')}.json"
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            write_atomically(path, (json.dumps(plan, indent=2) + "\n").encode())
    kept = _read(path)
    for key in sorted(plan.keys() | kept.keys()):
        if json.loads(json.dumps(plan.get(key))) != kept.get(key):
            raise ConfigError(
                f"{path}: the study {name!r} was planned with another {key}: give this one another name, or the same "
                f"{key}"
            )


def _read(path: Path) -> Json:
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from error
    except ValueError:
        plan = None
    if not isinstance(plan, dict):
        raise ConfigError(f"{path} is damaged: give this study another name")
    return plan
