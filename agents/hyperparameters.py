"""The agent's hyperparameters: CleanRL's names, defaults and meanings, and the few that this study adds."""

import dataclasses
from typing import Literal

Perturbation = Literal["one_ulp", "jitter"] | float
"""How a replicate is perturbed. One weight is moved before training: to the next larger number, or by this fraction of
itself. With `jitter`, every weight is moved to a neighbour drawn at random, after every step."""

Precision = Literal["float32", "float64"]
"""The precision in which an agent computes."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """What a training run is made with, apart from its condition, seed, precision and replicate.

    Raises:
        ValueError: A value makes no sense. The text names the hyperparameter.
    """

    env_id: str = "Pendulum-v1"
    """the Gymnasium environment: continuous actions, flat observations"""
    total_timesteps: int = 1_000_000
    """environment steps of a run, over all its environments"""
    learning_rate: float = 3e-4
    """the optimizer's learning rate"""
    anneal_lr: bool = True
    """let the learning rate fall linearly to zero over training"""
    optimizer: Literal["adam", "sgd"] = "adam"
    """Adam, or plain gradient descent without momentum"""
    adam_eps: float = 1e-5
    """Adam's epsilon"""
    num_envs: int = 1
    """environments that a run steps in parallel"""
    num_steps: int = 2048
    """steps of each environment in one rollout"""
    gamma: float = 0.99
    """the discount"""
    gae_lambda: float = 0.95
    """lambda of generalised advantage estimation"""
    num_minibatches: int = 32
    """minibatches of an epoch"""
    update_epochs: int = 10
    """passes over each rollout"""
    norm_adv: bool = True
    """normalise advantages in each minibatch"""
    clip_coef: float = 0.2
    """the surrogate's clipping coefficient"""
    clip_vloss: bool = True
    """clip the value loss as the policy's"""
    ent_coef: float = 0.0
    """weight of the entropy bonus"""
    vf_coef: float = 0.5
    """weight of the value loss"""
    max_grad_norm: float = 0.5
    """largest norm of a run's gradient, over all its parameters"""
    norm_obs: bool = True
    """normalise observations by their running mean and variance, and clip them to [-10, 10]"""
    norm_reward: bool = True
    """divide rewards by the running standard deviation of the discounted return, and clip them to [-10, 10]"""
    hidden_size: int = 64
    """width of the two hidden layers of actor and critic: a multiple of 16, which batch invariance needs"""
    initial_scale: float = 1.0
    """the learned scale before training, in every action dimension"""
    scale_lr_factor: float = 1.0
    """learning rate of the raw scale, as a multiple of learning_rate"""
    scale_transform: Literal["exp", "softplus"] = "exp"
    """how the scale comes from the raw scale, which the optimizer sees"""
    state_dependent_scale: bool = False
    """let the scale depend on the state: the raw scale is then the bias of outputs that the actor has for it"""
    rollouts: Literal["own", "shared"] = "own"
    """whether a run acts, or learns from the rollouts of one that does: of the same seed, not perturbed, with the
    `Normal` policy whose scale means the same"""
    perturbation: Perturbation = "one_ulp"
    """how a replicate differs: one_ulp, to move one weight to the next larger number before training; a number, to move
    it by that fraction of itself; or jitter, to move every weight to a neighbour after every step"""
    eval_episodes: int = 10
    """episodes of the deterministic policy's evaluation after training"""

    def __post_init__(self) -> None:
        for name in (
            "total_timesteps",
            "num_envs",
            "num_steps",
            "num_minibatches",
            "update_epochs",
            "hidden_size",
            "eval_episodes",
        ):
            _require(self, name, getattr(self, name) >= 1, "at least 1")
        for name in ("learning_rate", "adam_eps", "max_grad_norm", "initial_scale", "clip_coef"):
            _require(self, name, 0 < getattr(self, name) < float("inf"), "positive and finite")
        for name in ("ent_coef", "vf_coef", "scale_lr_factor"):
            _require(self, name, 0 <= getattr(self, name) < float("inf"), "zero or positive, and finite")
        for name in ("gamma", "gae_lambda"):
            _require(self, name, 0 <= getattr(self, name) <= 1, "between 0 and 1")
        _require(
            self,
            "num_minibatches",
            self.batch_size % self.num_minibatches == 0,
            f"a divisor of the batch (num_envs * num_steps = {self.batch_size})",
        )
        _require(
            self,
            "num_minibatches",
            self.minibatch_size > 1 or not self.norm_adv,
            "smaller than the batch when norm_adv is on: one sample has no standard deviation",
        )
        if not isinstance(self.perturbation, str):
            is_size = 0 < self.perturbation < float("inf")
            _require(self, "perturbation", is_size, "one_ulp, jitter, or positive and finite")
        _require(self, "hidden_size", self.hidden_size % 16 == 0, "a multiple of 16")
        _require(
            self,
            "total_timesteps",
            self.num_updates >= 1,
            f"at least one batch (num_envs * num_steps = {self.batch_size})",
        )

    @property
    def batch_size(self) -> int:
        """Return the number of transitions of one rollout of one run."""
        return self.num_envs * self.num_steps

    @property
    def minibatch_size(self) -> int:
        """Return the number of transitions of one gradient step of one run."""
        return self.batch_size // self.num_minibatches

    @property
    def num_updates(self) -> int:
        """Return the number of rollouts of a run, each followed by `update_epochs` passes over it."""
        return self.total_timesteps // self.batch_size

    def learning_rate_at(self, update: int) -> float:
        """Return the learning rate of the `update`-th update, counted from 1."""
        fraction = 1.0 - (update - 1) / self.num_updates if self.anneal_lr else 1.0
        return fraction * self.learning_rate


def _require(hyperparameters: Hyperparameters, name: str, holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"{name} must be {what}, not {getattr(hyperparameters, name)!r}")
