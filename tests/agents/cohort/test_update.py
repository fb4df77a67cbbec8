"""The update against CleanRL's lines, written with torch's own modules for one run."""

import dataclasses
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor, nn

from agents.cohort import losses
from agents.cohort import update as ppo
from agents.cohort.adam import DirectAdam, make_adam
from agents.cohort.networks import ActorCritic
from agents.cohort.numerics import Floats, mean, variance
from agents.cohort.update import Batch
from agents.conditions import Condition
from agents.hyperparameters import Hyperparameters
from agents.policies import POLICIES

CONDITION_NAMES: tuple[Condition, ...] = get_args(Condition)


class PlainAgent(nn.Module):
    """One run's agent, of `nn.Linear`s, with the stacked one's parameters."""

    def __init__(self, stacked: ActorCritic, run: int) -> None:
        super().__init__()
        self.raw_scale = nn.Parameter(torch.tensor(stacked.raw_scale[run, 0]))
        self.networks = nn.ModuleList()
        for layers in (stacked.actor(run), stacked.critic(run)):
            modules: list[nn.Module] = []
            for weight, bias in layers:
                linear = nn.Linear(weight.shape[0], weight.shape[1], dtype=self.raw_scale.dtype)
                linear.weight.data = torch.tensor(weight.T.copy())
                linear.bias.data = torch.tensor(bias[0].copy())
                modules += [linear, nn.Tanh()]
            self.networks.append(nn.Sequential(*modules[:-1]))

    def flat(self) -> Tensor:
        matrices = [p.detach().t().flatten() if p.ndim == 2 else p.detach() for p in self.networks.parameters()]
        return torch.cat([*matrices, self.raw_scale.detach()])


def cleanrl_step(
    agent: PlainAgent, condition: Condition, optimizer: torch.optim.Optimizer, batch: Batch, hp: Hyperparameters
) -> None:
    obs, actions, logprobs, mb_advantages, returns, values = map(torch.from_numpy, batch)
    outputs = agent.networks[0](obs)
    logstd = agent.raw_scale + outputs[:, 2:] if hp.state_dependent_scale else agent.raw_scale
    policy = POLICIES[condition](outputs[:, :2], logstd.exp())
    newlogprob, newvalue = policy.log_prob(actions), agent.networks[1](obs).view(-1)
    ratio = (newlogprob - logprobs).exp()
    if hp.norm_adv:
        mb_advantages = (mb_advantages - mb_advantages.mean()) / (mb_advantages.std() + 1e-8)
    pg_loss1 = -mb_advantages * ratio
    pg_loss2 = -mb_advantages * torch.clamp(ratio, 1 - hp.clip_coef, 1 + hp.clip_coef)
    pg_loss = torch.max(pg_loss1, pg_loss2).mean()
    if hp.clip_vloss:
        v_loss_unclipped = (newvalue - returns) ** 2
        v_clipped = values + torch.clamp(newvalue - values, -hp.clip_coef, hp.clip_coef)
        v_loss = 0.5 * torch.max(v_loss_unclipped, (v_clipped - returns) ** 2).mean()
    else:
        v_loss = 0.5 * ((newvalue - returns) ** 2).mean()
    loss = pg_loss - hp.ent_coef * policy.entropy().mean() + v_loss * hp.vf_coef
    optimizer.zero_grad()
    loss.backward()
    if hp.state_dependent_scale:  # whose bias is the raw scale
        agent.networks[0][-1].bias.grad[2:] = 0.0  # type: ignore[index]
    nn.utils.clip_grad_norm_(agent.parameters(), hp.max_grad_norm)
    optimizer.step()


