"""READ THIS: one run of PPO in plain PyTorch, whole. `agents.cohort` is the same for many, differentiated by hand.

`study sweep engines` compares both. The agent is CleanRL's `ppo_continuous_action.py`, with these differences:

- The policy is one of `agents.policies`. Its scale may depend on the state, and have a learning rate of its own.
- Where its time limit cut an episode, the value of its last observation counts. CleanRL takes that for termination.
- Log-probabilities and values of a rollout are computed after it, at once. CleanRL computes them step by step.
- There is no `target_kl`, and the optimizer may be SGD. A record has means over an update's gradient steps.
- Environments and running statistics are in float64, and differ as `agents.environments.normalised` lists.
- Each use of random numbers has its own generator. So all runs of a seed share initial weights, noise and shuffles.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.distributions import Distribution

from agents import environments
from agents.conditions import Condition
from agents.environments.normalised import NormalisedEnvs
from agents.fingerprints import Floats, fingerprint, make_origin
from agents.hyperparameters import Hyperparameters
from agents.numerics import Numerics
from agents.perturbation import perturb
from agents.policies import POLICIES, sample
from agents.randomness import streams
from agents.records import EVALUATION_SEED, Failure, Outcome, Record, Run, summarise


class Agent(nn.Module):
    """The actor, the critic, and the raw scale from which the policy's scale comes."""

    def __init__(self, condition: Condition, hyperparameters: Hyperparameters, numerics: Numerics, seed: int) -> None:
        super().__init__()
        self.condition, self.numerics = condition, numerics
        self.dtype = torch.float64 if numerics.precision == "float64" else torch.float32
        self.transform = nn.functional.softplus if hyperparameters.scale_transform == "softplus" else torch.exp
        self.state_dependent_scale = hyperparameters.state_dependent_scale
        observation, self.action = environments.sizes(hyperparameters.env_id)
        hidden, outputs = hyperparameters.hidden_size, self.action * (2 if self.state_dependent_scale else 1)
        generator = torch.Generator().manual_seed(seed)
        self.actor = tower(observation, hidden, outputs, last_gain=0.01, generator=generator)
        self.critic = tower(observation, hidden, 1, last_gain=1.0, generator=generator)
        scale = np.float64(hyperparameters.initial_scale)
        raw_scale = np.log(scale) if self.transform is torch.exp else np.log(np.expm1(scale))
        self.raw_scale = nn.Parameter(torch.full((self.action,), raw_scale, dtype=torch.float64))
        self.to(numerics.device, self.dtype)
        if self.state_dependent_scale:  # the raw scale is the bias of these outputs, which need no second one
            is_mean = torch.arange(outputs, device=numerics.device) < self.action
            *_, bias = self.actor.parameters()
            bias.register_hook(lambda gradient: gradient * is_mean)
        if numerics.compile:  # a method of this file: torch traces none of its own, so not `self.actor.compile()`
            torch.compiler.reset()  # what this process compiled before changes no bit
            self._network = torch.compile(self._network)  # type: ignore[method-assign]

    def policy(self, observations: Tensor) -> Distribution:
        """Return the distribution of actions, `[..., action]`, for observations, `[..., observation]`."""
        outputs = self._network(self.actor, observations)
        mean, shift = outputs[..., : self.action], outputs[..., self.action :]
        raw_scale = self.raw_scale + shift if self.state_dependent_scale else self.raw_scale
        return POLICIES[self.condition](mean, self.transform(raw_scale))

    def value(self, observations: Tensor) -> Tensor:
        """Return the critic's values, `[...]`."""
        return self._network(self.critic, observations).squeeze(-1)

    def tensors(self) -> list[Floats]:
        """Return all parameters in the order of `agents.fingerprints.TENSORS`: matrices are `[in, out]`."""
        layers = [parameter for network in (self.actor, self.critic) for parameter in network.parameters()]
        return [parameter.detach().t().cpu().numpy() for parameter in (*layers, self.raw_scale)]

    def _network(self, network: nn.Sequential, observations: Tensor) -> Tensor:
        with torch.autocast(self.numerics.device, torch.bfloat16, enabled=self.numerics.precision == "bfloat16"):
            outputs: Tensor = network(observations)
        return outputs.to(self.dtype)


