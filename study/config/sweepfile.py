"""W&B sweep files, read as what they are here: a grid of runs. W&B itself checks nothing before it queues.

Nested parameters mean what they would mean without their groups. An agent passes a group whole, as
`--group={'gamma': 0.9}`, and `study train` takes it apart. `seeds: 0-9` is one value, of ten runs: an agent's call
trains them as one cohort.
"""

import dataclasses
import itertools
import json
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml

from study.config.run_config import RunConfig, brief, make_configs, read_seeds
from study.errors import ConfigError

KEYS = {
    "name", "description", "project", "entity", "program", "command", "method", "metric", "parameters", "run_cap",
    "early_terminate", "controller", "job", "image_uri", "scheduler", "apiVersion", "kind",
}  # fmt: skip
"""What W&B's server accepts at the top of a sweep file."""

MACROS = {
    f"${{{name}}}"
    for name in (
        "env", "interpreter", "program", "args", "args_no_hyphens", "args_no_equals", "args_no_boolean_flags",
        "args_json", "args_json_file", "args_append_hydra", "args_override_hydra",
    )
}  # fmt: skip
"""What an agent replaces in a command."""

DEFAULT_COMMAND = ("${env}", "${interpreter}", "${program}", "${args}")
"""What an agent runs, where a sweep file has no command."""

OWN_COMMAND = ("${env}", "${interpreter}", "-m", "study", "train", "${args}")
"""What an agent of this project's sweeps runs."""

LEAVE_OUT_RUNS = ("run_cap", "early_terminate")
"""Those by which W&B would leave out runs that are trained here."""

FIXED = ("margin", "factor", "must_agree")
"""Parameters that fix the report before the data, and are no part of a run: W&B refuses other keys for them."""

OUTCOME = "final_return"
"""The primary outcome, where nothing names another."""

LARGEST_GRID = 100_000
"""Runs of a sweep file, at most: more are likely a mistake."""


LARGEST_FILE = 10_000_000
"""Characters of a file whose aliases are written out: a few lines of aliases to aliases can stand for any memory."""


class _Loader(yaml.SafeLoader):
    """YAML as it is specified: of two values of a key, PyYAML and W&B silently take the last."""

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None and _written_out(node, {}) > LARGEST_FILE:
            raise ConfigError(f"has aliases that stand for more than {LARGEST_FILE:,} characters: use fewer aliases")
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.composer.ComposerError(None, None, f"{key.value!r} is there twice", key.start_mark)
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else key)
        return node


def _written_out(node: yaml.Node, known: dict[int, int]) -> int:
    """Return about how many characters a node has, its aliases written out.

    Args:
        node: The node.
        known: The same of nodes that have been counted; zero for those that this one is in.

    Raises:
        RecursionError: The node is in itself.
    """
    if id(node) not in known:
        known[id(node)] = 0
        children = itertools.chain.from_iterable(node.value) if isinstance(node, yaml.MappingNode) else node.value
        is_scalar = isinstance(node, yaml.ScalarNode)
        known[id(node)] = 1 + (len(node.value) if is_scalar else sum(_written_out(child, known) for child in children))
    if known[id(node)] == 0:
        raise RecursionError
    return known[id(node)]


def read_configs(path: Path) -> list[RunConfig]:
    """Return all runs of a sweep file, in the grid's order.

    Args:
        path: The file.

    Raises:
        ConfigError: The file can't be used. The text names it.
    """
    return list({config.id: config for call in read_calls(path) for config in call}.values())


def read_calls(path: Path) -> list[list[RunConfig]]:
    """Return the runs of each point of a sweep file's grid, which an agent's call trains together.

    Args:
        path: The file.

    Raises:
        ConfigError: The file can't be used. The text names it.
    """
    read_design(path)
    try:
        points = [{name: value for name, value in point if name not in FIXED} for point in _grid(_read(path))]
        calls = [make_configs(point) for point in points]
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: is nested too deeply, or in itself") from error
    is_dose = len({point.get("perturbation") for point in points}) > 1  # unperturbed runs are the same for each
    seen = set()
    for config in itertools.chain.from_iterable(calls):
        if config.id in seen and not (is_dose and config.replicate == 0):
            raise ConfigError(
                f"{path}: the run of condition {config.condition}, seed {config.seed}, precision {config.precision}, "
                f"replicate {config.replicate} is there twice: a value is listed twice"
            )
        seen.add(config.id)
    return calls


