"""The first call of a policy, which refuses what can't be compared or checked, and tells what to change."""

from typing import Any

import torch
from torch import Tensor

from reports.errors import in_one_line
from study.errors import ConfigError
from study.policies.policy import Policy
from study.policies.seen import entropy_of, inputs, over_dimensions, seeded


def call_once(policy: Policy, observation_size: int, action_size: int) -> set[str]:
    """Call a policy at the parameters given, and return the names of those that its density or entropy depends on.

    Parameters that `torch.distributions` refuse aren't an error here: all names are returned.

    Raises:
        ConfigError: The policy can't be called with such observations and actions, has discrete actions, isn't
            deterministic, or its log-density can't be differentiated by the action.
    """
    parameters = policy.moved(0, torch.float64)
    observations, latent = inputs(observation_size, action_size, torch.float64)
    latent.requires_grad_()
    try:
        with seeded(0):
            distribution: Any = policy.distribution(parameters, observations)
            _refuse_discrete(distribution)
            _refuse_other_sizes(distribution, [len(observations), action_size])
            actions = policy.act(latent)
            log_prob = over_dimensions(distribution.log_prob(actions), action_size)
            again = policy.distribution(parameters, observations).log_prob(actions)
            entropy = entropy_of(distribution)
    except ConfigError:
        raise
    except ValueError:
        return set(parameters)
    except (RuntimeError, IndexError, AttributeError, TypeError, AssertionError) as error:
        sizes = f"observations {list(observations.shape)} and actions {list(latent.shape)}"
        raise ConfigError(f"it can't be called with {sizes}: {in_one_line(error)[:200]}") from error
    if not torch.allclose(log_prob, over_dimensions(again, action_size), rtol=0, atol=0, equal_nan=True):
        raise ConfigError("it isn't deterministic: two calls give other log-densities; call .eval() if it is a module")
    if not _reached(log_prob, [latent])[0]:
        raise ConfigError("its log-density doesn't depend on the action, such as Uniform's: that isn't supported")
    values = list(parameters.values())
    reached = [_reached(own, values) for own in (log_prob, entropy) if own is not None]
    return {name for name, used in zip(parameters, zip(*reached, strict=True), strict=True) if any(used)}


def _refuse_discrete(distribution: Any) -> None:
    inner = getattr(distribution, "distribution", distribution)
    inner = inner[0] if isinstance(inner, list) else inner
    try:
        is_discrete = bool(getattr(getattr(inner, "support", None), "is_discrete", False))
    except NotImplementedError:
        return
    if is_discrete:
        raise ConfigError("discrete actions aren't supported: actions must be real numbers")


def _refuse_other_sizes(distribution: Any, expected: list[int]) -> None:
    """Raise a `ConfigError` for actions of another size: their log-density may be broadcast, and look right."""
    sample = getattr(distribution, "sample", None)
    if sample is not None:
        found = list(sample().shape)
    elif hasattr(distribution, "event_shape"):
        found = [*distribution.batch_shape, *distribution.event_shape]
    else:
        return
    if found != expected:
        raise ConfigError(f"its actions have shape {found}, not {expected}: give the right action_size")


def _reached(value: Tensor, by: list[Tensor]) -> list[bool]:
    """Return for each of some tensors whether the value depends on it."""
    if not value.requires_grad:
        return [False] * len(by)
    return [own is not None for own in torch.autograd.grad(value.sum(), by, allow_unused=True, retain_graph=True)]
