"""A run's config is its complete description. The same config is the same run everywhere."""

import dataclasses
import difflib
import functools
import hashlib
import json
import re
import reprlib
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_type_hints

from pydantic import TypeAdapter, ValidationError

from agents import environments
from agents.conditions import CONDITIONS, Condition
from agents.hyperparameters import Hyperparameters
from agents.numerics import AnyPrecision, Device, Numerics
from study.errors import ConfigError

LARGEST_SEED = 2**53
"""Larger whole numbers are rounded by most readers of JSON, so that two seeds might become one."""

LARGEST_BLOCK = 10_000
"""Seeds of one call, at most: more are likely a mistake."""

_SEEDS = re.compile(r"\d{1,16}(-\d{1,16}(:[1-9]\d{0,15})?)?(,\d{1,16}(-\d{1,16}(:[1-9]\d{0,15})?)?)*")

COMPENSATION = {"adam": 0.5, "sgd": 0.25}
"""What makes a std of a variance: log std is the raw scale for the one and half of it for the other, which halves each
step. Adam's step doesn't feel how large a gradient is; that of plain gradient descent does, and the gradient is halved,
too."""

LATER = {"engine": "cohort", "device": "cpu", "compile": False, "allow_tf32": False, "perturbation": "one_ulp"}
"""Parameters that came after the first studies, and their defaults."""

_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")
"""A number such as 1e-3, which YAML 1.1 reads as text for want of a point or a sign."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig(Hyperparameters):
    """One run: a condition, a seed, a precision, a replicate, and all hyperparameters."""

    condition: Condition
    """which of the four policies"""
    seed: int
    """what every random stream of the run is derived from"""
    precision: AnyPrecision
    """what the agent computes in; environments are always float64. bfloat16 is autocast, of engine reference alone"""
    replicate: int = 0
    """0, or k to move the k-th weight by one unit in the last place before training: the control for round-off"""
    engine: Literal["cohort", "reference"] = "cohort"
    """what trains it: agents.cohort, many runs at once, or agents.ppo, the readable agent, one by one"""
    device: Device = "cpu"
    """on what engine reference computes; untested on cuda: no test of this project has a GPU"""
    compile: bool = False
    """have torch.compile compile the networks of engine reference; tested on cpu, not on cuda"""
    allow_tf32: bool = False
    """let CUDA round float32's products to TensorFloat-32, with engine reference; untested, as cuda is"""
    compensated: bool = False
    """let the raw scale of the std conditions learn at half the rate under Adam, a quarter under SGD"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.replicate == 0:  # nothing is perturbed: the same run, whatever it isn't perturbed by
            object.__setattr__(self, "perturbation", "one_ulp")
        if self.compensated and self.state_dependent_scale:
            raise ValueError(
                "compensated must be off where state_dependent_scale is on: the raw scale alone has its own rate"
            )
        for name in ("seed", "replicate"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be zero or positive, not {getattr(self, name)}")
        self._check_engine()
        if self.seed > LARGEST_SEED:
            raise ValueError(f"seed must be at most 2**53 = {LARGEST_SEED}, not {self.seed}")

    def _check_engine(self) -> None:
        """Refuse what an engine doesn't do."""
        if self.engine == "reference":
            if self.allow_tf32 and self.device != "cuda":
                raise ValueError("allow_tf32 must be off on device cpu: TensorFloat-32 is CUDA's")
            if self.rollouts == "shared":
                raise ValueError("rollouts must be own with engine reference, which trains one run")
            return
        for name, can in (
            ("precision", self.precision != "bfloat16"),
            ("device", self.device == "cpu"),
            ("compile", not self.compile),
            ("allow_tf32", not self.allow_tf32),
        ):
            if not can:
                raise ValueError(f"{name} can't be {getattr(self, name)} with engine cohort: choose engine reference")

    @functools.cached_property
    def id(self) -> str:
        """Return 16 hexadecimal digits of the description's hash: the same description has the same id everywhere.

        Parameters that came after the first studies are left out at their defaults, so that ids of their runs hold.
        """
        later = {name for name, default in LATER.items() if getattr(self, name) == default}
        known = {name: value for name, value in dataclasses.asdict(self).items() if name not in later}
        description = json.dumps(known, sort_keys=True)
        return hashlib.sha256(description.encode()).hexdigest()[:16]

    @property
    def parameterization(self) -> str:
        """Return what the policy takes the scale for: "variance" or "std"."""
        return CONDITIONS[self.condition].parameterization

    @property
    def implementation(self) -> str:
        """Return the short name of the torch class: "mvn" or "normal"."""
        return CONDITIONS[self.condition].implementation

    @property
    def hyperparameters(self) -> Hyperparameters:
        """Return what it is trained with, which may depend on the condition."""
        factor = COMPENSATION[self.optimizer] if self.compensated and self.parameterization == "std" else 1.0
        own = {field.name: getattr(self, field.name) for field in dataclasses.fields(Hyperparameters)}
        return Hyperparameters(**{**own, "scale_lr_factor": factor * self.scale_lr_factor})

    @property
    def numerics(self) -> Numerics:
        """Return the precision and device of engine reference."""
        return Numerics(precision=self.precision, device=self.device, compile=self.compile, allow_tf32=self.allow_tf32)

    @property
    def kind(self) -> tuple[Any, ...]:
        """Return what runs share that take equally long: they differ in condition, seed and replicate only."""
        return (self.engine, *dataclasses.astuple(self.numerics), *dataclasses.astuple(self.hyperparameters))

    @property
    def cohort_key(self) -> tuple[Any, ...]:
        """Return what runs share that can be trained as one cohort: their kind. Engine reference trains each alone."""
        return (*self.kind, self.id) if self.engine == "reference" else self.kind


