"""The state of an environment, taken from one and given to another, bit for bit.

Only Gymnasium's own classic control and MuJoCo environments are known to keep their state in attributes that are plain
values, in a random generator, and in MuJoCo's data. Nothing is assumed of others.
"""

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.wrappers import OrderEnforcing, TimeLimit
from numpy.typing import NDArray

State = dict[str, Any]
"""Nested lists and dictionaries of arrays, numbers and text."""

KNOWN = ("gymnasium.envs.classic_control.", "gymnasium.envs.mujoco.")
"""The modules whose environments can be captured."""

PLAIN = (bool, int, float, np.ndarray, np.generic)
"""Types of the attributes in which an environment or a wrapper keeps its state."""


def capture(env: gym.Env[Any, Any]) -> State | None:
    """Return an environment's state; None if it isn't known where the environment keeps it."""
    core = env.unwrapped
    wrappers_known = all(isinstance(layer, TimeLimit | OrderEnforcing) for layer in _layers(env) if layer is not core)
    if not (type(core).__module__.startswith(KNOWN) and wrappers_known):
        return None
    data = getattr(core, "data", None)
    return {
        "attributes": [_plain_attributes(layer) for layer in _layers(env)],
        "generator": core.np_random.bit_generator.state,
        "mujoco": None if data is None else _mujoco_state(core, data),
    }


def restore(env: gym.Env[Any, Any], state: State) -> None:
    """Give an environment the state of another of its kind."""
    for layer, attributes in zip(_layers(env), state["attributes"], strict=True):
        # `[()]` makes NumPy's scalars of what were scalars.
        vars(layer).update(
            {name: value.copy()[()] if isinstance(value, np.ndarray) else value for name, value in attributes.items()}
        )
    core = env.unwrapped
    core.np_random.bit_generator.state = state["generator"]
    if state["mujoco"] is not None:
        _restore_mujoco(core, state["mujoco"])


def _layers(env: gym.Env[Any, Any]) -> Iterator[gym.Env[Any, Any]]:
    """Yield an environment's wrappers, from the outermost, and then the environment within."""
    yield env
    while isinstance(env, gym.Wrapper):
        env = env.env
        yield env


def _plain_attributes(layer: gym.Env[Any, Any]) -> dict[str, Any]:
    return {
        name: np.array(value) if isinstance(value, np.ndarray | np.generic) else value
        for name, value in vars(layer).items()
        if isinstance(value, PLAIN)
    }


def _mujoco_state(core: Any, data: Any) -> dict[str, NDArray[Any]]:
    """Return MuJoCo's own state, and what it derived from the last one: some rewards read that before they step."""
    import mujoco

    what = mujoco.mjtState.mjSTATE_INTEGRATION
    integration = np.empty(mujoco.mj_stateSize(core.model, what))
    mujoco.mj_getState(core.model, data, integration, what)
    derived = {name: values.copy() for name, values in _arrays(data)}
    return {"integration": integration, **derived}


def _restore_mujoco(core: Any, state: dict[str, NDArray[Any]]) -> None:
    import mujoco

    mujoco.mj_setState(core.model, core.data, state["integration"], mujoco.mjtState.mjSTATE_INTEGRATION)
    for name, values in _arrays(core.data):
        if values.shape == state[name].shape:
            values[:] = state[name]


def _arrays(data: Any) -> Iterator[tuple[str, NDArray[Any]]]:
    for name in dir(data):
        values = getattr(data, name)
        if isinstance(values, np.ndarray):
            yield name, values