@dataclasses.dataclass(frozen=True)
class Design:
    """What a sweep file fixes before the data.

    Attributes:
        outcome: The primary outcome, its metric's name.
        goal: Whether large outcomes are good.
        margin: The equivalence margin of this outcome.
        factor: The parameter in which arms differ, beside their condition.
        must_agree: Such a parameter, whose values are the same mathematics.
        description: What it asks, and how it was designed.
    """

    outcome: str | None
    goal: Literal["maximize", "minimize"]
    margin: float | None
    factor: str | None = None
    must_agree: str | None = None
    description: str = ""

    def margin_of(self, outcome: str) -> float | None:
        """Return the equivalence margin that was fixed for this outcome: another outcome has another scale."""
        return self.margin if outcome == (self.outcome or OUTCOME) else None


def read_design(path: Path) -> Design:
    """Return what a sweep file fixes before the data.

    Args:
        path: The file.

    Raises:
        ConfigError: The file can't be used. The text names it.
    """
    try:
        sweep = _read(path)
        metric = sweep.get("metric") or {}
        if not isinstance(metric, dict) or metric.get("goal", "maximize") not in ("maximize", "minimize"):
            raise ConfigError("metric must have a name, and a goal of maximize or minimize")
        name = metric.get("name")
        parameters = sweep.get("parameters")
        axes = dict(_axes(parameters)) if isinstance(parameters, dict) else {}
        return Design(
            outcome=None if name is None else str(name),
            goal=metric.get("goal", "maximize"),
            margin=_margin(axes),
            factor=_parameter("factor", axes),
            must_agree=_parameter("must_agree", axes),
            description=str(sweep.get("description") or "").strip(),
        )
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: is nested too deeply, or in itself") from error


def _parameter(fixed: str, axes: Mapping[str, list[Any]]) -> str | None:
    """Return the parameter that is declared as a factor."""
    match axes.get(fixed):
        case None:
            return None
        case [str() as name] if name in axes and name not in (*FIXED, "condition", "seed", "seeds", "replicate"):
            return name
        case values:
            found = brief(values[0]) if len(values) == 1 else f"{len(values)} values"
            raise ConfigError(f"parameter {fixed!r} must name another parameter of this file, not {found}")