def require_trainable(configs: Iterable[RunConfig]) -> None:
    """Check what only the environments and this machine can tell, before anything is trained.

    Args:
        configs: The runs.

    Raises:
        ConfigError: There is no such replicate, or no such device.
        UnsuitableEnvironmentError: An environment can't be used.
    """
    sizes: dict[str, int] = {}
    for config in configs:
        if config.env_id not in sizes:
            sizes[config.env_id], _ = environments.sizes(config.env_id)
        weights = sizes[config.env_id] * config.hidden_size
        if config.device == "cuda" and not _has_cuda():
            raise ConfigError("device cuda: torch finds no CUDA device here")
        if config.replicate > weights:
            raise ConfigError(
                f"replicate must be at most {weights}, not {config.replicate}: in {config.env_id!r}, with hidden_size "
                f"{config.hidden_size}, the actor's first layer has no more weights"
            )


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def make_config(description: Mapping[str, Any]) -> RunConfig:
    """Return a config from names and values as YAML or JSON have them.

    Args:
        description: Values by parameter.

    Raises:
        ConfigError: A parameter is unknown, missing or out of range.
    """
    types = get_type_hints(RunConfig)
    values = {}
    for name, value in description.items():
        if name not in types:
            near = difflib.get_close_matches(name, types, n=1)
            raise ConfigError(f"there is no parameter {name!r}" + (f": did you mean {near[0]!r}?" if near else ""))
        values[name] = _convert(name, value, types[name])
    missing = [name for name in ("condition", "seed", "precision") if name not in values]
    if missing:
        raise ConfigError(f"parameter {missing[0]!r} is missing: every run needs one")
    try:
        return RunConfig(**values)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def make_configs(description: Mapping[str, Any]) -> list[RunConfig]:
    """Return the configs of a description in which `seeds`, such as "0-9", may stand for `seed`.

    Args:
        description: Values by parameter.

    Raises:
        ConfigError: A parameter is unknown, missing or out of range.
    """
    if "seeds" not in description:
        return [make_config(description)]
    if "seed" in description:
        raise ConfigError("parameters 'seed' and 'seeds' exclude each other")
    shared = {name: value for name, value in description.items() if name != "seeds"}
    return [make_config({**shared, "seed": seed}) for seed in read_seeds(description["seeds"])]


def read_seeds(text: Any) -> list[int]:
    """Return the seeds in a text such as "0-9", "0-4,7" or "0-8:2".

    Args:
        text: The text. YAML has a lone seed as a number.

    Raises:
        ConfigError: It is no such text.
    """
    if isinstance(text, bool) or not _SEEDS.fullmatch(str(text)):
        raise ConfigError(f"parameter 'seeds' must be seeds such as 0-9, 0-4,7 or 0-8:2, not {brief(text)}")
    seeds: list[int] = []
    for part in str(text).split(","):
        ends, _, step = part.partition(":")
        first, _, last = ends.partition("-")
        block = range(int(first), int(last or first) + 1, int(step or 1))
        if not block or len(seeds) + len(block) > LARGEST_BLOCK:
            raise ConfigError(f"parameter 'seeds' must name between 1 and {LARGEST_BLOCK:,} seeds, not {brief(text)}")
        seeds += block
    return seeds


def _convert(name: str, value: Any, wanted: Any) -> Any:
    """Return a value if it is of the parameter's type: what is made to fit here may be another run under W&B."""
    exponential = wanted is float and isinstance(value, str) and _EXPONENT.fullmatch(value)
    try:
        return _validator(wanted).validate_python(float(value) if exponential else value)
    except ValidationError as error:
        choices = getattr(wanted, "__args__", None)
        kind = (
            f"one of {', '.join(choices)}"
            if choices
            else {int: "a whole number", float: "a finite number", bool: "true or false"}.get(wanted, "text")
        )
        raise ConfigError(f"parameter {name!r} must be {kind}, not {brief(value)}") from error


def brief(value: Any) -> str:
    """Return a value in one line: YAML can hold more in itself than a screen, or any memory."""
    try:
        return textwrap.shorten(reprlib.repr(value), 80)
    except ValueError:  # Python refuses to write them
        return "a number of thousands of digits"


@functools.cache
def _validator(wanted: Any) -> TypeAdapter[Any]:
    return TypeAdapter(wanted, config={"strict": True, "allow_inf_nan": False})
