"""Proximal policy optimisation: the loss and the update, for every run of a cohort at once.

After CleanRL's `ppo_continuous_action.py`. Each run has its own loss, its own minibatches and its own gradient norm;
the sum of the losses has the gradient of each in that run's parameters, since no run's loss knows another's.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from agents.envstate import State
from agents.hyperparameters import Condition, Hyperparameters
from agents.networks import ActorCritic
from agents.policies import CohortPolicy
from agents.rollout import Rollout, advantages


class Batch(NamedTuple):
    """Transitions to learn from; tensors lead with `[runs, batch]`."""

    observations: Tensor
    actions: Tensor
    log_probs: Tensor
    advantages: Tensor
    returns: Tensor
    values: Tensor


class Diagnostics(NamedTuple):
    """What one gradient step says of itself, `[runs]` each."""

    policy_loss: Tensor
    value_loss: Tensor
    entropy: Tensor
    approx_kl: Tensor
    clipfrac: Tensor
    grad_norm: Tensor
    scale_grad_norm: Tensor


def make_optimizer(agent: ActorCritic, hyperparameters: Hyperparameters) -> torch.optim.Optimizer:
    """Two groups of parameters: the networks' weights, and phi, whose learning rate may be another.

    The fused kernels compute what is left over from whole vectors otherwise; nothing is, in the agent's tensors.
    """
    groups = [{"params": [agent.weights]}, {"params": [agent.scales]}]
    if hyperparameters.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=0.0, fused=True)
    return torch.optim.Adam(groups, lr=0.0, eps=hyperparameters.adam_eps, fused=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, update: int, hyperparameters: Hyperparameters) -> float:
    """Set, and return, the learning rate of the `update`-th update, counted from 1."""
    fraction = 1.0 - (update - 1) / hyperparameters.num_updates if hyperparameters.anneal_lr else 1.0
    learning_rate = fraction * hyperparameters.learning_rate
    weights, phi = optimizer.param_groups
    weights["lr"] = learning_rate
    phi["lr"] = learning_rate * hyperparameters.scale_lr_factor
    return learning_rate


def learned(agent: ActorCritic, optimizer: torch.optim.Optimizer) -> Iterator[Tensor]:
    """All that gradient steps change, `[runs, ...]` each: the parameters, and what the optimizer keeps for them."""
    for parameter in (agent.weights, agent.scales):
        yield parameter
        yield from (kept for kept in optimizer.state[parameter].values() if kept.dim())


def state(agent: ActorCritic, optimizer: torch.optim.Optimizer, run: int) -> State:
    """What one run's further learning depends on."""
    return {
        "weights": agent.weights[run].numpy().copy(),
        "scales": agent.scales[run].numpy().copy(),
        "optimizer": {
            parameter: {name: (kept[run] if kept.dim() else kept).numpy().copy() for name, kept in by_name.items()}
            for parameter, by_name in optimizer.state_dict()["state"].items()
        },
    }


def restore(agent: ActorCritic, optimizer: torch.optim.Optimizer, states: Sequence[State]) -> None:
    """Go on from where other runs were. **Arguments**: `states`, one for each run, after equally many steps."""
    learned = _stacked(states)
    agent.weights.copy_(learned["weights"])
    agent.scales.copy_(learned["scales"])
    optimizer.load_state_dict({**optimizer.state_dict(), "state": learned["optimizer"]})


def _stacked(states: Sequence[Any]) -> Any:
    if isinstance(states[0], dict):
        return {name: _stacked([state[name] for state in states]) for name in states[0]}
    # What has no dimensions, Adam's count of steps, is the same for all runs.
    return torch.from_numpy(np.stack(states) if states[0].ndim else states[0].copy())


def prepare(
    agent: ActorCritic, conditions: Sequence[Condition], rollout: Rollout, hyperparameters: Hyperparameters
) -> Batch:
    """Turn a rollout into a batch, by one pass of the networks over all that was seen."""
    runs, steps, envs = rollout.rewards.shape
    observations = rollout.observations.flatten(1, 2)
    actions = rollout.actions.flatten(1, 2)
    with torch.no_grad():
        mean, theta, values = agent(observations)
        log_probs = CohortPolicy(conditions, mean, theta).log_prob(actions)
        next_values = agent.value(rollout.next_observations.flatten(1, 2))
        by_step = (runs, steps, envs)
        estimates = advantages(
            rollout, values.view(by_step), next_values.view(by_step), hyperparameters.gamma, hyperparameters.gae_lambda
        ).flatten(1, 2)
    return Batch(observations, actions, log_probs, estimates, estimates + values, values)