def _margin(axes: Mapping[str, list[Any]]) -> float | None:
    match axes.get("margin"):
        case None:
            return None
        case [int() | float() as value] if not isinstance(value, bool) and 0 < value <= sys.float_info.max:
            return float(value)
        case [value]:
            raise ConfigError(f"parameter 'margin' must be one positive finite number, not {brief(value)}")
        case values:
            raise ConfigError(f"parameter 'margin' must be one positive finite number, not {len(values)} values")


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file.

    Args:
        path: The file.

    Raises:
        ConfigError: It can't be read, or isn't YAML.
    """
    try:
        if path.exists() and not path.is_file():
            raise ConfigError("can't be read: it isn't a file")
        return yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except ConfigError:
        raise
    except FileNotFoundError as error:
        raise ConfigError("there is no such file") from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"can't be read: {getattr(error, 'strerror', None) or error}") from error
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" at line {where.line + 1}" if where else ""
        raise ConfigError(f"isn't YAML{line}: {getattr(error, 'problem', None) or 'see its syntax'}") from error
    except RecursionError as error:
        raise ConfigError("is nested too deeply, or in itself") from error


def require_own_program(path: Path) -> None:
    """Refuse a sweep file by which W&B's agents would run another project's program.

    Agents run the file's `command`, or by default its `program`, with a run's parameters as arguments. A command that
    doesn't contain `${program}` is accepted: it may be a script around `study train`.

    Args:
        path: The file.

    Raises:
        ConfigError: An agent would run a program other than `study`; the text names the file.
    """
    sweep = _read(path)
    command = [str(part) for part in sweep.get("command") or DEFAULT_COMMAND]
    if "${program}" not in command:
        return
    program = str(sweep.get("program"))
    if Path(program).name == "study" and command[command.index("${program}") + 1 :][:1] == ["train"]:
        return
    raise ConfigError(
        f"{path}: program {brief(sweep.get('program'))} isn't this project's, and an agent would run it: instead of "
        f"program, give command: {json.dumps(OWN_COMMAND)}"
    )


def _read(path: Path) -> dict[str, Any]:
    content = read_yaml(path)
    if content is None:
        raise ConfigError("is empty: a sweep file has at least `method: grid` and `parameters:`")
    if not isinstance(content, dict):
        raise ConfigError("isn't a sweep file: it needs keys such as `method:` and `parameters:`")
    return content


def _grid(sweep: Mapping[str, Any]) -> Iterator[tuple[tuple[str, Any], ...]]:
    unknown = sorted(str(key) for key in sweep if key not in KEYS)
    if unknown:
        raise ConfigError(f"W&B knows no key {unknown[0]!r} in a sweep file")
    if sweep.get("method") != "grid":
        raise ConfigError(f"method must be grid, not {brief(sweep.get('method'))}: a study trains every run")
    if not (sweep.get("program") or sweep.get("command")):
        raise ConfigError("has neither `program` nor `command`: an agent would consume every run and run none")
    _check_command(sweep.get("command"))
    for key in LEAVE_OUT_RUNS:
        if key in sweep:
            raise ConfigError(f"{key} would leave out runs under W&B that are trained here: leave {key} out")
    parameters = sweep.get("parameters")
    if not isinstance(parameters, dict) or not parameters:
        raise ConfigError("has no parameters: name at least condition, seed and precision")
    axes: dict[str, list[Any]] = {}
    for name, values in _axes(parameters):
        if name in axes:
            raise ConfigError(f"parameter {name!r} is given twice")
        axes[name] = values
    seeds = sum(len(read_seeds(value)) for value in axes.get("seeds", []))
    size = math.prod(seeds if name == "seeds" else len(values) for name, values in axes.items())
    if size > LARGEST_GRID:
        raise ConfigError(f"is a grid of {size:,} runs: {LARGEST_GRID:,} are the most")
    return itertools.product(*([(name, value) for value in values] for name, values in axes.items()))


def _check_command(command: Any) -> None:
    """Refuse a command that an agent would run otherwise: it leaves out what it doesn't know, and trains the rest."""
    if command is None:
        return
    if not isinstance(command, list):
        raise ConfigError(f"command must be a list, such as {json.dumps(OWN_COMMAND)}")
    macros = [part for part in map(str, command) if part.startswith("${") and part.endswith("}")]
    unknown = [macro for macro in macros if macro not in MACROS and not macro.startswith("${envvar:")]
    if unknown:
        raise ConfigError(f"command has {unknown[0]}, of which W&B knows nothing, and which it would leave out")
    if not any(macro.startswith("${args") for macro in macros):
        raise ConfigError("command has no ${args}: every run would be trained with the same parameters")


def _axes(parameters: Mapping[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    """Yield each parameter's name and values, those of nested parameters too, as if they had no group."""
    for name, given in parameters.items():
        if not isinstance(given, dict) or len(given.keys() & {"value", "values", "parameters"}) != 1:
            raise ConfigError(f"parameter {name!r} must have one of `value:`, `values:` or nested `parameters:`")
        extra = sorted(str(key) for key in given if key not in {"value", "values", "parameters", "distribution"})
        if extra or given.get("distribution", "categorical") not in ("categorical", "constant"):
            raise ConfigError(f"parameter {name!r} must be a `value:` or a list of `values:`: a study is a grid")
        if "parameters" in given:
            if not isinstance(given["parameters"], dict):
                raise ConfigError(f"parameter {name!r} has nested `parameters:` without any")
            yield from _axes(given["parameters"])
            continue
        values = [given["value"]] if "value" in given else given["values"]
        if not isinstance(values, list) or not values:
            raise ConfigError(f"parameter {name!r} has no values: `values:` is a list of at least one")
        yield str(name), values
