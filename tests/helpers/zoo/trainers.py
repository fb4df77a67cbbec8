"""The trainers: docs/compare/ppo.py, and Stable-Baselines3's PPO, SAC and DQN."""

import dataclasses
import functools
import importlib.util
import sys
from argparse import Namespace
from collections.abc import Callable
from types import ModuleType
from typing import Any

import gymnasium as gym
import numpy as np

from tests.helpers.paths import ROOT

SCRIPTS = ROOT / "docs" / "compare"

ENVIRONMENTS = {
    "ppo": ("Pendulum-v1", "Reacher-v5"),
    "sb3-ppo": ("Pendulum-v1", "Reacher-v5"),
    "sb3-sac": ("Pendulum-v1", "Reacher-v5"),
    "sb3-dqn": ("CartPole-v1", "Acrobot-v1"),
}
"""By trainer, the environments on which it is compared."""

Wrapper = Callable[[gym.Env[Any, Any]], gym.Env[Any, Any]]


@dataclasses.dataclass
class Setup:
    """How a trainer is to train, which a change changes.

    Attributes:
        env_id: The environment.
        seed: None for any.
        options: Of the trainer.
        wrappers: Of the environment, innermost first.
        callbacks: Stable-Baselines3's.
        prepare: Called with the model, or with the script's module, before it trains.
        script: The name of a script.
    """

    env_id: str
    seed: int | None
    options: dict[str, Any]
    wrappers: list[Wrapper] = dataclasses.field(default_factory=list)
    callbacks: list[Any] = dataclasses.field(default_factory=list)
    prepare: list[Callable[[Any], object]] = dataclasses.field(default_factory=list)
    script: str = "ppo"

    def make_env(self) -> gym.Env[Any, Any]:
        """Return an environment, with observations divided by their usual size."""
        return functools.reduce(
            lambda env, wrap: wrap(env), [scale_observations, *self.wrappers], gym.make(self.env_id)
        )


def replace(owner: Any, name: str, value: object) -> None:
    """Replace a function or a method: this process trains once."""
    assert hasattr(owner, name)
    setattr(owner, name, value)


def scale_observations(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    """Divide observations by four."""
    space = env.observation_space
    assert isinstance(space, gym.spaces.Box)
    scaled = gym.spaces.Box(np.float32(space.low / 4), np.float32(space.high / 4))
    return gym.wrappers.TransformObservation(env, lambda seen: np.asarray(seen / 4, np.float32), scaled)


OPTIONS: dict[str, dict[str, Any]] = {
    "ppo": {
        "total_timesteps": 2048, "num_envs": 1, "num_steps": 256, "num_minibatches": 4, "update_epochs": 4,
        "learning_rate": 3e-4, "anneal_lr": True, "gamma": 0.99, "gae_lambda": 0.95, "clip_coef": 0.2,
        "clip_vloss": True, "ent_coef": 0.01, "vf_coef": 0.5, "max_grad_norm": 0.5,
    },
    "sb3-ppo": {
        "n_steps": 256, "batch_size": 64, "n_epochs": 4, "learning_rate": lambda left: 3e-4 * left,
        "clip_range_vf": 0.2, "ent_coef": 0.01, "vf_coef": 0.5, "max_grad_norm": 0.5, "gamma": 0.99,
    },
    "sb3-sac": {"learning_starts": 250, "batch_size": 64, "ent_coef": 0.1, "gamma": 0.99, "tau": 0.01},
    "sb3-dqn": {
        "learning_starts": 100, "batch_size": 64, "train_freq": 1, "target_update_interval": 50, "gamma": 0.99,
        "learning_rate": 1e-3,
    },
}  # fmt: skip


def make_setup(trainer: str, env_id: str, seed: int) -> Setup:
    """Return how a trainer trains without any change."""
    return Setup(env_id=env_id, seed=seed, options=dict(OPTIONS[trainer]))


def train(trainer: str, setup: Setup) -> None:
    """Train."""
    if trainer == "ppo":
        _train_script(setup)
    else:
        _train_with_sb3(trainer, setup)


def _train_script(setup: Setup) -> None:
    script = load_script(setup.script)
    replace(script, "make_env", lambda _: gym.wrappers.RecordEpisodeStatistics(setup.make_env()))
    for prepare in setup.prepare:
        prepare(script)
    seed = np.random.SeedSequence().generate_state(1)[0] if setup.seed is None else setup.seed
    if setup.script == "ppo":
        script.main(Namespace(env_id=setup.env_id, seed=int(seed), **setup.options))
    else:
        known = {name: value for name, value in setup.options.items() if name not in ("anneal_lr", "clip_vloss")}
        script.Trainer(script.Config(env_id=setup.env_id, seed=int(seed), **known)).train()


def load_script(name: str) -> ModuleType:
    """Return a script of docs/compare as a module."""
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _train_with_sb3(trainer: str, setup: Setup) -> None:
    import stable_baselines3

    algorithm = getattr(stable_baselines3, trainer.removeprefix("sb3-").upper())
    model = algorithm("MlpPolicy", setup.make_env(), seed=setup.seed, **setup.options)
    for prepare in setup.prepare:
        prepare(model)
    model.learn(2048, callback=setup.callbacks)
