"""Proximal policy optimisation: the update from a rollout, for every run of a cohort at once.

After CleanRL's `ppo_continuous_action.py`, as `agents.ppo` has it for one run. Each run has its own loss, its own
minibatches and its own gradient norm.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from agents.cohort.adam import Optimizer, make_adam
from agents.cohort.losses import normalised, policy_loss, value_loss
from agents.cohort.networks import ActorCritic
from agents.cohort.numerics import Floats, mean
from agents.cohort.policies import CohortPolicy
from agents.cohort.rollout import Rollout, estimate_advantages
from agents.conditions import Condition
from agents.hyperparameters import Hyperparameters


class Batch(NamedTuple):
    """Transitions to learn from. Arrays lead with `[runs, batch]`."""

    observations: Floats
    actions: Floats
    log_probs: Floats
    advantages: Floats
    returns: Floats
    values: Floats


class Diagnostics(NamedTuple):
    """The diagnostics of a gradient step, `[runs]` each."""

    policy_loss: Floats
    value_loss: Floats
    entropy: Floats
    approx_kl: Floats
    clipfrac: Floats
    grad_norm: Floats
    scale_grad_norm: Floats


def make_optimizer(agent: ActorCritic, hyperparameters: Hyperparameters) -> Optimizer:
    """Return an optimizer of two groups of parameters: the weights, and the raw scale with its own learning rate.

    Its kernels are fused. They are batch-invariant, since the agent's parameters fill whole vectors of the processor.
    """
    groups: list[dict[str, Any]] = [{"params": [agent.weights]}, {"params": [agent.raw_scales]}]
    if hyperparameters.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=0.0, fused=True)
    return make_adam(groups, hyperparameters.adam_eps)


def set_learning_rate(optimizer: Optimizer, update: int, hyperparameters: Hyperparameters) -> float:
    """Set, and return, the learning rate of the `update`-th update, counted from 1."""
    learning_rate = hyperparameters.learning_rate_at(update)
    weights, raw_scale = optimizer.param_groups
    weights["lr"] = learning_rate
    raw_scale["lr"] = learning_rate * hyperparameters.scale_lr_factor
    return learning_rate


def make_batch(
    agent: ActorCritic, conditions: Sequence[Condition], rollout: Rollout, hyperparameters: Hyperparameters
) -> Batch:
    """Return a rollout as a batch, with log-probabilities, values and advantages.

    The networks are evaluated for as many transitions at a time as a minibatch has.

    Args:
        agent: The networks.
        conditions: One for each run.
        rollout: The transitions, `[runs, steps, envs]`.
        hyperparameters: The agent's.
    """
    by_step = rollout.rewards.shape
    observations, actions, next_observations = (
        array.reshape(by_step[0], -1, array.shape[3])
        for array in (rollout.observations, rollout.actions, rollout.next_observations)
    )
    log_probs, values, next_values = (np.empty(actions.shape[:2], actions.dtype) for _ in range(3))
    for start in range(0, hyperparameters.batch_size, hyperparameters.minibatch_size):
        part = slice(start, start + hyperparameters.minibatch_size)
        forward = agent.forward(observations[:, part])
        policy = CohortPolicy(
            conditions, torch.from_numpy(forward.mean), agent.scale(torch.from_numpy(forward.raw_scale))
        )
        log_probs[:, part] = policy.log_prob(torch.from_numpy(actions[:, part])).numpy()
        values[:, part] = forward.values
        next_values[:, part] = agent.value(next_observations[:, part])
    advantages = estimate_advantages(
        rollout,
        values.reshape(by_step),
        next_values.reshape(by_step),
        hyperparameters.gamma,
        hyperparameters.gae_lambda,
    ).reshape(values.shape)
    return Batch(observations, actions, log_probs, advantages, advantages + values, values)


def learn(
    agent: ActorCritic,
    conditions: Sequence[Condition],
    optimizer: Optimizer,
    batch: Batch,
    shuffling: Sequence[np.random.Generator],
    hyperparameters: Hyperparameters,
) -> Diagnostics:
    """Learn from a batch, `update_epochs` times over, in minibatches that each run shuffles with its own generator.

    Args:
        agent: The networks, which are changed.
        conditions: One for each run.
        optimizer: The agent's, from `make_optimizer`.
        batch: The transitions.
        shuffling: Each run's generator.
        hyperparameters: The agent's.

    Returns:
        The diagnostics of each run, `[runs]`, averaged over all gradient steps.
    """
    flat = [array.reshape(-1, *array.shape[2:]) for array in batch]
    diagnostics: list[Diagnostics] = []
    for _ in range(hyperparameters.update_epochs):
        order = np.stack([rng.permutation(hyperparameters.batch_size) for rng in shuffling])
        order += hyperparameters.batch_size * np.arange(len(shuffling))[:, None]
        by_minibatch = order.reshape(len(shuffling), hyperparameters.num_minibatches, -1).swapaxes(0, 1)
        shuffled = Batch(*(array.take(by_minibatch, axis=0) for array in flat))
        if hyperparameters.norm_adv:
            shuffled = shuffled._replace(advantages=normalised(shuffled.advantages))
        diagnostics += [
            step(agent, conditions, optimizer, Batch(*minibatch), hyperparameters)
            for minibatch in zip(*shuffled, strict=True)
        ]
    return Diagnostics(*(mean(np.stack(values, axis=1)) for values in zip(*diagnostics, strict=True)))


def step(
    agent: ActorCritic,
    conditions: Sequence[Condition],
    optimizer: Optimizer,
    minibatch: Batch,
    hyperparameters: Hyperparameters,
) -> Diagnostics:
    """Take one gradient step on one minibatch of each run, `[runs, minibatch]`, and return its diagnostics."""
    clip_coef = hyperparameters.clip_coef
    forward = agent.forward(minibatch.observations)
    leaves = [torch.from_numpy(array).requires_grad_() for array in (forward.mean, forward.raw_scale)]
    policy = CohortPolicy(conditions, leaves[0], agent.scale(leaves[1]))
    log_probs, entropy = policy.log_prob(torch.from_numpy(minibatch.actions)), policy.entropy()
    log_ratio = log_probs.detach().numpy() - minibatch.log_probs
    ratio = np.exp(log_ratio)

    pg_loss, by_log_prob = policy_loss(ratio, minibatch.advantages, clip_coef)
    v_loss, by_value = value_loss(
        forward.values, minibatch.values, minibatch.returns, clip_coef if hyperparameters.clip_vloss else None
    )
    differentiated = {log_probs: by_log_prob}
    if hyperparameters.ent_coef:
        differentiated[entropy] = np.full_like(ratio, -hyperparameters.ent_coef / ratio.shape[1])

    by_mean, by_raw_scale = torch.autograd.grad(
        list(differentiated), leaves, [torch.from_numpy(gradient) for gradient in differentiated.values()]
    )
    agent.backward(forward, by_mean.numpy(), by_raw_scale.numpy(), hyperparameters.vf_coef * by_value)
    grad_norm, scale_grad_norm = clip_gradients(agent, hyperparameters.max_grad_norm)
    optimizer.step()
    return Diagnostics(
        policy_loss=pg_loss,
        value_loss=v_loss,
        entropy=mean(entropy.detach().numpy()),
        approx_kl=mean((ratio - 1) - log_ratio),
        clipfrac=mean((np.abs(ratio - 1) > clip_coef).astype(ratio.dtype)),
        grad_norm=grad_norm,
        scale_grad_norm=scale_grad_norm,
    )


def clip_gradients(agent: ActorCritic, max_norm: float) -> tuple[Floats, Floats]:
    """Clip the norm of each run's gradient by itself, as `torch.nn.utils.clip_grad_norm_` does for one.

    Args:
        agent: The networks, whose gradients are scaled in place.
        max_norm: The largest norm of a run's gradient.

    Returns:
        The Euclidean norm of each run's gradient before clipping, and that of the raw scale's part, `[runs]` each.
    """
    assert agent.weights.grad is not None and agent.raw_scales.grad is not None
    gradients = [agent.weights.grad.numpy(), agent.raw_scales.grad.numpy()]
    squares, scale_squares = (np.vecdot(gradient, gradient) for gradient in gradients)
    norm = np.sqrt(squares + scale_squares)
    factor = np.minimum(max_norm / (norm + 1e-6), 1)
    for gradient in gradients:
        gradient *= factor[:, None]
    return norm, np.sqrt(scale_squares)
