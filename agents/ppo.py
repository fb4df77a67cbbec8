"""Proximal policy optimisation: the loss and the update, for every run of a cohort at once.

After CleanRL's `ppo_continuous_action.py`. Each run has its own loss, its own minibatches and its own gradient norm.
Autograd differentiates the policy, which is the subject. The loss around it says its derivative itself, as the networks
do: each term has one of two lines, and what autograd costs there is more than the arithmetic.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from agents.clipping import clipped
from agents.envstate import State
from agents.hyperparameters import Condition, Hyperparameters
from agents.networks import ActorCritic, Floats
from agents.policies import CohortPolicy
from agents.rollout import Rollout, advantages


class Batch(NamedTuple):
    """Transitions to learn from; arrays lead with `[runs, batch]`."""

    observations: Floats
    actions: Floats
    log_probs: Floats
    advantages: Floats
    returns: Floats
    values: Floats


class Diagnostics(NamedTuple):
    """What one gradient step says of itself, `[runs]` each."""

    policy_loss: Floats
    value_loss: Floats
    entropy: Floats
    approx_kl: Floats
    clipfrac: Floats
    grad_norm: Floats
    scale_grad_norm: Floats


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
    """Turn a rollout into a batch: what the networks say of all that was seen, a minibatch's worth at a time."""
    by_step = rollout.rewards.shape
    observations, actions, next_observations = (
        array.reshape(by_step[0], -1, array.shape[3])
        for array in (rollout.observations, rollout.actions, rollout.next_observations)
    )
    log_probs, values, next_values = (np.empty(actions.shape[:2], actions.dtype) for _ in range(3))
    for start in range(0, hyperparameters.batch_size, hyperparameters.minibatch_size):
        part = slice(start, start + hyperparameters.minibatch_size)
        mean, phi, values[:, part] = agent(observations[:, part])
        policy = CohortPolicy(conditions, torch.from_numpy(mean), agent.theta(torch.from_numpy(phi)))
        log_probs[:, part] = policy.log_prob(torch.from_numpy(actions[:, part])).numpy()
        next_values[:, part] = agent.value(next_observations[:, part])
    estimates = advantages(
        rollout,
        values.reshape(by_step),
        next_values.reshape(by_step),
        hyperparameters.gamma,
        hyperparameters.gae_lambda,
    ).reshape(values.shape)
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
    flat = [array.reshape(-1, *array.shape[2:]) for array in batch]
    diagnostics: list[Diagnostics] = []
    for _ in range(hyperparameters.update_epochs):
        order = np.stack([rng.permutation(hyperparameters.batch_size) for rng in rngs])
        order += hyperparameters.batch_size * np.arange(len(rngs))[:, None]
        by_minibatch = order.reshape(len(rngs), hyperparameters.num_minibatches, -1).swapaxes(0, 1)
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
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    hyperparameters: Hyperparameters,
) -> Diagnostics:
    """One gradient step on one minibatch of each run."""
    mean_action, phi, values = agent(batch.observations)
    leaves = [torch.from_numpy(array).requires_grad_() for array in (mean_action, phi)]
    policy = CohortPolicy(conditions, leaves[0], agent.theta(leaves[1]))
    log_probs, entropy = policy.log_prob(torch.from_numpy(batch.actions)), policy.entropy()

    clip = hyperparameters.clip_coef
    log_ratio = log_probs.detach().numpy() - batch.log_probs
    ratio = np.exp(log_ratio)
    policy_loss, by_log_prob = surrogate(ratio, batch.advantages, clip)
    value_loss, by_value = value_error(
        values, batch.values, batch.returns, clip if hyperparameters.clip_vloss else None
    )
    differentiated = {log_probs: by_log_prob}
    if hyperparameters.ent_coef:
        differentiated[entropy] = np.full_like(ratio, -hyperparameters.ent_coef / ratio.shape[1])

    by_mean, by_phi = torch.autograd.grad(
        list(differentiated), leaves, [torch.from_numpy(gradient) for gradient in differentiated.values()]
    )
    agent.backward(by_mean.numpy(), by_phi.numpy(), hyperparameters.vf_coef * by_value)
    grad_norm, scale_grad_norm = clip_gradients(agent, hyperparameters.max_grad_norm)
    optimizer.step()
    return Diagnostics(
        policy_loss=policy_loss,
        value_loss=value_loss,
        entropy=mean(entropy.detach().numpy()),
        approx_kl=mean((ratio - 1) - log_ratio),
        clipfrac=mean((np.abs(ratio - 1) > clip).astype(ratio.dtype)),
        grad_norm=grad_norm,
        scale_grad_norm=scale_grad_norm,
    )


