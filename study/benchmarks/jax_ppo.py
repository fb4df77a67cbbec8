"""The JAX peer of `study bench`: PPO on Pendulum-v1, many seeds under `vmap`, compiled whole.

It is the agent of `agents.ppo` with the policy `normal_std`: the same networks, losses and optimizer, and the same
running normalisation. All of it, the environment included, computes in float32. Arrays are those of one run.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from agents.environments.normalised import EPSILON, LIMIT
from agents.hyperparameters import Hyperparameters

TIME_LIMIT, MAX_SPEED, MAX_TORQUE, DT = 200, 8.0, 2.0, 0.05
"""Pendulum-v1's constants."""


class Pendulums(NamedTuple):
    """The state of a run's environments, `[envs]` each."""

    angle: Any
    velocity: Any
    elapsed: Any


class Statistics(NamedTuple):
    """Running statistics of observations or of discounted returns."""

    mean: Any
    var: Any
    count: Any


class Batch(NamedTuple):
    """Transitions to learn from. Arrays lead with `[steps, envs]`, later with `[batch]`."""

    observations: Any
    actions: Any
    log_probs: Any
    values: Any
    advantages: Any


class Learner(NamedTuple):
    """The parameters, and Adam's state."""

    parameters: Any
    first: Any
    second: Any
    steps: Any


class Run(NamedTuple):
    """All that a run's future depends on."""

    learner: Learner
    pendulums: Pendulums
    observations: Any
    discounted_returns: Any
    seen: Statistics
    earned: Statistics
    key: Any


def updates(hyperparameters: Hyperparameters, runs: int) -> Callable[[], None]:
    """Begin runs, and return a compiled function that makes one update of all of them.

    Args:
        hyperparameters: Those of all runs.
        runs: Number of runs, each with a seed of its own.
    """
    state = jax.vmap(functools.partial(_begin, hyperparameters))(jax.random.split(jax.random.key(0), runs))
    update = jax.jit(jax.vmap(functools.partial(_update, hyperparameters))).lower(state).compile()

    def advance() -> None:
        nonlocal state
        state = jax.block_until_ready(update(state))

    return advance


def _begin(hp: Hyperparameters, key: Any) -> Run:
    key, pendulum_key, actor_key, critic_key = jax.random.split(key, 4)
    parameters = {
        "actor": _network(actor_key, hp.hidden_size, 0.01),
        "critic": _network(critic_key, hp.hidden_size, 1.0),
        "raw_scale": jnp.log(jnp.full(1, hp.initial_scale, jnp.float32)),
    }
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    pendulums = _swing(pendulum_key, hp.num_envs)
    seen = _count(_nothing(3), _see(pendulums))
    return Run(
        learner=Learner(parameters, zeros, zeros, jnp.zeros((), int)),
        pendulums=pendulums,
        observations=_normalise(seen, _see(pendulums)),
        discounted_returns=jnp.zeros(hp.num_envs),
        seen=seen,
        earned=_nothing(),
        key=key,
    )


def _update(hp: Hyperparameters, run: Run) -> Run:
    """Act for a rollout, learn from it, and return the run after that."""
    run, (observations, actions, next_observations, rewards, truncated) = jax.lax.scan(
        functools.partial(_act, hp), run, length=hp.num_steps
    )
    parameters = run.learner.parameters
    values, next_values = (_apply(parameters["critic"], seen)[..., 0] for seen in (observations, next_observations))
    batch = Batch(
        observations=observations,
        actions=actions,
        log_probs=_log_prob(parameters, observations, actions),
        values=values,
        advantages=_advantages(hp, rewards, values, next_values, truncated),
    )
    batch = jax.tree.map(lambda array: array.reshape(hp.batch_size, *array.shape[2:]), batch)
    key, *epochs = jax.random.split(run.key, 1 + hp.update_epochs)
    learner, _ = jax.lax.scan(functools.partial(_epoch, hp, batch), run.learner, jnp.stack(epochs))
    return run._replace(learner=learner, key=key)


def _act(hp: Hyperparameters, run: Run, _: None) -> tuple[Run, Any]:
    """Step every environment once, and return the run after that, and the transitions."""
    key, noise_key, swing_key = jax.random.split(run.key, 3)
    parameters = run.learner.parameters
    mean = _apply(parameters["actor"], run.observations)
    actions = mean + jnp.exp(parameters["raw_scale"]) * jax.random.normal(noise_key, mean.shape)
    pendulums, rewards = _step(run.pendulums, actions[:, 0])
    last, truncated = _see(pendulums), pendulums.elapsed >= TIME_LIMIT
    pendulums = jax.tree.map(functools.partial(jnp.where, truncated), _swing(swing_key, hp.num_envs), pendulums)
    seen = _count(run.seen, _see(pendulums))
    returns = run.discounted_returns * hp.gamma + rewards
    earned = _count(run.earned, returns)
    after = run._replace(
        pendulums=pendulums,
        observations=_normalise(seen, _see(pendulums)),
        discounted_returns=jnp.where(truncated, 0.0, returns),
        seen=seen,
        earned=earned,
        key=key,
    )
    rewards = jnp.clip(rewards / jnp.sqrt(earned.var + EPSILON), -LIMIT, LIMIT)
    return after, (run.observations, actions, _normalise(seen, last), rewards, truncated)


def _advantages(hp: Hyperparameters, rewards: Any, values: Any, next_values: Any, truncated: Any) -> Any:
    errors = rewards + hp.gamma * next_values - values
    discounts = hp.gamma * hp.gae_lambda * ~truncated

    def accumulate(later: Any, now: tuple[Any, Any]) -> tuple[Any, Any]:
        error, discount = now
        total = error + discount * later
        return total, total

    return jax.lax.scan(accumulate, jnp.zeros_like(errors[0]), (errors, discounts), reverse=True)[1]