def make_batch(runs: int, size: int, rng: np.random.Generator) -> Batch:
    def draw(*shape: int) -> Floats:
        return rng.normal(size=(runs, size, *shape))

    return Batch(draw(3), draw(2), draw() - 3, draw(), 2 * draw(), draw())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"norm_adv": False, "clip_vloss": False, "ent_coef": 0.03},
        {"scale_lr_factor": 0.5, "max_grad_norm": 1e3},
        {"optimizer": "sgd", "scale_lr_factor": 0.25, "learning_rate": 0.1},
        {"state_dependent_scale": True, "ent_coef": 0.01},
    ],
)
def test_steps_are_cleanrl_steps_for_every_run(changes: dict[str, object]) -> None:
    one_step = Hyperparameters(num_steps=12, num_minibatches=1, update_epochs=1, learning_rate=3e-3, hidden_size=16)
    hp = dataclasses.replace(one_step, **changes)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    agent = ActorCritic(range(4), 3, 2, hp, torch.float64)
    optimizer = ppo.make_optimizer(agent, hp)
    ppo.set_learning_rate(optimizer, 1, hp)
    plain = [PlainAgent(agent, run) for run in range(4)]
    optimizers: list[torch.optim.Optimizer] = []
    for one in plain:
        groups = [
            {"params": list(one.networks.parameters()), "lr": hp.learning_rate},
            {"params": [one.raw_scale], "lr": hp.learning_rate * hp.scale_lr_factor},
        ]
        optimizers.append(torch.optim.SGD(groups) if hp.optimizer == "sgd" else torch.optim.Adam(groups, eps=1e-5))
    for _ in range(5):
        batch = make_batch(4, 12, rng)
        ppo.learn(agent, CONDITION_NAMES, optimizer, batch, [rng] * 4, hp)
        for run, condition in enumerate(CONDITION_NAMES):
            cleanrl_step(plain[run], condition, optimizers[run], Batch(*(tensor[run] for tensor in batch)), hp)
    for run, one in enumerate(plain):
        np.testing.assert_allclose(agent.parameters(run), one.flat(), rtol=1e-9, atol=1e-12)


def test_each_run_gradient_is_clipped_by_its_own_norm() -> None:
    hp = Hyperparameters(hidden_size=16)
    agent = ActorCritic(range(2), 3, 2, hp, torch.float64)
    forward = agent.forward(np.zeros((2, 1, 3)))
    # At zero observations and biases only the raw scale and the critic's biases have gradients: the last's is 2, and
    # from one to the next it passes an orthogonal matrix of gain 1 and sqrt(2).
    agent.backward(
        forward,
        np.zeros_like(forward.mean),
        np.array([30, 0.1])[:, None, None] + np.zeros_like(forward.raw_scale),
        np.array([[0.0], [2.0]]),
    )
    norms, scale_norms = ppo.clip_gradients(agent, max_norm=0.5)
    assert agent.raw_scales.grad is not None
    np.testing.assert_allclose(scale_norms, [30 * 2**0.5, 0.1 * 2**0.5])
    np.testing.assert_allclose(norms, [30 * 2**0.5, (4 + 4 + 8 + 0.02) ** 0.5])
    np.testing.assert_allclose(agent.raw_scales.grad[0, :1], 0.5 / 2**0.5, rtol=1e-6)


def test_the_learning_rate_anneals_linearly() -> None:
    hp = Hyperparameters(learning_rate=1.0, total_timesteps=40, num_steps=10, num_minibatches=1, scale_lr_factor=0.5)
    optimizer = ppo.make_optimizer(ActorCritic([0], 3, 1, hp, torch.float32), hp)
    assert [ppo.set_learning_rate(optimizer, update, hp) for update in (1, 2, 3, 4)] == [1.0, 0.75, 0.5, 0.25]
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.125]


