"""Planted changes to real trainers. To add one, write a function of a trainer and its setup, and mark it."""

import dataclasses
import itertools
import types
from collections.abc import Callable, Mapping
from typing import Any, Literal

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Normal

from tests.helpers.zoo.trainers import Setup, replace, scale_observations

ALL = ("ppo", "sb3-ppo", "sb3-sac", "sb3-dqn")
PPO = ("ppo", "sb3-ppo")
SB3 = ("sb3-ppo", "sb3-sac", "sb3-dqn")

Plant = Callable[[str, Setup], None]
Quantity = Literal["weights", "gradient", "update"]
Since = int | range

SOMETIME, LATER = range(1, 1000), range(2, 1000)
"""Optimizer steps at which a bug may first act, where the data decide when it does."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """A planted change.

    Attributes:
        is_bug: Whether it changes the mathematics.
        trainers: Those that it is planted in.
        plant: Plants it.
        acts_on: Of an optimizer step, what a bug changes first: the weights before it, the gradient, or its update.
        since: The optimizer step at which a bug first acts, or by trainer; a range where the data decide.
    """

    is_bug: bool
    trainers: tuple[str, ...]
    plant: Plant
    acts_on: Quantity = "gradient"
    since: Since | Mapping[str, Since] = 1

    def first_steps(self, trainer: str) -> range:
        """Return the optimizer steps at which a bug may first act, counted from 1 over all optimizers."""
        since = self.since[trainer] if isinstance(self.since, Mapping) else self.since
        return since if isinstance(since, range) else range(since, since + 1)


CHANGES: dict[str, Change] = {}


def bug(
    *trainers: str, acts_on: Quantity = "gradient", since: Since | Mapping[str, Since] = 1
) -> Callable[[Plant], Plant]:
    """Mark a function that plants a bug."""
    return lambda plant: _add(plant, is_bug=True, trainers=trainers, acts_on=acts_on, since=since)


def harmless(*trainers: str) -> Callable[[Plant], Plant]:
    """Mark a function that plants a harmless change."""
    return lambda plant: _add(plant, is_bug=False, trainers=trainers)


def _add(plant: Plant, **entry: Any) -> Plant:
    name = str(getattr(plant, "__name__", "")).replace("_", "-")
    CHANGES[name] = Change(plant=plant, **entry)
    return plant


def _change_adam(**settings: Any) -> None:
    adam = torch.optim.Adam
    replace(torch.optim, "Adam", lambda parameters, **given: adam(parameters, **{**given, **settings}))


def _replace_normal(trainer: str, setup: Setup, normal: type[Normal]) -> None:
    if trainer == "ppo":
        setup.prepare.append(lambda script: replace(script, "Normal", normal))
        return
    from stable_baselines3.common import distributions

    replace(distributions, "Normal", normal)


# Bugs ----------------------------------------------------------------------------------------------------------------


@bug(*PPO)
def std_as_variance(trainer: str, setup: Setup) -> None:
    class NormalOfVariance(Normal):
        def __init__(self, mean: Tensor, variance: Tensor) -> None:
            super().__init__(mean, variance.sqrt())

    _replace_normal(trainer, setup, NormalOfVariance)


@bug(*PPO)
def actions_clipped_before_the_update(trainer: str, setup: Setup) -> None:
    bound = {"Pendulum-v1": 2.0, "Reacher-v5": 1.0}[setup.env_id]

    class ClippedNormal(Normal):
        def rsample(self, sample_shape: Any = ()) -> Tensor:
            return super().rsample(sample_shape).clamp(-bound, bound)

        def sample(self, sample_shape: Any = ()) -> Tensor:
            sampled: Tensor = super().sample(sample_shape)  # type: ignore[no-untyped-call]
            return sampled.clamp(-bound, bound)

    _replace_normal(trainer, setup, ClippedNormal)


@bug(*PPO)
def gae_off_by_one(trainer: str, setup: Setup) -> None:
    if trainer == "ppo":

        def shift(script: Any) -> None:
            estimate = script.estimate_advantages

            def shifted(rollout: Any, next_value: Tensor, next_done: Tensor, gamma: float, lam: float) -> Tensor:
                advantages: Tensor = estimate(rollout, next_value, next_done, gamma, lam)
                return torch.roll(advantages, 1, dims=0)

            script.estimate_advantages = shifted

        setup.prepare.append(shift)
        return
    from stable_baselines3.common.buffers import RolloutBuffer

    compute = RolloutBuffer.compute_returns_and_advantage

    def shifted(self: Any, last_values: Tensor, dones: Any) -> None:
        compute(self, last_values, dones)
        self.advantages = np.roll(self.advantages, 1, axis=0)

    replace(RolloutBuffer, "compute_returns_and_advantage", shifted)


@bug(*PPO)
def no_advantage_normalisation(trainer: str, setup: Setup) -> None:
    if trainer == "ppo":
        setup.prepare.append(lambda script: setattr(script, "normalise", lambda advantages: advantages))
    else:
        setup.options["normalize_advantage"] = False


@bug("sb3-ppo", "sb3-sac", since={"sb3-ppo": 1, "sb3-sac": SOMETIME})
def truncation_as_termination(trainer: str, setup: Setup) -> None:
    class Ends(gym.Wrapper[Any, Any, Any, Any]):
        def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
            observation, reward, terminated, truncated, info = self.env.step(action)
            return observation, reward, terminated or truncated, False, info

    del trainer
    setup.wrappers.append(Ends)


@bug(*ALL, acts_on="update")
def adam_epsilon(trainer: str, setup: Setup) -> None:
    if trainer == "ppo":
        _change_adam(eps=1e-8)
    else:
        epsilon = 1e-8 if trainer == "sb3-ppo" else 1e-5
        setup.options["policy_kwargs"] = {"optimizer_kwargs": {"eps": epsilon}}


@bug(*PPO)
def value_loss_twice(trainer: str, setup: Setup) -> None:
    del trainer
    setup.options["vf_coef"] = 1.0


@bug(*PPO, since=LATER)
def no_value_clipping(trainer: str, setup: Setup) -> None:
    setup.options.update({"clip_vloss": False} if trainer == "ppo" else {"clip_range_vf": None})


@bug(*PPO, since=5)
def shuffled_once(trainer: str, setup: Setup) -> None:
    del setup
    epochs, kept = itertools.cycle(range(4)), list[Any]()
    shuffle, permutation = np.random.shuffle, np.random.permutation

    def shuffle_once(indices: Any) -> None:
        if next(epochs) == 0:
            shuffle(indices)

    def permute_once(size: Any) -> Any:
        if next(epochs) == 0:
            kept[:] = [permutation(size)]
        return kept[0]

    if trainer == "ppo":
        replace(np.random, "shuffle", shuffle_once)
    else:
        replace(np.random, "permutation", permute_once)


@bug("ppo", "sb3-ppo", "sb3-sac")
def entropy_sign(trainer: str, setup: Setup) -> None:
    del trainer
    setup.options["ent_coef"] *= -1


@bug(*PPO, acts_on="update", since={"ppo": 17, "sb3-ppo": 1})
def learning_rate_not_annealed(trainer: str, setup: Setup) -> None:
    setup.options.update({"anneal_lr": False} if trainer == "ppo" else {"learning_rate": 3e-4})


@bug(*ALL)
def rewards_scaled(trainer: str, setup: Setup) -> None:
    del trainer
    setup.wrappers.append(lambda env: gym.wrappers.TransformReward(env, lambda reward: 0.1 * float(reward)))


@bug(*ALL, acts_on="weights")
def seed_not_passed(trainer: str, setup: Setup) -> None:
    del trainer
    setup.seed = None


@bug(*ALL)
def minibatches_too_small(trainer: str, setup: Setup) -> None:
    setup.options.update({"num_minibatches": 8} if trainer == "ppo" else {"batch_size": 32})


@bug("sb3-sac", "sb3-dqn", since={"sb3-sac": 3, "sb3-dqn": 50})
def target_not_updated(trainer: str, setup: Setup) -> None:
    setup.options.update({"tau": 0.0} if trainer == "sb3-sac" else {"target_update_interval": 10**6})


@bug(*ALL)
def observations_scaled_twice(trainer: str, setup: Setup) -> None:
    del trainer
    setup.wrappers.append(scale_observations)


@bug(*ALL)
def other_discount(trainer: str, setup: Setup) -> None:
    del trainer
    setup.options["gamma"] = 0.95


@bug(*PPO)
def no_gradient_clipping(trainer: str, setup: Setup) -> None:
    del trainer
    setup.options["max_grad_norm"] = 1e9


@bug("sb3-sac", since=3)
def target_updated_too_fast(trainer: str, setup: Setup) -> None:
    del trainer
    setup.options["tau"] = 0.02


@bug("sb3-sac")
def no_tanh_correction(trainer: str, setup: Setup) -> None:
    from stable_baselines3.common.distributions import (
        DiagGaussianDistribution,
        SquashedDiagGaussianDistribution,
        TanhBijector,
    )

    def log_prob(self: Any, actions: Tensor, gaussian_actions: Tensor | None = None) -> Any:
        inverse = TanhBijector.inverse(actions) if gaussian_actions is None else gaussian_actions
        return DiagGaussianDistribution.log_prob(self, inverse)

    del trainer, setup
    replace(SquashedDiagGaussianDistribution, "log_prob", log_prob)


@bug("sb3-dqn")
def squared_loss(trainer: str, setup: Setup) -> None:
    del trainer, setup
    replace(torch.nn.functional, "smooth_l1_loss", torch.nn.functional.mse_loss)


# Harmless changes ----------------------------------------------------------------------------------------------------


@harmless("ppo")
def refactored(trainer: str, setup: Setup) -> None:
    del trainer
    setup.script = "ppo_refactored"


@harmless(*ALL)
def two_threads(trainer: str, setup: Setup) -> None:
    del trainer, setup
    torch.set_num_threads(2)


@harmless("ppo", "sb3-ppo")
def compiled(trainer: str, setup: Setup) -> None:
    if trainer == "ppo":
        setup.prepare.append(lambda script: setattr(script.Agent, "policy", torch.compile(script.Agent.policy)))
    else:
        setup.prepare.append(lambda model: model.policy.mlp_extractor.compile())


@harmless(*SB3)
def renamed_modules(trainer: str, setup: Setup) -> None:
    class Renamed(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.net = inner

        def forward(self, *inputs: Tensor) -> Any:
            return self.net(*inputs)

    def rename(model: Any) -> None:
        if trainer == "sb3-ppo":
            model.policy.action_net = Renamed(model.policy.action_net)
            model.policy.value_net = Renamed(model.policy.value_net)
        elif trainer == "sb3-sac":
            model.actor.mu = Renamed(model.actor.mu)
        else:
            model.policy.q_net.q_net = Renamed(model.policy.q_net.q_net)

    setup.prepare.append(rename)


@harmless(*SB3)
def logging(trainer: str, setup: Setup) -> None:
    from stable_baselines3.common.callbacks import BaseCallback

    class Reads(BaseCallback):
        def _on_step(self) -> bool:
            print(sum(float(weights.detach().sum()) for weights in self.model.policy.parameters()))
            return True

    del trainer
    setup.callbacks.append(Reads())


@harmless(*PPO)
def constants_in_float32(trainer: str, setup: Setup) -> None:
    names = ("ent_coef", "vf_coef")
    constants = {name: torch.tensor(setup.options[name], dtype=torch.float32) for name in names}
    if trainer == "ppo":
        setup.options.update(constants)
    else:
        setup.prepare.append(lambda model: vars(model).update(constants))


@harmless("sb3-ppo", "sb3-sac")
def sums_in_another_order(trainer: str, setup: Setup) -> None:
    from stable_baselines3.common.distributions import DiagGaussianDistribution

    def log_prob(self: Any, actions: Tensor) -> Tensor:
        scale: Tensor = self.distribution.scale
        mean: Tensor = self.distribution.mean
        terms = -torch.log(scale) - 0.5 * ((actions - mean) / scale) ** 2 - 0.5 * float(np.log(2 * np.pi))
        return terms.flip(-1).sum(dim=1)

    del trainer, setup
    replace(DiagGaussianDistribution, "log_prob", log_prob)


@harmless(*ALL)
def adam_foreach(trainer: str, setup: Setup) -> None:
    if trainer == "ppo":
        _change_adam(foreach=True)
    else:
        setup.options["policy_kwargs"] = {"optimizer_kwargs": {"foreach": True, **_usual_epsilon(trainer)}}


@harmless(*ALL)
def adam_fused(trainer: str, setup: Setup) -> None:
    if trainer == "ppo":
        _change_adam(fused=True)
    else:
        setup.options["policy_kwargs"] = {"optimizer_kwargs": {"fused": True, **_usual_epsilon(trainer)}}


def _usual_epsilon(trainer: str) -> dict[str, float]:
    """Stable-Baselines3's own setting, that giving others would replace."""
    return {"eps": 1e-5} if trainer == "sb3-ppo" else {}


