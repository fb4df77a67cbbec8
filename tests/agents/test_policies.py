"""The four policies against SciPy, closed forms and torch's own sampling."""

from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch.distributions import Independent, MultivariateNormal

from agents.cohort.numerics import softplus
from agents.cohort.policies import CohortPolicy
from agents.conditions import Condition
from agents.policies import POLICIES, sample

NAMES: tuple[Condition, ...] = get_args(Condition)
MEANS_VARIANCE = {"mvn_std", "normal_sqrt"}


def std_of(condition: Condition, scale: torch.Tensor) -> torch.Tensor:
    return scale.sqrt() if condition in MEANS_VARIANCE else scale


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def test_every_condition_has_a_policy() -> None:
    assert set(POLICIES) == set(NAMES)


@pytest.mark.parametrize("condition", NAMES)
def test_log_prob_and_entropy_equal_scipy(condition: Condition, generator: torch.Generator) -> None:
    mean = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    scale = torch.rand(1, 3, generator=generator, dtype=torch.float64) + 0.2
    action = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    policy = POLICIES[condition](mean, scale)
    covariance = np.diag(std_of(condition, scale)[0].numpy() ** 2)
    expected = [stats.multivariate_normal(m, covariance).logpdf(a) for m, a in zip(mean, action, strict=True)]
    np.testing.assert_allclose(policy.log_prob(action), expected, rtol=1e-12)
    entropy = stats.multivariate_normal(np.zeros(3), covariance).entropy()
    np.testing.assert_allclose(policy.entropy(), np.full(5, entropy), rtol=1e-12)


@pytest.mark.parametrize("condition", NAMES)
def test_the_gradient_of_the_scale_equals_the_closed_form(condition: Condition, generator: torch.Generator) -> None:
    scale = (torch.rand(3, generator=generator, dtype=torch.float64) + 0.2).requires_grad_()
    action = torch.randn(3, generator=generator, dtype=torch.float64)
    log_prob = POLICIES[condition](torch.zeros_like(action), scale).log_prob(action)
    (gradient,) = torch.autograd.grad(log_prob, scale)
    t = scale.detach()
    expected = (action**2 / t - 1) / (2 * t) if condition in MEANS_VARIANCE else (action**2 / t**2 - 1) / t
    torch.testing.assert_close(gradient, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("condition", NAMES)
def test_sampling_with_given_noise_is_the_class_own_sampling(condition: Condition, dtype: torch.dtype) -> None:
    mean, scale = torch.linspace(-1, 1, 6, dtype=dtype).view(2, 3), torch.tensor([[0.3, 1.0, 2.5]], dtype=dtype)
    policy = POLICIES[condition](mean, scale)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        drawn = policy.sample()
        torch.manual_seed(7)
        # `Normal.sample` draws with `torch.normal`, which is `rsample`'s arithmetic on the same stream.
        noise = torch.empty(2, 3, dtype=dtype).normal_()
    assert torch.equal(sample(policy, noise), drawn)


@given(st.lists(st.sampled_from(NAMES), min_size=1, max_size=6), st.sampled_from([torch.float32, torch.float64]))
def test_a_cohort_policy_is_each_run_policy(conditions: list[Condition], dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(len(conditions))
    mean = torch.randn(len(conditions), 4, 2, generator=generator, dtype=dtype)
    scale = torch.rand(len(conditions), 1, 2, generator=generator, dtype=dtype) + 0.1
    actions = torch.randn(mean.shape, generator=generator, dtype=dtype)
    cohort = CohortPolicy(conditions, mean, scale)
    for run, condition in enumerate(conditions):
        alone = POLICIES[condition](mean[run], scale[run])
        torch.testing.assert_close(cohort.log_prob(actions)[run], alone.log_prob(actions[run]))
        torch.testing.assert_close(cohort.entropy()[run], alone.entropy())
        torch.testing.assert_close(cohort.std()[run], std_of(condition, scale[run]).expand(4, 2))


def test_they_are_the_classes_that_they_say() -> None:
    mean, scale = torch.zeros(2), torch.ones(2)
    for condition, policy in POLICIES.items():
        expected = MultivariateNormal if condition.startswith("mvn") else Independent
        assert type(policy(mean, scale)) is expected


@pytest.mark.parametrize("scale", [0.0, torch.nan, torch.inf])
@pytest.mark.parametrize("condition", ["mvn_std", "mvn_var"])
def test_a_run_without_a_usable_scale_is_nan_alone(condition: Condition, scale: float) -> None:
    scales = torch.ones(3, 1, 2)
    scales[1, 0, 0] = scale
    log_prob = CohortPolicy([condition] * 3, torch.zeros(3, 4, 2), scales).log_prob(torch.ones(3, 4, 2))
    assert log_prob[1].isnan().all()
    assert log_prob[[0, 2]].isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("condition", NAMES)
@given(
    st.integers(1, 8),
    st.sampled_from([1, 2, 7, 37, 64]),
    st.booleans(),
    st.lists(st.integers(0, 8), min_size=1, max_size=9),
)
@settings(max_examples=40)
def test_a_run_has_the_same_numbers_in_any_batch(
    condition: Condition, dtype: torch.dtype, action: int, batch: int, by_state: bool, company: list[int]
) -> None:
    generator = torch.Generator().manual_seed(action * batch)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(9, *shape, generator=generator, dtype=torch.float64).to(dtype)

    mean, phi, actions, weights = (
        draw(batch, action),
        draw(batch if by_state else 1, action),
        draw(batch, action),
        draw(batch),
    )

    def numbers(runs: list[int]) -> list[torch.Tensor]:
        leaves = [tensor[runs].clone().requires_grad_() for tensor in (mean, phi)]
        policy = CohortPolicy([condition] * len(runs), leaves[0], softplus(leaves[1]))
        log_prob = policy.log_prob(actions[runs].clone())
        gradients = torch.autograd.grad(log_prob, leaves, weights[runs].clone())
        return [log_prob, policy.sample(actions[runs].clone()), policy.entropy(), policy.std(), *gradients]

    for apart, together in zip(numbers(company), numbers(list(range(9))), strict=True):
        assert torch.equal(apart, together[company])