def _epoch(hp: Hyperparameters, batch: Batch, learner: Learner, key: Any) -> tuple[Learner, None]:
    order = jax.random.permutation(key, hp.batch_size).reshape(hp.num_minibatches, -1)
    shuffled = jax.tree.map(lambda array: array[order], batch)
    learner, _ = jax.lax.scan(functools.partial(_learn, hp), learner, shuffled)
    return learner, None


def _learn(hp: Hyperparameters, learner: Learner, minibatch: Batch) -> tuple[Learner, None]:
    """Take one step of Adam, after clipping the gradient."""
    gradient = jax.grad(functools.partial(_loss, hp))(learner.parameters, minibatch)
    norm = jnp.sqrt(sum(jnp.vdot(part, part) for part in jax.tree.leaves(gradient)))
    factor = jnp.minimum(hp.max_grad_norm / (norm + 1e-6), 1)
    steps = learner.steps + 1

    def adam(parameter: Any, part: Any, first: Any, second: Any) -> tuple[Any, Any, Any]:
        part = part * factor
        first, second = 0.9 * first + 0.1 * part, 0.999 * second + 0.001 * part**2
        denominator = jnp.sqrt(second / (1 - 0.999**steps)) + hp.adam_eps
        return parameter - hp.learning_rate * first / (1 - 0.9**steps) / denominator, first, second

    moved = jax.tree.map(adam, learner.parameters, gradient, learner.first, learner.second)
    parameters, first, second = jax.tree.transpose(jax.tree.structure(gradient), None, moved)
    return Learner(parameters, first, second, steps), None


def _loss(hp: Hyperparameters, parameters: Any, batch: Batch) -> Any:
    advantages = (batch.advantages - batch.advantages.mean()) / (batch.advantages.std(ddof=1) + 1e-8)
    ratio = jnp.exp(_log_prob(parameters, batch.observations, batch.actions) - batch.log_probs)
    clipped_ratio = jnp.clip(ratio, 1 - hp.clip_coef, 1 + hp.clip_coef)
    policy_loss = -jnp.minimum(advantages * ratio, advantages * clipped_ratio).mean()
    values, returns = _apply(parameters["critic"], batch.observations)[..., 0], batch.advantages + batch.values
    clipped_values = batch.values + jnp.clip(values - batch.values, -hp.clip_coef, hp.clip_coef)
    value_loss = jnp.maximum((values - returns) ** 2, (clipped_values - returns) ** 2).mean() / 2
    return policy_loss + hp.vf_coef * value_loss


def _log_prob(parameters: Any, observations: Any, actions: Any) -> Any:
    mean, scale = _apply(parameters["actor"], observations), jnp.exp(parameters["raw_scale"])
    return jax.scipy.stats.norm.logpdf(actions, mean, scale).sum(-1)


def _network(key: Any, hidden: int, last_gain: float) -> list[tuple[Any, Any]]:
    shapes = ((3, hidden, 2**0.5), (hidden, hidden, 2**0.5), (hidden, 1, last_gain))
    return [
        (jax.nn.initializers.orthogonal(gain)(one, (size, out)), jnp.zeros(out))
        for one, (size, out, gain) in zip(jax.random.split(key, 3), shapes, strict=True)
    ]


def _apply(network: list[tuple[Any, Any]], inputs: Any) -> Any:
    *hidden, (weight, bias) = network
    for own_weight, own_bias in hidden:
        inputs = jnp.tanh(inputs @ own_weight + own_bias)
    return inputs @ weight + bias


def _swing(key: Any, envs: int) -> Pendulums:
    """Return the state of environments whose episodes begin."""
    angle, velocity = jax.random.uniform(key, (2, envs), minval=-1.0) * jnp.array([[jnp.pi], [1.0]])
    return Pendulums(angle, velocity, jnp.zeros(envs, int))


def _step(pendulums: Pendulums, torque: Any) -> tuple[Pendulums, Any]:
    """Return Pendulum-v1's next state, and its rewards."""
    angle, velocity, elapsed = pendulums
    torque = jnp.clip(torque, -MAX_TORQUE, MAX_TORQUE)
    upright = (angle + jnp.pi) % (2 * jnp.pi) - jnp.pi
    rewards = -(upright**2 + 0.1 * velocity**2 + 0.001 * torque**2)
    velocity = jnp.clip(velocity + (15 * jnp.sin(angle) + 3 * torque) * DT, -MAX_SPEED, MAX_SPEED)
    return Pendulums(angle + velocity * DT, velocity, elapsed + 1), rewards


def _see(pendulums: Pendulums) -> Any:
    return jnp.stack([jnp.cos(pendulums.angle), jnp.sin(pendulums.angle), pendulums.velocity], axis=-1)


def _nothing(*shape: int) -> Statistics:
    return Statistics(jnp.zeros(shape), jnp.ones(shape), jnp.full((), 1e-4, jnp.float32))


def _count(statistics: Statistics, batch: Any) -> Statistics:
    """Return the statistics with a sample from each environment added (Chan et al.)."""
    count = statistics.count + len(batch)
    delta = batch.mean(0) - statistics.mean
    squares = statistics.var * statistics.count + batch.var(0) * len(batch)
    squares += delta**2 * statistics.count * len(batch) / count
    return Statistics(statistics.mean + delta * len(batch) / count, squares / count, count)


def _normalise(statistics: Statistics, observations: Any) -> Any:
    return jnp.clip((observations - statistics.mean) / jnp.sqrt(statistics.var + EPSILON), -LIMIT, LIMIT)
