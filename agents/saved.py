"""Policies in files: what a run has learned, written and read."""

import dataclasses
import io
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Distribution

from agents.conditions import Condition
from agents.environments import Array
from agents.environments.normalised import EPSILON, LIMIT
from agents.hyperparameters import Hyperparameters
from agents.numerics import AnyPrecision, Numerics
from agents.ppo import Agent


class Learned(TypedDict):
    """What a policy has learned."""

    networks: dict[str, Tensor]
    """the state dict of `agents.ppo.Agent`"""
    mean: Tensor
    """mean of the observations in training, `[observation]`, by which they are normalised"""
    var: Tensor
    """their variance, `[observation]`"""


@dataclasses.dataclass(frozen=True, eq=False)
class Policy:
    """A trained policy.

    Attributes:
        agent: Its networks, a `torch.nn.Module`.
        hyperparameters: Those of its training.
        mean: Mean of the observations in training, `[observation]`.
        var: Their variance, `[observation]`.
    """

    agent: Agent
    hyperparameters: Hyperparameters
    mean: Array
    var: Array

    @torch.no_grad()
    def distribution(self, observations: NDArray[Any]) -> Distribution:
        """Return the distribution of actions for observations as the environment has them, `[..., observation]`."""
        seen = np.asarray(observations, dtype=np.float64)
        if self.hyperparameters.norm_obs:
            seen = np.clip((seen - self.mean) / np.sqrt(self.var + EPSILON), -LIMIT, LIMIT)
        return self.agent.policy(torch.from_numpy(seen).to(self.agent.dtype))

    def act(self, observations: NDArray[Any]) -> Array:
        """Return the mean of the distribution, `[..., action]`, not clipped to the environment's bounds."""
        return self.distribution(observations).mean.double().numpy()


def dump_policy(
    learned: Learned,
    condition: Condition,
    precision: AnyPrecision,
    hyperparameters: Hyperparameters,
) -> bytes:
    """Return the content of a file for `load_policy`: numbers and text, and no code."""
    file = io.BytesIO()
    config = {"condition": condition, "precision": precision, **dataclasses.asdict(hyperparameters)}
    torch.save({"config": config, **learned}, file)
    return file.getvalue()


def load_policy(path: str | Path) -> Policy:
    """Return the policy in a file, such as a run's `policy.pt`.

    Raises:
        ValueError: The file isn't such a policy. The text is one line.
    """
    try:
        kept = torch.load(path, weights_only=True)
        config = dict(kept["config"])
        condition, numerics = config.pop("condition"), Numerics(precision=config.pop("precision"))
        hyperparameters = Hyperparameters(**config)
        agent = Agent(condition, hyperparameters, numerics, seed=0)
        agent.load_state_dict(kept["networks"])
        return Policy(agent.requires_grad_(False), hyperparameters, kept["mean"].numpy(), kept["var"].numpy())
    except OSError as error:
        raise ValueError(f"{path} can't be read: {error.strerror}") from error
    except Exception as error:  # a file of another kind may raise anything
        raise ValueError(f"{path} is no policy of this program") from error