def surrogate(ratio: Floats, estimates: Floats, clip: float) -> tuple[Floats, Floats]:
    """The clipped surrogate objective (Schulman et al. 2017, equation 7), as a loss.

    Where the clipped term is the smaller, it is constant; elsewhere a ratio's derivative in its logarithm is itself.

    **Arguments**: `ratio`, of the new policy's probabilities to the old one's, and `estimates`, the advantages,
    `[runs, batch]`.

    **Returns**: each run's loss, `[runs]`, and its derivative in the new log-probabilities, `[runs, batch]`.
    """
    plain, cut = estimates * ratio, estimates * clipped(ratio, 1 - clip, 1 + clip)
    return -mean(np.minimum(plain, cut)), np.where(plain <= cut, plain, 0) / -ratio.shape[1]


def value_error(values: Floats, old_values: Floats, returns: Floats, clip: float | None) -> tuple[Floats, Floats]:
    """Half the mean squared error; with `clip`, that of the old value changed by no more than it, where that is larger.

    Where it is, and the change was cut, it is constant. A change that wasn't gives the same square twice but for
    round-off, which must not decide whether there is a derivative.

    **Returns**: each run's loss, `[runs]`, and its derivative in the values, `[runs, batch]`.
    """
    error = values - returns
    square, derivative = np.square(error), error
    if clip is not None:
        whole_change = values - old_values
        change = clipped(whole_change, -clip, clip)
        clipped_square = np.square(old_values + change - returns)
        derivative = np.where((change == whole_change) | (square >= clipped_square), error, 0)
        square = np.maximum(square, clipped_square)
    return mean(square) / 2, derivative / values.shape[1]


def clip_gradients(agent: ActorCritic, max_norm: float) -> tuple[Floats, Floats]:
    """`torch.nn.utils.clip_grad_norm_` for each run by itself.

    **Returns**: the Euclidean norms of each run's gradient before clipping, of all of it and of phi's part, `[runs]`.
    """
    assert agent.weights.grad is not None and agent.scales.grad is not None
    gradients = [agent.weights.grad.numpy(), agent.scales.grad.numpy()]
    squares, scale_squares = (np.vecdot(gradient, gradient) for gradient in gradients)
    norm = np.sqrt(squares + scale_squares)
    factor = np.minimum(max_norm / (norm + 1e-6), 1)
    for gradient in gradients:
        gradient *= factor[:, None]
    return norm, np.sqrt(scale_squares)


def normalised(estimates: Floats) -> Floats:
    """Advantages of mean 0 and deviation 1 in each run's minibatch, `[..., batch]`."""
    return (estimates - mean(estimates)[..., None]) / (np.sqrt(variance(estimates))[..., None] + 1e-8)


def variance(values: Floats) -> Floats:
    """Unbiased variance of each run's values, `[..., batch]` to `[...]`."""
    count = values.shape[-1]
    deviations: Floats = values - mean(values)[..., None]
    unbiased: Floats = mean(np.square(deviations)) * (count / (count - 1))
    return unbiased


def mean(values: Floats) -> Floats:
    """Of each run's values, `[..., batch]` to `[...]`: the same sum of a row however many rows there are."""
    total: Floats = np.add.reduce(values, axis=-1)
    means: Floats = total / values.shape[-1]
    return means
