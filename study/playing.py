"""What a trained policy does in its environment."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from agents import environments
from agents.environments import Array
from agents.errors import EnvironmentFailedError
from agents.saved import Policy
from study.errors import ConfigError


def evaluate(policy: Policy, seeds: Sequence[int]) -> Array:
    """Return what the policy's mean earns in an episode of each seed.

    Args:
        policy: The policy.
        seeds: Of the episodes' resets.

    Returns:
        Undiscounted returns, `[seeds]`.

    Raises:
        EnvironmentFailedError: An environment has failed.
    """
    envs = environments.make_vector(policy.hyperparameters.env_id, len(seeds))
    observations, _ = envs.reset(seed=list(seeds))
    returns = np.zeros(len(seeds))
    while not envs.resting.all():
        actions = _within_bounds(policy.act(observations), envs.single_action_space)
        observations, rewards, terminated, truncated, _ = envs.step(actions)
        returns += np.where(envs.resting, 0.0, rewards)
        envs.resting |= terminated | truncated
    envs.close()
    for reason in envs.failures.values():
        raise EnvironmentFailedError(reason)
    return returns


def record(policy: Policy, seed: int, folder: Path) -> Path:
    """Record an episode, and return the video's path.

    Args:
        policy: The policy, which acts by its mean.
        seed: Of the episode's reset.
        folder: Where the video is written.

    Raises:
        ConfigError: What draws or writes videos isn't installed.
    """
    env_id = policy.hyperparameters.env_id
    try:
        rendered = gym.make(env_id, render_mode="rgb_array")
        env = gym.wrappers.RecordVideo(
            rendered, str(folder), episode_trigger=lambda _: True, name_prefix=env_id, disable_logger=True
        )
        observation, _ = env.reset(seed=seed)
        is_over = False
        while not is_over:
            action = _within_bounds(policy.act(observation), env.action_space)
            observation, _, terminated, truncated, _ = env.step(action)
            is_over = terminated or truncated
        env.close()
    except (gym.error.DependencyNotInstalled, ImportError) as error:
        raise ConfigError(f'--video needs more packages: pip install "rl-roundoff[video]" ({error})') from error
    return folder / f"{env_id}-episode-0.mp4"


def _within_bounds(actions: Array, space: Any) -> Array:
    return np.clip(actions, space.low.astype(np.float64), space.high.astype(np.float64))
