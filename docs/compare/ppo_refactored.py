"""ppo.py after a refactor that should change nothing: other names, other modules, the same mathematics.

The policy is an `Independent` distribution, losses are functions of a batch, and sums are taken in another order.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.distributions import Independent, Normal


@dataclasses.dataclass
class Config:
    """Hyperparameters."""

    seed: int = 1
    env_id: str = "Pendulum-v1"
    total_timesteps: int = 50_000
    num_envs: int = 1
    num_steps: int = 256
    num_minibatches: int = 4
    update_epochs: int = 4
    learning_rate: float = 3e-4
    gamma: float = 0.99
    gae_lambda: float = 0.95
    clip_coef: float = 0.2
    ent_coef: float = 0.01
    vf_coef: float = 0.5
    max_grad_norm: float = 0.5

    @classmethod
    def parse(cls) -> Config:
        """Read the command line."""
        parser = argparse.ArgumentParser()
        for field in dataclasses.fields(cls):
            parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(field.default), default=field.default)
        return cls(**vars(parser.parse_args()))


def make_env(env_id: str) -> gym.Env[Any, Any]:
    """Return an environment that counts each episode's return."""
    return gym.wrappers.RecordEpisodeStatistics(gym.make(env_id))


def orthogonal(inputs: int, outputs: int, gain: float) -> nn.Linear:
    """Return a linear layer with orthogonal weights and zero biases."""
    layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.constant_(layer.bias, 0.0)
    return layer


