"""Search spaces: YAML files that say, in Optuna's terms, which hyperparameters are searched, and where."""

import dataclasses
import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from agents.hyperparameters import Hyperparameters
from study.config.run_config import RunConfig, brief, make_config
from study.config.sweepfile import read_yaml
from study.errors import ConfigError

Space = dict[str, BaseDistribution]

TYPES = {"float": FloatDistribution, "int": IntDistribution, "categorical": CategoricalDistribution}
STARTUP_TRIALS = 8
"""Trials that are drawn at random before the sampler believes what it has seen."""
ATTEMPTS = 20
"""Draws in which a point that hasn't been tried is to be found."""


def read_space(path: Path, base: RunConfig) -> tuple[Space, dict[str, Any]]:
    """Return a search space, and the content of its file.

    Args:
        path: The file.
        base: The run whose hyperparameters are varied.

    Raises:
        ConfigError: The file isn't one, or has points that make no run. The text names the file.
    """
    try:
        content = read_yaml(path)
        if not isinstance(content, dict) or not content:
            raise ConfigError(
                "isn't a search space: it needs lines such as `clip_coef: {type: float, low: 0.1, high: 0.4}`"
            )
        return parse_space(content, base), content
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def parse_space(content: Mapping[str, Any], base: RunConfig) -> Space:
    """Return distributions by hyperparameter.

    Args:
        content: Of a search space's file.
        base: The run whose hyperparameters are varied.

    Raises:
        ConfigError: There are points that make no run.
    """
    space = {str(name): _distribution(str(name), given) for name, given in content.items()}
    for name, distribution in space.items():
        for value in _ends(distribution):
            config_at(base, {name: value})
    return space


def _distribution(name: str, given: Any) -> BaseDistribution:
    searchable = [field.name for field in dataclasses.fields(Hyperparameters)]
    if name not in searchable:
        near = difflib.get_close_matches(name, searchable, n=1)
        raise ConfigError(f"there is no hyperparameter {name!r}" + (f": did you mean {near[0]!r}?" if near else ""))
    if not isinstance(given, dict) or given.get("type") not in TYPES:
        raise ConfigError(f"{name} must have a type, of {', '.join(TYPES)}, not {brief(given)}")
    options = {key: value for key, value in given.items() if key != "type"}
    try:
        distribution: BaseDistribution = TYPES[given["type"]](**options)
    except (TypeError, ValueError) as error:
        said = str(error).replace("`", "").replace(f"{TYPES[given['type']].__name__}.__init__() ", "")
        raise ConfigError(f"{name}: {said.splitlines()[0]}") from error
    return distribution


def _ends(distribution: BaseDistribution) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return [distribution.low, distribution.high]


def config_at(base: RunConfig, params: Mapping[str, Any]) -> RunConfig:
    """Return the config at a point of the space.

    Args:
        base: The run whose hyperparameters are varied.
        params: Values by hyperparameter.

    Raises:
        ConfigError: The point makes no run.
    """
    return make_config({**dataclasses.asdict(base), **params})


def suggest(space: Space, trials: list[FrozenTrial], taken: list[dict[str, Any]], seed: int) -> dict[str, Any] | None:
    """Return the next point by a tree-structured Parzen estimator; None if the space seems to have no other.

    The same arguments give the same point.

    Args:
        space: Distributions by hyperparameter.
        trials: What is known.
        taken: Points that are tried or to be tried.
        seed: Of the sampler.
    """
    for attempt in range(ATTEMPTS):
        sampler = TPESampler(n_startup_trials=STARTUP_TRIALS, seed=seed + attempt)
        study = optuna.create_study(direction=StudyDirection.MAXIMIZE, sampler=sampler)
        study.add_trials(trials)
        point = study.ask(space).params
        if point not in taken:
            return point
    return None
