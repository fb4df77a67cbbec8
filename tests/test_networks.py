"""The stacked networks against `nn.Linear`, run by run."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from agents.hyperparameters import Hyperparameters
from agents.networks import ActorCritic, tanh_

SMALL = Hyperparameters(hidden_size=16, initial_scale=0.5)


def agent(*seeds: int, dtype: torch.dtype = torch.float64) -> ActorCritic:
    return ActorCritic([np.random.default_rng(seed) for seed in seeds], 3, 2, SMALL, dtype)


def plain(layers: list[tuple[Tensor, Tensor]]) -> nn.Sequential:
    """The same network, of torch's own modules."""
    modules: list[nn.Module] = []
    for weight, bias in layers:
        linear = nn.Linear(weight.shape[0], weight.shape[1], dtype=weight.dtype)
        linear.weight.data = weight.T
        linear.bias.data = bias[0].clone()
        modules += [linear, nn.Tanh()]
    return nn.Sequential(*modules[:-1])


@pytest.mark.parametrize("batch", [1, 5, 16, 37])
@pytest.mark.parametrize("runs", [1, 3])
def test_forward_is_torch_own(runs: int, batch: int) -> None:
    stacked = agent(*range(runs))
    observations = torch.randn(runs, batch, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mean, theta, values = stacked(observations)
    for apart, together in zip(
        (*stacked.mean_theta(observations), stacked.value(observations)), (mean, theta, values), strict=True
    ):
        assert torch.equal(apart, together)
    for run in range(runs):
        torch.testing.assert_close(mean[run], plain(stacked.actor(run))(observations[run]))
        torch.testing.assert_close(values[run], plain(stacked.critic(run))(observations[run]).squeeze(-1))
    torch.testing.assert_close(theta, torch.full((runs, 1, 2), 0.5, dtype=torch.float64))


@pytest.mark.parametrize("runs", [1, 3])
def test_gradients_are_torch_own_and_each_run_own(runs: int) -> None:
    stacked = agent(*range(runs))
    observations = torch.randn(runs, 6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    scale = torch.arange(1, runs + 1)
    mean, theta, values = stacked(observations)
    stacked.differentiate(scale * (mean.square().sum((1, 2)) + theta.sum((1, 2)) + values.sum(1)))
    assert stacked.weights.grad is not None
    assert stacked.scales.grad is not None
    torch.testing.assert_close(stacked.scales.grad[:, :2], (scale[:, None] * theta[:, 0]).detach())
    assert (stacked.scales.grad[:, 2:] == 0).all()
    for run in range(runs):
        actor, critic = plain(stacked.actor(run)), plain(stacked.critic(run))
        (scale[run] * (actor(observations[run]).square().sum() + critic(observations[run]).sum())).backward()
        parameters = [*actor.parameters(), *critic.parameters()]
        expected = torch.cat([p.grad.t().flatten() for p in parameters if p.grad is not None])
        row = stacked.weights.grad[run]
        torch.testing.assert_close(row[row != 0], expected[expected != 0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_fast_tanh_is_torch_own_to_two_ulps_of_one(dtype: torch.dtype) -> None:
    numbers = torch.cat([torch.linspace(-20, 20, 100_001), torch.tensor([-torch.inf, -1e-30, 1e30])]).to(dtype)
    error = (tanh_(numbers.clone()) - torch.tanh(numbers)).abs().max()
    assert error <= 2 * torch.finfo(dtype).eps
    assert tanh_(torch.tensor([torch.nan])).isnan().all()


def test_weights_are_orthogonal_and_biases_zero() -> None:
    drawn = agent(3)
    gains = (2**0.5, 2**0.5, 0.01, 2**0.5, 2**0.5, 1.0)
    for (weight, bias), gain in zip((*drawn.actor(0), *drawn.critic(0)), gains, strict=True):
        square = weight @ weight.T if weight.shape[0] <= weight.shape[1] else weight.T @ weight
        torch.testing.assert_close(square, gain**2 * torch.eye(len(square), dtype=torch.float64))
        assert (bias == 0).all()


def test_both_precisions_start_from_the_same_weights() -> None:
    single, double = agent(1, 2, dtype=torch.float32), agent(1, 2, dtype=torch.float64)
    assert torch.equal(single.weights, double.weights.float())
    assert torch.equal(single.phi, double.phi.float())


def test_a_run_weights_depend_on_its_own_seed_alone() -> None:
    assert torch.equal(agent(5, 6).weights[1], agent(9, 6, 7).weights[1])
    assert not torch.equal(agent(5).weights, agent(6).weights)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_nudge_moves_one_weight_of_one_run_by_one_ulp(dtype: torch.dtype) -> None:
    nudged, plain_agent = agent(1, 2, dtype=dtype), agent(1, 2, dtype=dtype)
    nudged.nudge(1, 4)
    before, after = plain_agent.parameters(1), nudged.parameters(1)
    assert np.flatnonzero(before != after).tolist() == [4]
    assert after[4] == np.nextafter(before[4], np.inf, dtype=before.dtype)
    assert np.array_equal(nudged.parameters(0), plain_agent.parameters(0))
    assert torch.equal(nudged.actor(1)[0][0].flatten()[4], nudged.weights[1, 4])
