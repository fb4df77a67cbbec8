"""The update against CleanRL's lines, written with torch's own modules for one run."""

import dataclasses
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from agents import ppo
from agents.hyperparameters import Condition, Hyperparameters
from agents.networks import ActorCritic
from agents.policies import CONDITIONS
from agents.ppo import Batch

CONDITION_NAMES: tuple[Condition, ...] = get_args(Condition)


class PlainAgent(nn.Module):
    """One run's agent, of `nn.Linear`s, with the stacked one's parameters."""

    def __init__(self, stacked: ActorCritic, run: int) -> None:
        super().__init__()
        self.phi = nn.Parameter(stacked.phi[run, 0].detach().clone())
        self.networks = nn.ModuleList()
        for layers in (stacked.actor(run), stacked.critic(run)):
            modules: list[nn.Module] = []
            for weight, bias in layers:
                linear = nn.Linear(weight.shape[0], weight.shape[1], dtype=self.phi.dtype)
                linear.weight.data = weight.t().clone()
                linear.bias.data = bias[0].clone()
                modules += [linear, nn.Tanh()]
            self.networks.append(nn.Sequential(*modules[:-1]))

    def flat(self) -> Tensor:
        matrices = [p.detach().t().flatten() if p.ndim == 2 else p.detach() for p in self.networks.parameters()]
        return torch.cat([*matrices, self.phi.detach()])


def cleanrl_step(
    agent: PlainAgent, condition: Condition, optimizer: torch.optim.Optimizer, batch: Batch, hp: Hyperparameters
) -> None:
    policy = CONDITIONS[condition](agent.networks[0](batch.observations), agent.phi.exp())
    newlogprob, newvalue = policy.log_prob(batch.actions), agent.networks[1](batch.observations).view(-1)
    ratio = (newlogprob - batch.log_probs).exp()
    mb_advantages = batch.advantages
    if hp.norm_adv:
        mb_advantages = (mb_advantages - mb_advantages.mean()) / (mb_advantages.std() + 1e-8)
    pg_loss1 = -mb_advantages * ratio
    pg_loss2 = -mb_advantages * torch.clamp(ratio, 1 - hp.clip_coef, 1 + hp.clip_coef)
    pg_loss = torch.max(pg_loss1, pg_loss2).mean()
    if hp.clip_vloss:
        v_loss_unclipped = (newvalue - batch.returns) ** 2
        v_clipped = batch.values + torch.clamp(newvalue - batch.values, -hp.clip_coef, hp.clip_coef)
        v_loss = 0.5 * torch.max(v_loss_unclipped, (v_clipped - batch.returns) ** 2).mean()
    else:
        v_loss = 0.5 * ((newvalue - batch.returns) ** 2).mean()
    loss = pg_loss - hp.ent_coef * policy.entropy().mean() + v_loss * hp.vf_coef
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(agent.parameters(), hp.max_grad_norm)
    optimizer.step()


def make_batch(runs: int, size: int, generator: torch.Generator) -> Batch:
    def draw(*shape: int) -> Tensor:
        return torch.randn(runs, size, *shape, generator=generator, dtype=torch.float64)

    return Batch(draw(3), draw(2), draw() - 3, draw(), 2 * draw(), draw())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"norm_adv": False, "clip_vloss": False, "ent_coef": 0.03},
        {"scale_lr_factor": 0.5, "max_grad_norm": 1e3},
        {"optimizer": "sgd", "scale_lr_factor": 0.25, "learning_rate": 0.1},
    ],
)
def test_steps_are_cleanrl_steps_for_every_run(changes: dict[str, object]) -> None:
    hp = dataclasses.replace(Hyperparameters(learning_rate=3e-3, hidden_size=16), **changes)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(0)
    agent = ActorCritic([np.random.default_rng(run) for run in range(4)], 3, 2, hp, torch.float64)
    optimizer = ppo.make_optimizer(agent, hp)
    ppo.set_learning_rate(optimizer, 1, hp)
    plain = [PlainAgent(agent, run) for run in range(4)]
    optimizers: list[torch.optim.Optimizer] = []
    for one in plain:
        groups = [
            {"params": list(one.networks.parameters()), "lr": hp.learning_rate},
            {"params": [one.phi], "lr": hp.learning_rate * hp.scale_lr_factor},
        ]
        optimizers.append(torch.optim.SGD(groups) if hp.optimizer == "sgd" else torch.optim.Adam(groups, eps=1e-5))
    for _ in range(5):
        batch = make_batch(4, 12, generator)
        ppo.step(agent, CONDITION_NAMES, optimizer, batch, hp)
        for run, condition in enumerate(CONDITION_NAMES):
            cleanrl_step(plain[run], condition, optimizers[run], Batch(*(tensor[run] for tensor in batch)), hp)
    for run, one in enumerate(plain):
        np.testing.assert_allclose(agent.parameters(run), one.flat(), rtol=1e-9, atol=1e-12)


