"""A policy: a function from parameters and observations to a distribution of actions."""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from study.errors import ConfigError

SPREAD = 0.3
"""The standard deviation of the noise by which parameters are moved."""
NEAR, FAR = (1, 2, 3), 4
"""Points whose parameters are moved by such noise, and one whose vectors are also moved by `FURTHER`."""
FURTHER = 1.5
"""The further move of vectors: beyond bounds of a log std, such as -1 and 1. It would saturate networks, so matrices
aren't moved by it."""


class DistributionLike(Protocol):
    """The distribution that a policy returns. `entropy` and `sample` are used where it has them."""

    def log_prob(self, action: Tensor, /) -> Tensor:
        """Return log-densities, `[N]`, of actions `[N, actions]`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Policy:
    """A policy and the parameters near which it is called.

    Attributes:
        distribution: From parameters by name and observations `[N, observations]` to a distribution.
        parameters: By name, the values near which it is called.
        bounded: Whether actions lie within -1 and 1, by a tanh.
    """

    distribution: Callable[[Mapping[str, Tensor], Tensor], DistributionLike]
    parameters: Mapping[str, Tensor]
    bounded: bool = False

    def act(self, latent: Tensor) -> Tensor:
        """Return the actions of latent actions: their tanh if the policy is bounded, and otherwise the same."""
        return torch.tanh(latent) if self.bounded else latent

    def moved(self, point: int, dtype: torch.dtype) -> dict[str, Tensor]:
        """Return the parameters at a point: as given for point 0, and otherwise moved by the point's own normal noise.

        Each moves away from zero, so that what must be positive stays so; a zero moves either way.
        """
        generator = torch.Generator().manual_seed(1000 + point)
        found = {}
        for name, given in self.parameters.items():
            noise = SPREAD * torch.randn(given.shape, generator=generator, dtype=torch.float64) * (point > 0)
            if point == FAR and given.dim() <= 1:
                noise = noise + FURTHER * noise.sign()
            value = given.detach().double()
            found[name] = torch.where(value == 0, noise, value + value.sign() * noise.abs()).to(dtype).requires_grad_()
        return found

    def only(self, names: Collection[str]) -> "Policy":
        """Return the policy of some of its parameters; others stay as they are given."""
        others = {name: value.detach() for name, value in self.parameters.items() if name not in names}
        if not others:
            return self

        def distribution(parameters: Mapping[str, Tensor], observation: Tensor) -> DistributionLike:
            fixed = {name: value.to(observation.dtype) for name, value in others.items()}
            return self.distribution({**fixed, **parameters}, observation)

        own = {name: value for name, value in self.parameters.items() if name in names}
        return dataclasses.replace(self, distribution=distribution, parameters=own)


class _Calls(nn.Module):
    """A module whose `forward` is a method of another."""

    def __init__(self, module: nn.Module, method: str) -> None:
        super().__init__()
        self.module, self._method = module, method

    def forward(self, observation: Tensor) -> Any:
        return getattr(self.module, self._method)(observation)


def from_module(module: nn.Module, method: str = "forward", bounded: bool = False) -> Policy:
    """Return the policy of a module.

    Args:
        module: Its parameters are the policy's.
        method: The method that takes observations and returns a distribution.
        bounded: Whether actions lie within -1 and 1.
    """
    return _from_calls(_Calls(module, method), bounded)


def _from_calls(calls: _Calls, bounded: bool) -> Policy:
    def distribution(parameters: Mapping[str, Tensor], observation: Tensor) -> DistributionLike:
        named = {f"module.{name}": value for name, value in parameters.items()}
        found: DistributionLike = torch.func.functional_call(calls, named, (observation,))
        return found

    return Policy(distribution=distribution, parameters=dict(calls.module.named_parameters()), bounded=bounded)


class _CallsSB3(_Calls):
    """A policy of Stable-Baselines3, whose networks get observations in the parameters' precision, not in float32."""

    def __init__(self, policy: nn.Module) -> None:
        super().__init__(policy, "get_distribution")
        self._features = policy.get_submodule("features_extractor")

    def forward(self, observation: Tensor) -> Any:
        dtype = observation.dtype
        hook = self._features.register_forward_pre_hook(lambda _, inputs: tuple(own.to(dtype) for own in inputs))
        try:
            return super().forward(observation)
        finally:
            hook.remove()


def from_sb3(policy: nn.Module) -> Policy:
    """Return the policy of Stable-Baselines3's `ActorCriticPolicy`, such as `model.policy` of PPO and A2C.

    Its networks for values are no part of it: gradients of the log-density don't reach them.

    Raises:
        ConfigError: It is another policy, or has state-dependent exploration.
    """
    if not hasattr(policy, "get_distribution") or not hasattr(policy, "features_extractor"):
        kind = type(policy).__name__
        raise ConfigError(
            f"from_sb3 takes an ActorCriticPolicy, such as PPO's and A2C's, not {kind}: "
            "write a module whose forward returns its distribution, and use from_module"
        )
    if getattr(policy, "use_sde", False):
        raise ConfigError(
            "from_sb3 doesn't support use_sde=True: its noise is shared by observations; use use_sde=False"
        )
    found = _from_calls(_CallsSB3(policy), bounded=False)
    of_values = ("value_net", "mlp_extractor.value_net", "vf_features_extractor")
    own = {name: value for name, value in found.parameters.items() if not name.startswith(of_values)}
    return dataclasses.replace(found, parameters=own)