def tower(inputs: int, hidden: int, outputs: int, last_gain: float, generator: torch.Generator) -> nn.Sequential:
    """Return a network with two hidden layers."""
    return nn.Sequential(
        orthogonal(inputs, hidden, 2**0.5, generator), nn.Tanh(),
        orthogonal(hidden, hidden, 2**0.5, generator), nn.Tanh(),
        orthogonal(hidden, outputs, last_gain, generator),
    )  # fmt: skip


def orthogonal(inputs: int, outputs: int, gain: float, generator: torch.Generator) -> nn.Linear:
    """Return a layer with orthogonal weights, drawn in float64 for every precision, and zero biases."""
    layer = nn.utils.skip_init(nn.Linear, inputs, outputs, dtype=torch.float64)
    assert isinstance(layer, nn.Linear)
    nn.init.orthogonal_(layer.weight, gain, generator=generator)
    nn.init.zeros_(layer.bias)
    return layer


class Batch(NamedTuple):
    """Transitions: `[steps, envs, ...]` as they were met, `[batch, ...]` to learn from."""

    observations: Tensor
    actions: Tensor
    log_probs: Tensor
    advantages: Tensor
    returns: Tensor
    values: Tensor


class PPO:
    """One run, from its seed to its outcome.

    Raises:
        NoChangeError: The run's perturbation changes no bit.
        UnsuitableEnvironmentError: There is no environment of this name, or not of this kind.
        EnvironmentFailedError: An environment failed, now or in `train` or `outcome`.
        torch.linalg.LinAlgError: In `train`: no covariance is positive definite any more.
    """

    def __init__(self, run: Run, hp: Hyperparameters, numerics: Numerics, step_timeout: float | None = None) -> None:
        self.hp = hp
        own = streams(run.seed, hp.num_envs, run.replicate)
        self.noise, self.shuffling = own.noise, own.shuffling
        torch.set_float32_matmul_precision("high" if numerics.allow_tf32 else "highest")
        self.agent = Agent(run.condition, hp, numerics, own.weights)
        self.origin = make_origin(self.agent.tensors())
        networks = [*self.agent.actor.parameters(), *self.agent.critic.parameters()]
        groups = [{"params": networks}, {"params": [self.agent.raw_scale]}]
        self.optimizer = torch.optim.SGD(groups) if hp.optimizer == "sgd" else torch.optim.Adam(groups, eps=hp.adam_eps)
        if run.replicate:
            weights = [parameter.data for parameter in (*networks, self.agent.raw_scale)]
            perturb(weights[0].t(), weights, self.optimizer, run.replicate, hp.perturbation, own.jitter)
        self.envs = NormalisedEnvs(hp, step_timeout)
        self.observations = self.envs.reset(own.environments)
        self.episodes: list[environments.Array] = []

    def train(self) -> Iterator[Record]:
        """Train to the end, and yield a record after each update."""
        hp, agent = self.hp, self.agent
        for update in range(1, hp.num_updates + 1):
            learning_rate = hp.learning_rate_at(update)
            networks, raw_scale = self.optimizer.param_groups
            networks["lr"], raw_scale["lr"] = learning_rate, learning_rate * hp.scale_lr_factor
            steps_before = self.envs.unfinished.sum()
            batch = Batch(*(tensor.flatten(0, 1) for tensor in self.collect()))
            gradient_steps = self.learn(batch)
            returns, steps = self.episodes[-1], hp.batch_size + steps_before - self.envs.unfinished.sum()
            yield Record(
                update=update,
                global_step=update * hp.batch_size,
                learning_rate=learning_rate,
                episodic_return=float(returns.mean()) if len(returns) else float("nan"),
                episodic_length=float(steps / len(returns)) if len(returns) else float("nan"),
                episodes=len(returns),
                std=self.std(),
                explained_variance=(1 - (batch.returns - batch.values).var() / batch.returns.var()).item(),
                **fingerprint(agent.tensors(), self.origin, update),
                **{name: float(np.mean([step[name] for step in gradient_steps])) for name in gradient_steps[0]},
            )

    @torch.no_grad()
    def collect(self) -> Batch:
        """Act for a rollout, and estimate advantages (Schulman et al. 2016, equation 16)."""
        hp, tensor = self.hp, self.tensor
        noise = tensor(self.noise.standard_normal((hp.num_steps, hp.num_envs, self.agent.action)))
        seen, led_to, taken, rewards, terminated, ended, episodes = [], [], [], [], [], [], []
        for step in range(hp.num_steps):
            seen.append(tensor(self.observations))
            taken.append(sample(self.agent.policy(seen[-1]), noise[step]))
            outcome = self.envs.step(taken[-1].cpu().numpy())
            self.observations = outcome.observations
            led_to.append(tensor(outcome.next_observations))
            rewards.append(tensor(outcome.rewards))
            terminated.append(tensor(outcome.terminated))
            ended.append(tensor(outcome.ended))
            episodes.append(outcome.episodic_returns[outcome.ended])
        self.episodes.append(np.concatenate(episodes))

        observations, actions = torch.stack(seen), torch.stack(taken)
        log_probs = self.agent.policy(observations).log_prob(actions)
        values, next_values = self.agent.value(observations), self.agent.value(torch.stack(led_to))
        advantages, later = torch.zeros_like(values), torch.zeros_like(values[0])
        for step in reversed(range(hp.num_steps)):
            error = rewards[step] + hp.gamma * next_values[step] * (1 - terminated[step]) - values[step]
            advantages[step] = later = error + hp.gamma * hp.gae_lambda * (1 - ended[step]) * later
        return Batch(observations, actions, log_probs, advantages, advantages + values, values)

    def learn(self, batch: Batch) -> list[dict[str, float]]:
        """Learn from a batch, `update_epochs` times over, and return the diagnostics of each gradient step."""
        hp, agent, diagnostics = self.hp, self.agent, []
        for _ in range(hp.update_epochs):
            order = torch.from_numpy(self.shuffling.permutation(hp.batch_size)).to(agent.numerics.device)
            for indices in order.split(hp.minibatch_size):
                mb = Batch(*(tensor[indices] for tensor in batch))
                policy, values = agent.policy(mb.observations), agent.value(mb.observations)
                log_ratio = policy.log_prob(mb.actions) - mb.log_probs
                ratio = log_ratio.exp()
                advantages = mb.advantages
                if hp.norm_adv:
                    advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
                clipped_ratio = ratio.clamp(1 - hp.clip_coef, 1 + hp.clip_coef)
                value_errors = (values - mb.returns).square()
                if hp.clip_vloss:
                    clipped_values = mb.values + (values - mb.values).clamp(-hp.clip_coef, hp.clip_coef)
                    value_errors = torch.max(value_errors, (clipped_values - mb.returns).square())

                policy_loss = -torch.min(advantages * ratio, advantages * clipped_ratio).mean()
                value_loss = 0.5 * value_errors.mean()
                entropy = policy.entropy().mean()
                loss = policy_loss - hp.ent_coef * entropy + hp.vf_coef * value_loss

                self.optimizer.zero_grad()
                loss.backward()
                assert agent.raw_scale.grad is not None
                scale_norm = agent.raw_scale.grad.norm()
                norm = nn.utils.clip_grad_norm_(agent.parameters(), hp.max_grad_norm)
                self.optimizer.step()
                tensors = {
                    "policy_loss": policy_loss, "value_loss": value_loss, "entropy": entropy,
                    "approx_kl": ((ratio - 1) - log_ratio).mean(), "grad_norm": norm, "scale_grad_norm": scale_norm,
                    "clipfrac": ((ratio - 1).abs() > hp.clip_coef).double().mean(),
                }  # fmt: skip
                diagnostics.append({name: tensor.item() for name, tensor in tensors.items()})
        return diagnostics

    @torch.no_grad()
    def outcome(self) -> Outcome | Failure:
        """Evaluate the policy's mean, and return the run's outcome."""
        envs = self.envs.frozen(self.hp.eval_episodes)
        observations = envs.reset(range(EVALUATION_SEED, EVALUATION_SEED + self.hp.eval_episodes))
        returns, running = np.zeros(self.hp.eval_episodes), np.ones(self.hp.eval_episodes, bool)
        while running.any():
            step = envs.step(self.agent.policy(self.tensor(observations)).mean.cpu().numpy())
            ended = running & step.ended
            returns[ended] = step.episodic_returns[ended]
            running &= ~ended
            envs.rest(ended)
            observations = step.observations
        envs.close()
        return summarise(self.episodes, returns, self.std())

    @torch.no_grad()
    def std(self) -> float:
        """Return the policy's standard deviation, for either parameterization; the mean over action dimensions."""
        return self.agent.policy(self.tensor(self.observations)).stddev.mean().item()

    def tensor(self, array: NDArray[Any]) -> Tensor:
        """Return an array as a tensor of the agent's precision, on its device."""
        return torch.from_numpy(array).to(self.agent.numerics.device, self.agent.dtype)