def test_each_run_gradient_is_clipped_by_its_own_norm() -> None:
    hp = Hyperparameters(hidden_size=16)
    agent = ActorCritic([np.random.default_rng(run) for run in range(2)], 3, 2, hp, torch.float64)
    observations = torch.zeros(2, 1, 3, dtype=torch.float64)
    mean, _, values = agent(observations)
    # At zero observations and biases only phi and the critic's biases have gradients: the last's is 2, and from one to
    # the next it passes an orthogonal matrix of gain 1 and sqrt(2).
    used = 2 * values[:, 0] * torch.tensor([0, 1]) + 0 * mean.sum((1, 2))
    agent.differentiate(agent.phi.sum((1, 2)) * torch.tensor([30, 0.1]) + used)
    norms, scale_norms = ppo.clip_gradients(agent, max_norm=0.5)
    assert agent.scales.grad is not None
    np.testing.assert_allclose(scale_norms, [30 * 2**0.5, 0.1 * 2**0.5])
    np.testing.assert_allclose(norms, [30 * 2**0.5, (4 + 4 + 8 + 0.02) ** 0.5])
    np.testing.assert_allclose(agent.scales.grad[0, :1], 0.5 / 2**0.5, rtol=1e-6)


def test_the_learning_rate_anneals_linearly() -> None:
    hp = Hyperparameters(learning_rate=1.0, total_timesteps=40, num_steps=10, num_minibatches=1, scale_lr_factor=0.5)
    optimizer = ppo.make_optimizer(ActorCritic([np.random.default_rng(0)], 3, 1, hp, torch.float32), hp)
    assert [ppo.set_learning_rate(optimizer, update, hp) for update in (1, 2, 3, 4)] == [1.0, 0.75, 0.5, 0.25]
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.125]


def test_every_epoch_sees_every_transition_once(monkeypatch: pytest.MonkeyPatch) -> None:
    hp = Hyperparameters(num_steps=12, num_minibatches=3, update_epochs=2, hidden_size=16)
    agent = ActorCritic([np.random.default_rng(run) for run in range(2)], 3, 2, hp, torch.float64)
    batch = make_batch(2, 12, torch.Generator().manual_seed(0))
    seen: list[Tensor] = []
    step = ppo.step

    def watched(*arguments: object) -> ppo.Diagnostics:
        seen.append(arguments[3].advantages)  # type: ignore[attr-defined]
        return step(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(ppo, "step", watched)
    rngs = [np.random.default_rng(run) for run in range(2)]
    ppo.update(agent, ["mvn_std", "mvn_var"], ppo.make_optimizer(agent, hp), batch, rngs, hp)
    epochs = [torch.cat(seen[:3], 1), torch.cat(seen[3:], 1)]
    for epoch in epochs:
        assert torch.equal(epoch.sort(1).values, batch.advantages.sort(1).values)
    assert not torch.equal(epochs[0], epochs[1])


def test_variance_is_torch_own() -> None:
    values = torch.randn(3, 37, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(ppo.variance(values), values.var(1, keepdim=True))
