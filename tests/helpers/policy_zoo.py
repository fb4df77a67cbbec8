"""Policies written differently: right ones, and mistakes, each from a right one and under the name that it should get.

All have the same parameters, and are functions of these and observations `[N, 3]`.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.distributions import (
    AffineTransform,
    Beta,
    Independent,
    Laplace,
    MultivariateNormal,
    Normal,
    StudentT,
    TanhTransform,
    TransformedDistribution,
)

from study.policies import Policy

OBSERVATIONS = 3
Parameters = Mapping[str, Tensor]


@dataclasses.dataclass
class Made:
    """A distribution by its functions: what a trainer writes by hand."""

    log_prob: Callable[[Tensor], Tensor]
    sample: Callable[[], Tensor]
    entropy: Callable[[], Tensor | None] = lambda: None
    rsample: Callable[[], Tensor] | None = None


def parameters(action_size: int) -> dict[str, Tensor]:
    """Return parameters as a trainer initialises them: every std is 1."""
    weight = torch.randn(action_size, OBSERVATIONS, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return {
        "weight": 0.3 * weight,
        "scale": torch.zeros(action_size, dtype=torch.float64),
        "lower": torch.zeros(action_size, action_size, dtype=torch.float64),
    }


def mean(p: Parameters, o: Tensor) -> Tensor:
    return o @ p["weight"].T


def std(p: Parameters, o: Tensor) -> Tensor:
    return p["scale"].exp().expand(len(o), -1)


def softplus_std(p: Parameters, o: Tensor, beta: float = 1.0) -> Tensor:
    return F.softplus(p["scale"], beta=beta).expand(len(o), -1)


def gaussian(m: Tensor, s: Tensor) -> Independent[Normal]:
    return Independent(Normal(m, s), 1)


def terms(a: Tensor, m: Tensor, s: Tensor) -> Tensor:
    return -0.5 * ((a - m) / s) ** 2 - s.log() - 0.5 * math.log(2 * math.pi)


def usual(p: Parameters, o: Tensor) -> Any:
    return gaussian(mean(p, o), std(p, o))


def usual_softplus(p: Parameters, o: Tensor) -> Any:
    return gaussian(mean(p, o), softplus_std(p, o))


def scale_tril(p: Parameters) -> Tensor:
    return p["lower"].tril(-1) + torch.diag_embed(p["scale"].exp())


def laplace(p: Parameters, o: Tensor) -> Any:
    return Independent(Laplace(mean(p, o), std(p, o)), 1)


def laplace_by_hand(p: Parameters, o: Tensor) -> Any:
    m, s = mean(p, o), std(p, o)
    return Made(lambda a: (-(a - m).abs() / s - (2 * s).log()).sum(-1), laplace(p, o).sample)


def beta(p: Parameters, o: Tensor) -> Any:
    """Return a beta distribution, whose samples come by rejection, between -1 and 1."""
    between = Beta(1 + F.softplus(mean(p, o)), 1 + std(p, o))
    return TransformedDistribution(Independent(between, 1), [AffineTransform(-1, 2, event_dim=1)])


def beta_by_hand(p: Parameters, o: Tensor) -> Any:
    first, second = 1 + F.softplus(mean(p, o)), 1 + std(p, o)

    def log_prob(a: Tensor) -> Tensor:
        x = (a + 1) / 2
        constant = torch.lgamma(first + second) - torch.lgamma(first) - torch.lgamma(second) - math.log(2)
        return ((first - 1) * x.log() + (second - 1) * (1 - x).log() + constant).sum(-1)

    return Made(log_prob, beta(p, o).sample)


def correlated(p: Parameters, o: Tensor) -> Any:
    return MultivariateNormal(mean(p, o), scale_tril=scale_tril(p))


def squashed(p: Parameters, o: Tensor) -> Any:
    return TransformedDistribution(usual(p, o), [TanhTransform(cache_size=1)])


def correction(a: Tensor) -> Tensor:
    return torch.log1p(-(a**2))


def by_hand(log_prob: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Callable[[Parameters, Tensor], Any]:
    """Return a policy whose log-density is a function of action, mean and std."""
    return lambda p, o: Made(lambda a: log_prob(a, mean(p, o), std(p, o)), usual(p, o).sample)


def squashed_by_hand(log_prob: Callable[[Tensor, Tensor, Any], Tensor]) -> Callable[[Parameters, Tensor], Any]:
    """Return a policy whose log-density is a function of action, action before the tanh and Gaussian."""
    return lambda p, o: Made(lambda a: log_prob(a, torch.atanh(a), usual(p, o)), squashed(p, o).sample)


def sampled(sample: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Parameters, Tensor], Any]:
    """Return a policy whose samples are a function of mean and std."""
    return lambda p, o: Made(usual(p, o).log_prob, lambda: sample(mean(p, o), std(p, o)))


def drawn_by(noise: Callable[[Tensor], Tensor]) -> Callable[[Parameters, Tensor], Any]:
    """Return a policy whose samples are the mean and std times noise, a function of zeros in its shape."""
    return sampled(lambda m, s: m + s * noise(torch.zeros_like(m)))


def reparameterised(sample: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Parameters, Tensor], Any]:
    """Return a policy whose reparameterised samples are a function of mean and std."""
    return lambda p, o: Made(usual(p, o).log_prob, usual(p, o).sample, rsample=lambda: sample(mean(p, o), std(p, o)))


def with_entropy(entropy: Callable[[Tensor], Tensor]) -> Callable[[Parameters, Tensor], Any]:
    """Return a policy whose entropy is a function of the entropies of its dimensions."""
    return lambda p, o: Made(
        usual(p, o).log_prob, usual(p, o).sample, lambda: entropy(Normal(mean(p, o), std(p, o)).entropy())
    )


class SummedNormal(Normal):
    """A Normal whose density is of the whole action."""

    def log_prob(self, value: Tensor) -> Tensor:
        log_prob: Tensor = super().log_prob(value)  # type: ignore[no-untyped-call]
        return log_prob.sum(-1)

    def entropy(self) -> Tensor:
        entropy: Tensor = super().entropy()  # type: ignore[no-untyped-call]
        return entropy.sum(-1)


class StableTanhNormal:
    """A Gaussian behind a tanh, as TorchRL has it: without an entropy."""

    def __init__(self, base: Any) -> None:
        self.base = base

    def log_prob(self, action: Tensor) -> Tensor:
        u = torch.atanh(action)
        log_prob: Tensor = self.base.log_prob(u)
        return log_prob - (2 * (math.log(2) - u - F.softplus(-2 * u))).sum(-1)

    def sample(self) -> Tensor:
        return torch.tanh(self.base.sample())


RIGHT: dict[str, tuple[Callable[[Parameters, Tensor], Any], Callable[[Parameters, Tensor], Any]]] = {
    "Normal, summed": (usual, lambda p, o: SummedNormal(mean(p, o), std(p, o))),
    "MultivariateNormal of a covariance": (
        usual, lambda p, o: MultivariateNormal(mean(p, o), torch.diag_embed(std(p, o) ** 2)),
    ),
    "MultivariateNormal of a scale_tril": (
        usual, lambda p, o: MultivariateNormal(mean(p, o), scale_tril=torch.diag_embed(std(p, o))),
    ),
    "MultivariateNormal of a precision": (
        usual, lambda p, o: MultivariateNormal(mean(p, o), precision_matrix=torch.diag_embed(std(p, o) ** -2)),
    ),
    "a transformed standard normal": (
        usual,
        lambda p, o: TransformedDistribution(
            gaussian(torch.zeros_like(mean(p, o)), torch.ones_like(std(p, o))),
            [AffineTransform(mean(p, o), std(p, o), event_dim=1)],
        ),
    ),
    "by hand": (usual, by_hand(lambda a, m, s: terms(a, m, s).sum(-1))),
    "by hand, of the variance": (
        usual, by_hand(lambda a, m, s: -0.5 * ((a - m) ** 2 / s**2 + (2 * math.pi * s**2).log()).sum(-1)),
    ),
    "by hand, of the log std": (
        usual,
        lambda p, o: Made(
            lambda a: (
                -0.5 * (((a - mean(p, o)) * (-p["scale"]).exp()) ** 2).sum(-1)
                - p["scale"].sum() - 0.5 * a.shape[-1] * math.log(2 * math.pi)
            ),
            usual(p, o).sample,
        ),
    ),
    "softplus by hand": (
        usual_softplus, lambda p, o: gaussian(mean(p, o), torch.log1p(p["scale"].exp()).expand(len(o), -1)),
    ),
    "tanh without a cache": (squashed, lambda p, o: TransformedDistribution(usual(p, o), [TanhTransform()])),
    "tanh by TorchRL's formula": (squashed, lambda p, o: StableTanhNormal(usual(p, o))),
    "noise of the other sign": (usual, sampled(lambda m, s: m - s * torch.randn_like(m))),
    "a covariance of a factor": (
        correlated,
        lambda p, o: MultivariateNormal(mean(p, o), covariance_matrix=scale_tril(p) @ scale_tril(p).mT),
    ),
    "in float32 inside": (usual, lambda p, o: gaussian(mean(p, o).float(), std(p, o).float())),
    "a constant rounded to float32": (
        usual,
        by_hand(lambda a, m, s: (-0.5 * ((a - m) / s) ** 2 - s.log() - 0.5 * torch.tensor(2 * math.pi).log()).sum(-1)),
    ),
    "Laplace by hand": (laplace, laplace_by_hand),
    "Student's t": (
        lambda p, o: Independent(StudentT(5.0, mean(p, o), std(p, o)), 1),
        lambda p, o: Independent(StudentT(torch.full_like(mean(p, o), 5.0), mean(p, o), std(p, o)), 1),
    ),
    "beta by hand": (beta, beta_by_hand),
    "rsample by hand": (usual, reparameterised(lambda m, s: m - s * torch.randn_like(m))),
    "entropy by hand": (usual, with_entropy(lambda of: torch.einsum("na->n", of))),
    "tanh by hand": (squashed, squashed_by_hand(lambda a, u, base: base.log_prob(u) - correction(a).sum(-1))),
}  # fmt: skip
"""Two right policies that are the same."""

MISTAKES: dict[str, tuple[str, Callable[[Parameters, Tensor], Any], Callable[[Parameters, Tensor], Any]]] = {
    "covariance of std": (
        "std used as a variance", usual, lambda p, o: MultivariateNormal(mean(p, o), torch.diag_embed(std(p, o))),
    ),
    "Normal of a variance": (
        "variance used as a std", usual, lambda p, o: gaussian(mean(p, o), std(p, o) ** 2),
    ),
    "precision for a covariance": (
        "precision used as a variance", usual,
        lambda p, o: MultivariateNormal(mean(p, o), torch.diag_embed(std(p, o) ** -2)),
    ),
    "log std as std": (
        "log std used as a std",
        lambda p, o: gaussian(mean(p, o), (1.5 + p["scale"]).exp().expand(len(o), -1)),
        lambda p, o: gaussian(mean(p, o), (1.5 + p["scale"]).expand(len(o), -1)),
    ),
    "scale_tril as covariance": (
        "std used as a variance",
        lambda p, o: MultivariateNormal(mean(p, o), scale_tril=torch.diag_embed(std(p, o))),
        lambda p, o: MultivariateNormal(mean(p, o), torch.diag_embed(std(p, o))),
    ),
    "factor as covariance": (
        "scale_tril used as a covariance", correlated,
        lambda p, o: MultivariateNormal(mean(p, o), scale_tril(p), validate_args=False),
    ),
    "divided by the std": (
        "square divided by the std instead of the variance", usual,
        by_hand(lambda a, m, s: (-0.5 * (a - m) ** 2 / s - s.log() - 0.5 * math.log(2 * math.pi)).sum(-1)),
    ),
    "samples of the variance": (
        "samples: variance used as a std", usual, sampled(lambda m, s: torch.normal(m, s**2)),
    ),
    "samples clipped": ("samples: clipped", usual, sampled(lambda m, s: torch.normal(m, s).clamp(-1, 1))),
    "samples of 0.98 of the std": (
        "samples: std times a constant", usual, drawn_by(lambda zeros: 0.98 * torch.randn_like(zeros)),
    ),
    "samples clipped at 3 sigma": (
        "samples: clipped", usual, drawn_by(lambda zeros: torch.randn_like(zeros).clamp(-3, 3)),
    ),
    "uniform noise": (
        "samples: uniform noise", usual, drawn_by(lambda zeros: math.sqrt(12) * (torch.rand_like(zeros) - 0.5)),
    ),
    "shared noise": (
        "samples: noise shared over action dimensions", usual,
        drawn_by(lambda zeros: zeros + torch.randn_like(zeros[:, :1])),
    ),
    "the first row's mean": (
        "samples: the same mean for all observations", usual,
        sampled(lambda m, s: torch.normal(m[:1].expand_as(m), s)),
    ),
    "rsample without gradient": (
        "rsample: no gradient by weight, by scale", usual,
        reparameterised(lambda m, s: (m + s * torch.randn_like(m)).detach()),
    ),
    "rsample without the std's gradient": (
        "rsample: no gradient by scale", usual, reparameterised(lambda m, s: m + s.detach() * torch.randn_like(m)),
    ),
    "entropy detached": (
        "no gradient of the entropy by scale: detached", usual, with_entropy(lambda of: of.sum(-1).detach()),
    ),
    "half the entropy's gradient": (
        "gradient of the entropy by scale 0.5 times as large", usual,
        with_entropy(lambda of: (0.5 * of + 0.5 * of.detach()).sum(-1)),
    ),
    "log std clamped to [-1, 1]": (
        "clamped std", usual, lambda p, o: gaussian(mean(p, o), p["scale"].clamp(-1, 1).exp().expand(len(o), -1)),
    ),
    "std of the first dimension": (
        "another density", usual, lambda p, o: gaussian(mean(p, o), std(p, o)[:, :1].expand(len(o), len(p["scale"]))),
    ),
    "std off by a millionth": (
        "std times a constant", usual, lambda p, o: gaussian(mean(p, o), std(p, o) * (1 + 1e-6)),
    ),
    "mean over dimensions": (
        "mean over action dimensions instead of their sum", usual, by_hand(lambda a, m, s: terms(a, m, s).mean(-1)),
    ),
    "no sum": ("missing sum over action dimensions", usual, lambda p, o: Normal(mean(p, o), std(p, o))),
    "no tanh correction": (
        "missing tanh correction", squashed, squashed_by_hand(lambda _, u, base: base.log_prob(u)),
    ),
    "tanh correction added": (
        "tanh correction with the wrong sign", squashed,
        squashed_by_hand(lambda a, u, base: base.log_prob(u) + correction(a).sum(-1)),
    ),
    "tanh correction's mean": (
        "tanh correction's mean instead of its sum", squashed,
        squashed_by_hand(lambda a, u, base: base.log_prob(u) - correction(a).mean(-1)),
    ),
    "tanh correction's epsilon": (
        "epsilon in the tanh correction", squashed,
        squashed_by_hand(lambda a, u, base: base.log_prob(u) - torch.log(1 - a**2 + 1e-6).sum(-1)),
    ),
    "clipped action": (
        "action clipped before the log-density", usual, by_hand(lambda a, m, s: terms(a.clamp(-1, 1), m, s).sum(-1)),
    ),
    "log base 2": (
        "logarithm to base 2", usual, by_hand(lambda a, m, s: terms(a, m, s).sum(-1) / math.log(2)),
    ),
    "softplus of beta 2": (
        "softplus of another beta", usual_softplus, lambda p, o: gaussian(mean(p, o), softplus_std(p, o, beta=2.0)),
    ),
    "exp for softplus": ("exp instead of softplus", usual_softplus, usual),
    "softplus for exp": ("softplus instead of exp", usual, usual_softplus),
    "detached scale": (
        "no gradient by scale: detached", usual, lambda p, o: gaussian(mean(p, o), std(p, o).detach()),
    ),
    "entropy of one dimension": ("entropy of one dimension", usual, with_entropy(lambda of: of[..., 0])),
    "entropy's mean": (
        "entropy's mean over action dimensions instead of their sum", usual, with_entropy(lambda of: of.mean(-1)),
    ),
    "entropy's sign": ("entropy with the wrong sign", usual, with_entropy(lambda of: -of.sum(-1))),
    "no constant": (
        "missing constant, half of log 2 pi", usual,
        by_hand(lambda a, m, s: (-0.5 * ((a - m) / s) ** 2 - s.log()).sum(-1)),
    ),
    "no log std": (
        "missing log std", usual,
        by_hand(lambda a, m, s: (-0.5 * ((a - m) / s) ** 2 - 0.5 * math.log(2 * math.pi)).sum(-1)),
    ),
    "log std added": (
        "log std added instead of subtracted", usual,
        by_hand(lambda a, m, s: (-0.5 * ((a - m) / s) ** 2 + s.log() - 0.5 * math.log(2 * math.pi)).sum(-1)),
    ),
    "no half": (
        "missing half of the square", usual,
        by_hand(lambda a, m, s: (-(((a - m) / s) ** 2) - s.log() - 0.5 * math.log(2 * math.pi)).sum(-1)),
    ),
    "clamped std": (
        "clamped std", usual, lambda p, o: gaussian(mean(p, o), std(p, o).clamp(0.9, 1.2)),
    ),
    "clamped log-density": (
        "clamped log-density", usual, by_hand(lambda a, m, s: terms(a, m, s).sum(-1).clamp(min=-6.0)),
    ),
    "tanh of the mean": (
        "tanh of the mean", usual, lambda p, o: gaussian(torch.tanh(mean(p, o)), std(p, o)),
    ),
    "another dimension's std": (
        "std of another dimension", usual, lambda p, o: gaussian(mean(p, o), std(p, o).flip(-1)),
    ),
}  # fmt: skip
"""By mistake, the name that it should get, a right policy, and the mistaken one."""

ONLY_WIDE = {
    "factor as covariance", "mean over dimensions", "no sum", "tanh correction's mean", "entropy of one dimension",
    "entropy's mean", "another dimension's std", "shared noise", "std of the first dimension",
}  # fmt: skip
"""Mistakes that none are where an action is one number."""

ANOTHER_DISTRIBUTION = {
    "covariance of std", "Normal of a variance", "precision for a covariance", "log std as std", "softplus of beta 2",
    "scale_tril as covariance", "exp for softplus", "softplus for exp", "clamped std", "tanh of the mean",
    "another dimension's std", "tanh correction's epsilon", "std off by a millionth",
    "log std clamped to [-1, 1]", "std of the first dimension",
}  # fmt: skip
"""Mistakes that alone can't be seen: what they make is a distribution, or one but for less than samples show."""


def policy(distribution: Callable[[Parameters, Tensor], Any], action_size: int) -> Policy:
    """Return a policy of the zoo; it is bounded if its right one is."""
    return Policy(distribution=distribution, parameters=parameters(action_size))