def update(
    agent: ActorCritic,
    conditions: Sequence[Condition],
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    rngs: Iterable[np.random.Generator],
    hyperparameters: Hyperparameters,
) -> Diagnostics:
    """Learn from a batch, `update_epochs` times over, in minibatches that each run shuffles with its own generator.

    **Returns**: the diagnostics of each run, `[runs]`, averaged over all gradient steps.
    """
    rngs = list(rngs)
    runs = torch.arange(len(rngs)).unsqueeze(1)
    diagnostics: list[Diagnostics] = []
    for _ in range(hyperparameters.update_epochs):
        order = torch.from_numpy(np.stack([rng.permutation(hyperparameters.batch_size) for rng in rngs]))
        by_minibatch = order.view(len(rngs), hyperparameters.num_minibatches, -1).transpose(0, 1)
        minibatches = zip(*(tensor[runs, by_minibatch] for tensor in batch), strict=True)
        diagnostics += [
            step(agent, conditions, optimizer, Batch(*minibatch), hyperparameters) for minibatch in minibatches
        ]
    return Diagnostics(*(torch.stack(values, 1).mean(1) for values in zip(*diagnostics, strict=True)))


def step(
    agent: ActorCritic,
    conditions: Sequence[Condition],
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    hyperparameters: Hyperparameters,
) -> Diagnostics:
    """One gradient step on one minibatch of each run."""
    mean, theta, values = agent(batch.observations)
    policy = CohortPolicy(conditions, mean, theta)
    log_ratio = policy.log_prob(batch.actions) - batch.log_probs
    ratio = log_ratio.exp()

    estimates = batch.advantages
    if hyperparameters.norm_adv:
        estimates = (estimates - estimates.mean(1, keepdim=True)) / (variance(estimates).sqrt() + 1e-8)
    clip = hyperparameters.clip_coef
    policy_loss = -torch.min(estimates * ratio, estimates * ratio.clamp(1 - clip, 1 + clip)).mean(1)

    value_errors = mse_loss(values, batch.returns, reduction="none")
    if hyperparameters.clip_vloss:
        clipped_values = batch.values + (values - batch.values).clamp(-clip, clip)
        value_errors = torch.max(value_errors, mse_loss(clipped_values, batch.returns, reduction="none"))
    value_loss = 0.5 * value_errors.mean(1)

    entropy = policy.entropy().mean(1)
    loss = policy_loss + hyperparameters.vf_coef * value_loss
    if hyperparameters.ent_coef:
        loss = loss - hyperparameters.ent_coef * entropy

    agent.differentiate(loss)
    grad_norm, scale_grad_norm = clip_gradients(agent, hyperparameters.max_grad_norm)
    optimizer.step()

    with torch.no_grad():
        approx_kl = ((ratio - 1) - log_ratio).mean(1)
        clipfrac = ((ratio - 1).abs() > clip).to(ratio.dtype).mean(1)
    return Diagnostics(
        policy_loss.detach(), value_loss.detach(), entropy.detach(), approx_kl, clipfrac, grad_norm, scale_grad_norm
    )


def clip_gradients(agent: ActorCritic, max_norm: float) -> tuple[Tensor, Tensor]:
    """`torch.nn.utils.clip_grad_norm_` for each run by itself.

    **Returns**: the Euclidean norms of each run's gradient before clipping, of all of it and of phi's part, `[runs]`.
    """
    assert agent.weights.grad is not None and agent.scales.grad is not None
    weights, phi = agent.weights.grad, agent.scales.grad
    scale_norm = phi.norm(dim=1)
    # Not `torch.hypot`: its last bit depends on whether a run falls into a full vector of the processor.
    norm = (weights.norm(dim=1).square() + scale_norm.square()).sqrt()
    factor = (max_norm / (norm + 1e-6)).clamp(max=1.0)
    weights.mul_(factor[:, None])
    phi.mul_(factor[:, None])
    return norm, scale_norm


def variance(values: Tensor) -> Tensor:
    """Unbiased variance of each run's values, `[runs, batch]` to `[runs, 1]`.

    `torch.var` isn't used: for a single run it takes another algorithm, with other round-off.
    """
    return (values - values.mean(1, keepdim=True)).square().sum(1, keepdim=True) / (values.shape[1] - 1)
