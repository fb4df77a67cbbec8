"""PPO for continuous actions in one file, in CleanRL's manner: the trainer that docs/compare.md compares.

Schulman et al. 2017, with generalised advantage estimation (Schulman et al. 2016). It computes in torch's default
precision, and writes each episode's return to `episodes.csv` in the folder in which it runs.
"""

import argparse
import csv
import random
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Normal


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--env-id", default="Pendulum-v1")
    parser.add_argument("--total-timesteps", type=int, default=50_000)
    parser.add_argument("--num-envs", type=int, default=1)
    parser.add_argument("--num-steps", type=int, default=256, help="of each environment in a rollout")
    parser.add_argument("--num-minibatches", type=int, default=4)
    parser.add_argument("--update-epochs", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--anneal-lr", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--gamma", type=float, default=0.99)
    parser.add_argument("--gae-lambda", type=float, default=0.95)
    parser.add_argument("--clip-coef", type=float, default=0.2)
    parser.add_argument("--clip-vloss", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--ent-coef", type=float, default=0.01)
    parser.add_argument("--vf-coef", type=float, default=0.5)
    parser.add_argument("--max-grad-norm", type=float, default=0.5)
    return parser.parse_args()


def make_env(env_id: str) -> gym.Env[Any, Any]:
    """Return an environment that tells the return of each episode."""
    return gym.wrappers.RecordEpisodeStatistics(gym.make(env_id))


def make_layer(inputs: int, outputs: int, gain: float = 2**0.5) -> nn.Linear:
    """Return a linear layer with orthogonal weights and zero biases."""
    layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


class Agent(nn.Module):
    """A Gaussian policy with a learned standard deviation, and a value function."""

    def __init__(self, observations: int, actions: int) -> None:
        super().__init__()
        self.critic = nn.Sequential(
            make_layer(observations, 64), nn.Tanh(), make_layer(64, 64), nn.Tanh(), make_layer(64, 1, gain=1.0)
        )
        self.actor_mean = nn.Sequential(
            make_layer(observations, 64), nn.Tanh(), make_layer(64, 64), nn.Tanh(), make_layer(64, actions, gain=0.01)
        )
        self.actor_logstd = nn.Parameter(torch.zeros(1, actions))

    def value(self, observation: Tensor) -> Tensor:
        """Return the value of observations, `[N]`."""
        value: Tensor = self.critic(observation)
        return value.squeeze(-1)

    def policy(self, observation: Tensor) -> Normal:
        """Return the distribution of actions, `[N, actions]`."""
        mean = self.actor_mean(observation)
        std = torch.exp(self.actor_logstd).expand_as(mean)
        return Normal(mean, std)


class Rollout:
    """What was seen in the steps of a rollout: tensors `[steps, environments, ...]`."""

    def __init__(self, steps: int, envs: int, observations: int, actions: int) -> None:
        self.observations = torch.zeros(steps, envs, observations)
        self.actions = torch.zeros(steps, envs, actions)
        self.log_probs = torch.zeros(steps, envs)
        self.rewards = torch.zeros(steps, envs)
        self.dones = torch.zeros(steps, envs)
        self.values = torch.zeros(steps, envs)


def tensor(array: object) -> Tensor:
    """Return an array in torch's default precision."""
    return torch.as_tensor(np.asarray(array), dtype=torch.get_default_dtype())


def estimate_advantages(rollout: Rollout, next_value: Tensor, next_done: Tensor, gamma: float, lam: float) -> Tensor:
    """Return advantages, `[steps, environments]` (Schulman et al. 2016, equation 16)."""
    advantages = torch.zeros_like(rollout.rewards)
    advantage = torch.zeros_like(next_value)
    for step in reversed(range(len(advantages))):
        not_done = 1.0 - next_done
        delta = rollout.rewards[step] + gamma * not_done * next_value - rollout.values[step]
        advantage = delta + gamma * lam * not_done * advantage
        advantages[step] = advantage
        next_value, next_done = rollout.values[step], rollout.dones[step]
    return advantages


def normalise(advantages: Tensor) -> Tensor:
    """Return advantages with mean 0 and standard deviation 1."""
    return (advantages - advantages.mean()) / (advantages.std() + 1e-8)


def main(args: argparse.Namespace) -> None:
    """Train."""
    random.seed(args.seed)
    np.random.seed(args.seed)
    torch.manual_seed(args.seed)
    envs = gym.vector.SyncVectorEnv(
        [lambda: make_env(args.env_id) for _ in range(args.num_envs)],
        autoreset_mode=gym.vector.AutoresetMode.SAME_STEP,
    )
    space = envs.single_action_space
    assert isinstance(space, gym.spaces.Box) and isinstance(envs.single_observation_space, gym.spaces.Box)
    observations, actions = envs.single_observation_space.shape[0], space.shape[0]

    agent = Agent(observations, actions)
    optimizer = torch.optim.Adam(agent.parameters(), lr=args.learning_rate, eps=1e-5)
    rollout = Rollout(args.num_steps, args.num_envs, observations, actions)
    batch_size = args.num_steps * args.num_envs
    num_updates = args.total_timesteps // batch_size

    with Path("episodes.csv").open("w", newline="") as file:
        episodes = csv.writer(file)
        episodes.writerow(["global_step", "episodic_return"])
        observation, _ = envs.reset(seed=args.seed)
        next_observation, next_done = tensor(observation), torch.zeros(args.num_envs)
        global_step = 0

        for update in range(num_updates):
            if args.anneal_lr:
                optimizer.param_groups[0]["lr"] = args.learning_rate * (1 - update / num_updates)

            for step in range(args.num_steps):
                global_step += args.num_envs
                rollout.observations[step], rollout.dones[step] = next_observation, next_done
                with torch.no_grad():
                    policy = agent.policy(next_observation)
                    action = policy.sample()
                    rollout.values[step] = agent.value(next_observation)
                rollout.actions[step] = action
                rollout.log_probs[step] = policy.log_prob(action).sum(-1)
                observation, reward, terminated, truncated, infos = envs.step(
                    np.clip(action.numpy(), space.low, space.high)
                )
                rollout.rewards[step] = tensor(reward)
                next_observation, next_done = tensor(observation), tensor(terminated | truncated)
                if "final_info" in infos:
                    ended = infos["final_info"]["episode"]
                    for episodic_return in ended["r"][infos["_final_info"]]:
                        episodes.writerow([global_step, float(episodic_return)])

            with torch.no_grad():
                next_value = agent.value(next_observation)
                advantages = estimate_advantages(rollout, next_value, next_done, args.gamma, args.gae_lambda)
                returns = advantages + rollout.values

            flat_observations = rollout.observations.reshape(batch_size, observations)
            flat_actions = rollout.actions.reshape(batch_size, actions)
            flat_log_probs, flat_values = rollout.log_probs.reshape(-1), rollout.values.reshape(-1)
            flat_advantages, flat_returns = advantages.reshape(-1), returns.reshape(-1)
            indices = np.arange(batch_size)
            for _ in range(args.update_epochs):
                np.random.shuffle(indices)
                for batch in np.split(indices, args.num_minibatches):
                    policy = agent.policy(flat_observations[batch])
                    log_prob = policy.log_prob(flat_actions[batch]).sum(-1)
                    entropy = policy.entropy().sum(-1)
                    ratio = torch.exp(log_prob - flat_log_probs[batch])

                    advantage = normalise(flat_advantages[batch])
                    clipped_ratio = torch.clamp(ratio, 1 - args.clip_coef, 1 + args.clip_coef)
                    policy_loss = -torch.min(advantage * ratio, advantage * clipped_ratio).mean()

                    value, old_value, target = (
                        agent.value(flat_observations[batch]),
                        flat_values[batch],
                        flat_returns[batch],
                    )
                    squared_error = (value - target) ** 2
                    if args.clip_vloss:
                        clipped_value = old_value + torch.clamp(value - old_value, -args.clip_coef, args.clip_coef)
                        squared_error = torch.max(squared_error, (clipped_value - target) ** 2)
                    value_loss = 0.5 * squared_error.mean()

                    loss = policy_loss - args.ent_coef * entropy.mean() + args.vf_coef * value_loss
                    optimizer.zero_grad()
                    loss.backward()
                    nn.utils.clip_grad_norm_(agent.parameters(), args.max_grad_norm)
                    optimizer.step()
    envs.close()


if __name__ == "__main__":
    main(parse())