@harmless(*SB3)
def evaluated_apart(trainer: str, setup: Setup) -> None:
    from stable_baselines3.common.callbacks import EvalCallback
    from stable_baselines3.common.monitor import Monitor

    del trainer
    setup.callbacks.append(EvalCallback(Monitor(setup.make_env()), eval_freq=300, n_eval_episodes=1, verbose=0))


@harmless(*ALL)
def random_numbers_of_its_own(trainer: str, setup: Setup) -> None:
    generator, torch_generator = np.random.default_rng(5), torch.Generator().manual_seed(5)

    class Draws(gym.Wrapper[Any, Any, Any, Any]):
        def step(self, action: Any) -> Any:
            generator.normal()
            torch.randn(3, generator=torch_generator)
            return self.env.step(action)

    del trainer
    setup.wrappers.append(Draws)


@harmless("sb3-ppo", "sb3-sac")
def forward_once_more(trainer: str, setup: Setup) -> None:
    from stable_baselines3.common.callbacks import BaseCallback

    class Forward(BaseCallback):
        def _on_step(self) -> bool:
            with torch.no_grad():
                self.model.policy.predict(
                    np.zeros(self.model.observation_space.shape or (), np.float32), deterministic=True
                )
            return True

    del trainer
    setup.callbacks.append(Forward())


