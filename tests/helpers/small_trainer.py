"""A trainer as small as one can be, with differences to be found: `python small_trainer.py SEED [DIFFERENCE]`."""

import sys

import gymnasium as gym
import numpy as np
import torch
from torch import nn

import tests.helpers.uncompiled  # noqa: F401


class Policy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 64)
        self.second = nn.Linear(64, 1)

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = torch.tanh(self.first(observation))
        return self.second(hidden)  # type: ignore[no-any-return]


class Renamed(nn.Module):
    """The same, with the same random numbers, under other names and in another order."""

    def __init__(self) -> None:
        super().__init__()
        first = nn.Linear(3, 64)
        self.head = nn.Linear(64, 1)
        self.body = first

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = torch.tanh(self.body(observation))
        return self.head(hidden)  # type: ignore[no-any-return]


def make_policy(difference: str) -> nn.Module:
    if difference == "wide":
        return nn.Sequential(nn.Linear(3, 32), nn.Tanh(), nn.Linear(32, 1))
    return Renamed() if difference.endswith("renamed") else Policy()


def main(seed: int, difference: str = "", steps: int = 400) -> None:
    if difference == "fails":
        sys.exit("a checkpoint is missing")
    if difference == "hangs":
        import time

        time.sleep(600)
    if not difference.startswith("unseeded"):
        torch.manual_seed(seed)
    policy = make_policy(difference)
    environment = gym.make("Pendulum-v1")
    observation, _ = environment.reset(seed=seed)
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-3)
    for step in range(steps):
        seen = torch.as_tensor(observation, dtype=torch.get_default_dtype())
        late = difference == "late" and step >= 333
        action = policy(seen * 1.01 if late else seen)
        observation, reward, _, truncated, _ = environment.step(action.detach().numpy())
        if difference == "rewards":
            reward = 0.1 * float(reward)
        error = action - float(reward)
        loss = (error * error if difference == "product" else error**2).mean()
        if difference == "anneal":
            optimizer.param_groups[0]["lr"] = 1e-3 * (1 - (step // 50) / 100)
        optimizer.zero_grad()
        (2 * loss if difference == "twice" else loss).backward()
        if difference == "detached":
            next(policy.parameters()).grad = None
        optimizer.step()
        if truncated:
            observation, _ = environment.reset()
    np.savetxt("returns.csv", [float(reward)], header="last_reward", comments="")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "")