class MLP(nn.Module):
    """Two hidden layers of 64 tanh units."""

    def __init__(self, inputs: int, outputs: int, gain: float) -> None:
        super().__init__()
        self.hidden = nn.ModuleList([orthogonal(inputs, 64, 2**0.5), orthogonal(64, 64, 2**0.5)])
        self.output = orthogonal(64, outputs, gain)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return outputs, `[N, outputs]`."""
        for layer in self.hidden:
            inputs = torch.tanh(layer(inputs))
        output: Tensor = self.output(inputs)
        return output


class ActorCritic(nn.Module):
    """Policy and value function."""

    def __init__(self, observations: int, actions: int) -> None:
        super().__init__()
        value_net = MLP(observations, 1, gain=1.0)
        self.policy_net = MLP(observations, actions, gain=0.01)
        self.log_std = nn.Parameter(torch.zeros(actions))
        self.value_net = value_net

    def distribution(self, observations: Tensor) -> Independent[Normal]:
        """Return the distribution of actions."""
        return Independent(Normal(self.policy_net(observations), self.log_std.exp()), 1)

    def evaluate(self, observations: Tensor) -> Tensor:
        """Return the value of observations, `[N]`."""
        values: Tensor = self.value_net(observations)
        return values[..., 0]


@dataclasses.dataclass
class Batch:
    """Steps of all environments, each `[N, ...]`, or `[steps, environments, ...]` while they are gathered."""

    observations: Tensor
    actions: Tensor
    log_probs: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor

    def minibatches(self, indices: NDArray[np.int64], count: int) -> Iterator[Batch]:
        """Return the steps in random parts, each once. The indices are shuffled in place, again in each epoch."""
        np.random.shuffle(indices)
        for chosen in np.split(indices, count):
            yield Batch(**{name: values[chosen] for name, values in vars(self).items()})


class Trainer:
    """Gathers rollouts and learns from them."""

    def __init__(self, config: Config) -> None:
        self.config = config
        random.seed(config.seed)
        np.random.seed(config.seed)
        torch.manual_seed(config.seed)
        make = [lambda: make_env(config.env_id)] * config.num_envs
        self.envs = gym.vector.SyncVectorEnv(make, autoreset_mode=gym.vector.AutoresetMode.SAME_STEP)
        space = self.envs.single_action_space
        assert isinstance(space, gym.spaces.Box)
        self.bounds = space.low, space.high
        shape = self.envs.single_observation_space.shape
        assert shape is not None
        self.model = ActorCritic(shape[0], space.shape[0])
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=config.learning_rate, eps=1e-5)
        self.steps = 0

    def train(self) -> None:
        """Train, and write the return of each episode."""
        updates = self.config.total_timesteps // (self.config.num_steps * self.config.num_envs)
        self.done = torch.zeros(self.config.num_envs)
        self.observation = as_tensor(self.envs.reset(seed=self.config.seed)[0])
        with Path("episodes.csv").open("w", newline="") as file:
            episodes = csv.writer(file)
            episodes.writerow(["global_step", "episodic_return"])
            for update in range(updates):
                self.optimizer.param_groups[0]["lr"] = self.config.learning_rate * (1 - update / updates)
                batch = self.gather(episodes)
                indices = np.arange(len(batch.values))
                for _ in range(self.config.update_epochs):
                    for minibatch in batch.minibatches(indices, self.config.num_minibatches):
                        self.learn(minibatch)
        self.envs.close()

    @torch.no_grad()
    def gather(self, episodes: Any) -> Batch:
        """Return a rollout, with advantages."""
        gathered: dict[str, list[Tensor]] = {name: [] for name in ("observations", "actions", "log_probs", "values")}
        rewards, dones = [], []
        for _ in range(self.config.num_steps):
            self.steps += self.config.num_envs
            distribution = self.model.distribution(self.observation)
            action = distribution.sample()
            gathered["observations"].append(self.observation)
            gathered["actions"].append(action)
            gathered["log_probs"].append(distribution.log_prob(action))
            gathered["values"].append(self.model.evaluate(self.observation))
            dones.append(self.done)
            observation, reward, terminated, truncated, infos = self.envs.step(action.numpy().clip(*self.bounds))
            self.observation, self.done = as_tensor(observation), as_tensor(np.logical_or(terminated, truncated))
            rewards.append(as_tensor(reward))
            if "final_info" in infos:
                ended = infos["final_info"]["episode"]["r"][infos["_final_info"]]
                episodes.writerows([self.steps, float(episodic_return)] for episodic_return in ended)
        values = [*gathered["values"], self.model.evaluate(self.observation)]
        advantages = self.advantages(torch.stack(rewards), torch.stack([*dones, self.done]), torch.stack(values))
        stacked = {name: torch.stack(steps).flatten(0, 1) for name, steps in gathered.items()}
        returns = (advantages + torch.stack(gathered["values"])).flatten()
        return Batch(**stacked, advantages=advantages.flatten(), returns=returns)

    def advantages(self, rewards: Tensor, dones: Tensor, values: Tensor) -> Tensor:
        """Return generalised advantage estimates, `[steps, environments]`."""
        alive = 1.0 - dones[1:]
        deltas = self.config.gamma * alive * values[1:] + rewards - values[:-1]
        decay = self.config.gae_lambda * self.config.gamma * alive
        estimates, estimate = [], torch.zeros_like(values[0])
        for delta, kept in zip(reversed(deltas), reversed(decay), strict=True):
            estimate = kept * estimate + delta
            estimates.append(estimate)
        return torch.stack(estimates[::-1])

    def learn(self, batch: Batch) -> None:
        """Make a gradient step."""
        distribution = self.model.distribution(batch.observations)
        loss = self.config.vf_coef * self.value_loss(batch) + self.policy_loss(distribution, batch)
        loss = loss - distribution.entropy().mean() * self.config.ent_coef
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.config.max_grad_norm)
        self.optimizer.step()

    def policy_loss(self, distribution: Independent[Normal], batch: Batch) -> Tensor:
        """Return PPO's clipped loss."""
        ratio = (distribution.log_prob(batch.actions) - batch.log_probs).exp()
        advantages = (batch.advantages - batch.advantages.mean()) / (batch.advantages.std() + 1e-8)
        clipped = ratio.clamp(1 - self.config.clip_coef, 1 + self.config.clip_coef)
        return torch.maximum(-advantages * ratio, -advantages * clipped).mean()

    def value_loss(self, batch: Batch) -> Tensor:
        """Return the clipped squared error."""
        values = self.model.evaluate(batch.observations)
        change = (values - batch.values).clamp(-self.config.clip_coef, self.config.clip_coef)
        errors = F.mse_loss(values, batch.returns, reduction="none")
        clipped = F.mse_loss(batch.values + change, batch.returns, reduction="none")
        return torch.maximum(errors, clipped).mean() / 2


def as_tensor(array: object) -> Tensor:
    """Return an array in torch's default precision."""
    return torch.as_tensor(np.asarray(array), dtype=torch.get_default_dtype())


if __name__ == "__main__":
    Trainer(Config.parse()).train()