@harmless(*ALL)
def activations_in_place(trainer: str, setup: Setup) -> None:
    del trainer, setup
    replace(nn.Tanh, "forward", lambda _, inputs: inputs.tanh_())
    replace(nn.ReLU, "forward", lambda _, inputs: inputs.relu_())


@harmless(*PPO)
def advantages_in_float64(trainer: str, setup: Setup) -> None:
    if trainer == "ppo":

        def widen(script: Any) -> None:
            estimate = script.estimate_advantages

            def estimate_in_double(rollout: Any, value: Tensor, done: Tensor, gamma: float, lam: float) -> Tensor:
                wide = types.SimpleNamespace(**{name: seen.double() for name, seen in vars(rollout).items()})
                advantages: Tensor = estimate(wide, value.double(), done.double(), gamma, lam)
                return advantages.to(value.dtype)

            script.estimate_advantages = estimate_in_double

        setup.prepare.append(widen)
        return
    from stable_baselines3.common.buffers import RolloutBuffer

    compute = RolloutBuffer.compute_returns_and_advantage

    def compute_in_double(self: Any, last_values: Tensor, dones: Any) -> None:
        self.rewards, self.values = self.rewards.astype(np.float64), self.values.astype(np.float64)
        compute(self, last_values.double(), dones)
        for name in ("rewards", "values", "returns"):
            setattr(self, name, getattr(self, name).astype(np.float32))

    replace(RolloutBuffer, "compute_returns_and_advantage", compute_in_double)


@harmless("sb3-sac", "sb3-dqn")
def targets_copied_in_place(trainer: str, setup: Setup) -> None:
    from stable_baselines3.dqn import dqn
    from stable_baselines3.sac import sac

    def polyak_update(params: Any, target_params: Any, tau: float) -> None:
        with torch.no_grad():
            for own, target in zip(params, target_params, strict=True):
                target.data.copy_(tau * own.data + (1 - tau) * target.data)

    del trainer, setup
    replace(sac, "polyak_update", polyak_update)
    replace(dqn, "polyak_update", polyak_update)