def test_every_epoch_sees_every_transition_once(monkeypatch: pytest.MonkeyPatch) -> None:
    hp = Hyperparameters(num_steps=12, num_minibatches=3, update_epochs=2, norm_adv=False, hidden_size=16)
    agent = ActorCritic(range(2), 3, 2, hp, torch.float64)
    batch = make_batch(2, 12, np.random.default_rng(0))
    seen: list[Floats] = []
    step = ppo.step

    def watched(*arguments: object) -> ppo.Diagnostics:
        seen.append(arguments[3].advantages)  # type: ignore[attr-defined]
        return step(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(ppo, "step", watched)
    rngs = [np.random.default_rng(run) for run in range(2)]
    ppo.learn(agent, ["mvn_std", "mvn_var"], ppo.make_optimizer(agent, hp), batch, rngs, hp)
    epochs = [np.concatenate(seen[:3], 1), np.concatenate(seen[3:], 1)]
    for epoch in epochs:
        assert np.array_equal(np.sort(epoch), np.sort(batch.advantages))
    assert not np.array_equal(epochs[0], epochs[1])


def test_variance_is_torch_own() -> None:
    values = np.random.default_rng(0).normal(size=(3, 37))
    np.testing.assert_allclose(variance(values), torch.from_numpy(values).var(1), rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_has_the_same_mean_and_norm_however_many_there_are(dtype: type[np.floating[Any]]) -> None:
    for size in (1, 7, 37, 64, 200, 1000):
        values = np.random.default_rng(size).normal(size=(40, size)).astype(dtype)
        for some in (values[:1], values[3:4], values[7:20]):
            start = int(np.flatnonzero((values == some[0]).all(1))[0])
            assert np.array_equal(mean(some), mean(values)[start : start + len(some)])
            assert np.array_equal(np.vecdot(some, some), np.vecdot(values, values)[start : start + len(some)])


@given(st.floats(-1, 1), st.floats(-3, 3), st.floats(-3, 3), st.floats(-3, 3))
def test_derivatives_are_finite_differences(log_ratio: float, estimate: float, value: float, old_value: float) -> None:
    step = 1e-6
    points = log_ratio + step * np.array([[-1.0], [0.0], [1.0]])
    values_at, slopes = losses.policy_loss(np.exp(points), np.full((3, 1), estimate), 0.2)
    assume(min(abs(log_ratio - np.log(edge)) for edge in (0.8, 1.2)) > 2 * step)
    assert slopes[1, 0] == pytest.approx((values_at[2] - values_at[0]) / (2 * step), abs=1e-5)
    values = value + step * np.array([[-1.0], [0.0], [1.0]])
    for clip in (0.2, None):
        values_at, slopes = losses.value_loss(values, np.full((3, 1), old_value), np.full((3, 1), 0.5), clip)
        squares = [abs(value - 0.5), abs(old_value + np.clip(value - old_value, -0.2, 0.2) - 0.5)]
        assume(abs(squares[0] - squares[1]) > 1e-4 or abs(value - old_value) < 0.19)
        assert slopes[1, 0] == pytest.approx((values_at[2] - values_at[0]) / (2 * step), abs=1e-5)


def test_round_off_never_decides_if_a_value_has_a_derivative() -> None:
    rng = np.random.default_rng(0)
    values, returns = rng.normal(size=(2, 1, 10_000))
    old_values = values + rng.uniform(-0.19, 0.19, size=values.shape)
    _, slopes = losses.value_loss(values, old_values, returns, 0.2)
    np.testing.assert_array_equal(slopes, (values - returns) / 10_000)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_adam_is_torchs_bit_for_bit(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(shape, dtype=dtype, generator=generator) for shape in ((3, 64), (3, 16))]
    ours, theirs = ([tensor.clone() for tensor in start] for _ in range(2))
    direct = make_adam([{"params": [one]} for one in ours], eps=1e-5)
    torchs = torch.optim.Adam([{"params": [one]} for one in theirs], lr=0.0, eps=1e-5, fused=True)
    assert type(direct) is DirectAdam
    steps = []
    direct.register_step_post_hook(lambda *_: steps.append(1))
    for learning_rate in (1e-3, 5e-4, 0.0):
        for optimizer in (direct, torchs):
            for factor, group in enumerate(optimizer.param_groups, start=1):
                group["lr"] = factor * learning_rate
        for one, other in zip(ours, theirs, strict=True):
            one.grad = other.grad = torch.randn(one.shape, dtype=dtype, generator=generator)
        direct.step()
        torchs.step()
        for one, other in zip(ours, theirs, strict=True):
            assert torch.equal(one, other)
            assert direct.state[one].keys() == torchs.state[other].keys()
            assert all(torch.equal(direct.state[one][name], kept) for name, kept in torchs.state[other].items())
    assert len(steps) == 3


def test_a_watched_process_has_torchs_own_adam(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDY_WATCH", "{}")
    assert type(make_adam([{"params": [torch.zeros(3)]}], eps=1e-5)) is torch.optim.Adam


def test_adam_continues_from_its_state() -> None:
    generator = torch.Generator().manual_seed(1)
    one = torch.randn((3, 16), generator=generator)
    first = make_adam([{"params": [one], "lr": 1e-3}], eps=1e-5)
    one.grad = torch.randn(one.shape, generator=generator)
    first.step()
    other = one.clone()
    second = make_adam([{"params": [other], "lr": 1e-3}], eps=1e-5)
    second.load_state_dict(first.state_dict())
    one.grad = other.grad = torch.randn(one.shape, generator=generator)
    first.step()
    second.step()
    assert torch.equal(one, other)
