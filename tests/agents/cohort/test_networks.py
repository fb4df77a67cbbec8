"""The stacked networks against `nn.Linear`, run by run."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from agents.cohort.networks import ActorCritic, Layers
from agents.cohort.numerics import Floats, softplus
from agents.hyperparameters import Hyperparameters

SMALL = Hyperparameters(hidden_size=16, initial_scale=0.5)


def agent(*seeds: int, dtype: torch.dtype = torch.float64, **changes: Any) -> ActorCritic:
    return ActorCritic(seeds, 3, 2, dataclasses.replace(SMALL, **changes), dtype)


def plain(layers: Layers) -> nn.Sequential:
    """The same network, of torch's own modules."""
    modules: list[nn.Module] = []
    for weight, bias in layers:
        linear = nn.Linear(weight.shape[0], weight.shape[1], dtype=torch.float64)
        linear.weight.data = torch.tensor(weight.T.copy())
        linear.bias.data = torch.tensor(bias[0].copy())
        modules += [linear, nn.Tanh()]
    return nn.Sequential(*modules[:-1])


def draw(*shape: int) -> Floats:
    return np.random.default_rng(0).normal(size=shape)


def assert_same_sums(actual: Floats, expected: Floats) -> None:
    """Compare sums of terms of size 1, which may cancel: in which order a processor adds shows in what is left."""
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("state_dependent_scale", [False, True])
@pytest.mark.parametrize("batch", [1, 5, 16, 37])
@pytest.mark.parametrize("runs", [1, 3])
def test_forward_is_torch_own(runs: int, batch: int, state_dependent_scale: bool) -> None:
    stacked = agent(*range(runs), state_dependent_scale=state_dependent_scale)
    observations = draw(runs, batch, 3)
    forward = stacked.forward(observations)
    mean, phi, values = forward.mean, forward.raw_scale, forward.values
    for apart, together in zip(
        (*stacked.act(observations), stacked.value(observations)), (mean, phi, values), strict=True
    ):
        assert_same_sums(apart, together)
    for run in range(runs):
        outputs = plain(stacked.actor(run))(torch.from_numpy(observations[run])).detach()
        assert_same_sums(mean[run], outputs[:, :2])
        scale = outputs[:, 2:].numpy() if state_dependent_scale else np.zeros((1, 2))
        assert_same_sums(phi[run], scale + np.log(0.5))
        critic = plain(stacked.critic(run))(torch.from_numpy(observations[run])).detach()
        assert_same_sums(values[run], critic[:, 0])


@pytest.mark.parametrize("state_dependent_scale", [False, True])
@pytest.mark.parametrize("runs", [1, 3])
def test_gradients_are_torch_own_and_each_run_own(runs: int, state_dependent_scale: bool) -> None:
    stacked = agent(*range(runs), state_dependent_scale=state_dependent_scale)
    observations = draw(runs, 6, 3)
    forward = stacked.forward(observations)
    stacked.value(draw(runs, 6, 3) + 1.0)  # what is computed between takes nothing from it
    stacked.act(draw(runs, 6, 3) + 2.0)
    mean, phi, values = forward.mean, forward.raw_scale, forward.values
    weigh = np.arange(1, runs + 1)[:, None, None]
    # Of the loss, that weighs each run: the sum of mean^2, of phi^2, and of the values.
    stacked.backward(forward, 2 * weigh * mean, 2 * weigh * phi, np.broadcast_to(weigh[:, :, 0], values.shape))
    assert stacked.weights.grad is not None
    assert stacked.raw_scales.grad is not None
    for run in range(runs):
        actor, critic = plain(stacked.actor(run)), plain(stacked.critic(run))
        bias = torch.tensor(stacked.raw_scale[run], requires_grad=True)
        seen = torch.from_numpy(observations[run])
        outputs = actor(seen)
        scale = outputs[:, 2:] + bias if state_dependent_scale else bias
        loss = outputs[:, :2].square().sum() + scale.square().sum() + critic(seen).sum()
        ((run + 1) * loss).backward()
        if state_dependent_scale:
            last: Any = actor[-1]
            last.bias.grad[2:] = 0.0
        parameters = [*actor.parameters(), *critic.parameters()]
        expected = torch.cat([p.grad.t().flatten() for p in parameters if p.grad is not None])
        row = stacked.weights.grad[run]
        torch.testing.assert_close(row[row != 0], expected[expected != 0])
        assert bias.grad is not None
        torch.testing.assert_close(stacked.raw_scales.grad[run, :2], bias.grad[0])
        assert (stacked.raw_scales.grad[run, 2:] == 0).all()


def test_only_the_last_forward_pass_can_be_gone_back_from() -> None:
    stacked = agent(0)
    first = stacked.forward(draw(1, 6, 3))
    stacked.forward(draw(1, 6, 3))
    with pytest.raises(ValueError, match="called again"):
        stacked.backward(first, first.mean, first.raw_scale, first.values)


@pytest.mark.parametrize("transform", ["exp", "softplus"])
def test_the_scale_begins_at_the_initial_scale(transform: str) -> None:
    begun = agent(0, 1, scale_transform=transform)
    scale = begun.scale(torch.from_numpy(begun.raw_scale))
    torch.testing.assert_close(scale, torch.full((2, 1, 2), 0.5, dtype=torch.float64), rtol=1e-12, atol=0)


def test_softplus_and_its_derivative_are_torch_own() -> None:
    ours, theirs = (torch.linspace(-40, 40, 1001, dtype=torch.float64, requires_grad=True) for _ in range(2))
    softplus(ours).sum().backward()
    nn.functional.softplus(theirs).sum().backward()
    torch.testing.assert_close(softplus(ours), nn.functional.softplus(theirs), rtol=1e-14, atol=0)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-8, atol=0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tanh_and_exp_have_the_same_bits_at_any_index(dtype: type[np.floating[Any]]) -> None:
    """What is left over from the processor's whole vectors isn't computed otherwise, as it is by some of torch's."""
    rng = np.random.default_rng(0)
    numbers = (3 * rng.normal(size=1000)).astype(dtype)
    for function in (np.tanh, np.exp):
        expected = function(numbers)
        for start, size in rng.integers(1, 100, size=(200, 2)):
            part = numbers[start : start + size]
            assert np.array_equal(function(part), expected[start : start + size])
            assert np.array_equal(function(np.column_stack([part, part]))[:, 1], expected[start : start + size])


def test_weights_are_orthogonal_and_biases_zero() -> None:
    drawn = agent(3)
    gains = (2**0.5, 2**0.5, 0.01, 2**0.5, 2**0.5, 1.0)
    for (weight, bias), gain in zip((*drawn.actor(0), *drawn.critic(0)), gains, strict=True):
        square = weight @ weight.T if weight.shape[0] <= weight.shape[1] else weight.T @ weight
        np.testing.assert_allclose(square, gain**2 * np.eye(len(square)), atol=1e-12)
        assert (bias == 0).all()


def test_both_precisions_start_from_the_same_weights() -> None:
    single, double = agent(1, 2, dtype=torch.float32), agent(1, 2, dtype=torch.float64)
    assert torch.equal(single.weights, double.weights.float())
    assert np.array_equal(single.raw_scale, double.raw_scale.astype(np.float32))


def test_a_run_weights_depend_on_its_own_seed_alone() -> None:
    assert torch.equal(agent(5, 6).weights[1], agent(9, 6, 7).weights[1])
    assert not torch.equal(agent(5).weights, agent(6).weights)
