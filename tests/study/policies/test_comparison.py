"""Two policies, or one: right ones aren't accused, mistakes are found and named."""

import contextlib
import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.distributions import Categorical, Distribution, Independent, Normal, Uniform

from study.cli import main
from study.errors import ConfigError
from study.policies import Policy, assert_policy, assert_same_policy, check, compare, from_module, from_sb3
from tests.helpers.policy_zoo import (
    ANOTHER_DISTRIBUTION,
    MISTAKES,
    OBSERVATIONS,
    ONLY_WIDE,
    RIGHT,
    Made,
    beta,
    gaussian,
    policy,
    squashed,
    usual,
)
from tests.helpers.quick import each

SIZES: Any = {"observation_size": OBSERVATIONS, "action_size": 2}


def make(which: object, right: object, action_size: int) -> Policy:
    """Return a policy of the zoo, bounded where the right one has a tanh."""
    return dataclasses.replace(policy(which, action_size), bounded=right in (squashed, beta))  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "action_size"), each(((name, size) for name in RIGHT for size in (3, 1)), every=5))
def test_right_policies_are_not_accused(name: str, action_size: int) -> None:
    one, other = RIGHT[name]
    assert_same_policy(
        make(one, one, action_size),
        make(other, one, action_size),
        observation_size=OBSERVATIONS,
        action_size=action_size,
    )
    assert_policy(make(other, one, action_size), observation_size=OBSERVATIONS, action_size=action_size)


@pytest.mark.parametrize(
    ("name", "action_size"),
    each(
        [*((name, 3) for name in MISTAKES), *((name, 1) for name in sorted(MISTAKES.keys() - ONLY_WIDE)[::3])], every=3
    ),
)
def test_mistakes_are_found_and_named(name: str, action_size: int) -> None:
    expected, right, mistaken = MISTAKES[name]
    one, other = make(right, right, action_size), make(mistaken, right, action_size)
    compared = compare(one, other, observation_size=OBSERVATIONS, action_size=action_size)
    assert [finding.name for finding in compared.findings] == [expected]
    assert not compared.are_same


def test_an_assertion_names_what_sets_two_apart() -> None:
    _, right, mistaken = MISTAKES["covariance of std"]
    with pytest.raises(AssertionError, match="the policies aren't the same:\n- std used as a variance"):
        assert_same_policy(make(right, right, 2), make(mistaken, right, 2), **SIZES)


@pytest.mark.parametrize("name", each(MISTAKES, every=5))
def test_a_mistake_is_seen_alone_if_it_leaves_no_distribution(name: str) -> None:
    _, right, mistaken = MISTAKES[name]
    found = check(make(mistaken, right, 3), observation_size=OBSERVATIONS, action_size=3)
    assert bool(found) == (name not in ANOTHER_DISTRIBUTION), found


class Network(nn.Module):
    """A policy as modules have it."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Linear(OBSERVATIONS, 2)
        self.log_std = nn.Parameter(torch.zeros(2))

    def act(self, observation: torch.Tensor) -> Independent[Normal]:
        mean = self.mean(observation)
        return Independent(Normal(mean, self.log_std.exp().expand_as(mean)), 1)


class Renamed(nn.Module):
    """The same under other names, with the std taken for a variance."""

    def __init__(self) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(2))
        self.net = nn.Linear(OBSERVATIONS, 2)

    def forward(self, observation: torch.Tensor) -> Independent[Normal]:
        mean = self.net(observation)
        return Independent(Normal(mean, (0.5 * self.raw).exp().expand_as(mean)), 1)


def test_modules_are_policies_at_parameters_of_their_own() -> None:
    network = Network()
    before = network.log_std.clone()
    one = from_module(network, "act")
    assert_same_policy(one, one, observation_size=OBSERVATIONS, action_size=2)
    assert torch.equal(network.log_std, before)
    (finding,) = compare(one, from_module(Renamed()), observation_size=OBSERVATIONS, action_size=2).findings
    assert finding.name == "std used as a variance"


def test_other_parameters_are_said() -> None:
    fixed = Policy(
        distribution=lambda p, o: gaussian(o @ p["weight"].T, torch.ones(len(o), 2, dtype=o.dtype)),
        parameters={"weight": torch.zeros(2, OBSERVATIONS)},
    )
    (finding,) = compare(policy(usual, 2), fixed, observation_size=OBSERVATIONS, action_size=2).findings
    assert finding.name == "other parameters"


class Trunk(nn.Module):
    """A policy with a hidden layer, and with a value head or without."""

    def __init__(
        self, names: tuple[str, str] = ("bias", "log_std"), has_value: bool = False, rate: float = 0.0
    ) -> None:
        super().__init__()
        self.hidden, self.mean = nn.Linear(OBSERVATIONS, 8), nn.Linear(8, 2, bias=False)
        self.dropout = nn.Dropout(rate)
        if has_value:
            self.value = nn.Linear(8, 1)
        for name in names:
            self.register_parameter(name, nn.Parameter(torch.zeros(2)))
        self.role = {"bias": "bias", "log_std": "log_std"} | ({"bias": "b", "log_std": "raw"} if "raw" in names else {})

    def forward(self, observation: torch.Tensor) -> Independent[Normal]:
        bias, log_std = (getattr(self, self.role[name]) for name in ("bias", "log_std"))
        mean = self.mean(self.dropout(torch.tanh(self.hidden(observation)))) + bias
        return gaussian(mean, log_std.exp().expand_as(mean))


def test_a_value_head_needs_no_counterpart() -> None:
    assert_same_policy(from_module(Trunk(has_value=True)), from_module(Trunk()), **SIZES)
    assert_same_policy(from_module(Trunk()), from_module(Trunk(has_value=True)), **SIZES)
    assert_policy(from_module(Trunk(has_value=True)), **SIZES)


def test_parameters_are_paired_by_the_names_given() -> None:
    one, other = from_module(Trunk()), from_module(Trunk(names=("raw", "b")))
    compared = compare(one, other, **SIZES)
    assert not compared.are_same
    assert "paired by order: raw=bias, b=log_std" in str(compared)
    assert_same_policy(one, other, **SIZES, rename={"raw": "log_std", "b": "bias"})
    with pytest.raises(ConfigError, match="no parameter's name begins with nothing"):
        compare(one, other, **SIZES, rename={"nothing": "bias"})


def test_parameters_of_unique_shapes_are_paired_by_these() -> None:
    def named(bias: str, log_std: str, order: tuple[str, str]) -> Policy:
        shapes = {bias: (2,), log_std: (1, 2)}
        return Policy(
            distribution=lambda p, o: gaussian(o[:, :2] + p[bias], p[log_std].exp().expand(len(o), -1)),
            parameters={name: torch.zeros(shapes[name]) for name in order},
        )

    assert_same_policy(named("b", "s", order=("b", "s")), named("m", "r", order=("r", "m")), **SIZES)


def test_a_module_that_is_not_deterministic_is_said() -> None:
    module = Trunk(rate=0.5)
    with pytest.raises(ConfigError, match=r"the first: it isn't deterministic.*\.eval\(\)"):
        compare(from_module(module), from_module(module), **SIZES)
    assert_policy(from_module(module.eval()), **SIZES)


def linear(distribution: Callable[[torch.Tensor], object]) -> Policy:
    """Return a policy whose distribution is a function of a mean."""
    return Policy(
        distribution=lambda p, o: distribution(o @ p["w"].T),  # type: ignore[arg-type, return-value]
        parameters={"w": torch.zeros(2, OBSERVATIONS)},
    )


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda mean: Categorical(logits=mean), "discrete actions aren't supported"),
        (lambda mean: Uniform(mean - 9, mean + 9, validate_args=False), "doesn't depend on the action"),
        (lambda mean: gaussian(mean[:, :1], torch.ones_like(mean[:, :1])), r"shape \[64, 1\], not \[64, 2\]"),
        (lambda mean: mean @ mean, r"can't be called with observations \[64, 3\]"),
    ],
)
def test_what_is_not_supported_is_said(made: Callable[[torch.Tensor], object], words: str) -> None:
    for call in (lambda own: compare(own, own, **SIZES), lambda own: assert_policy(own, **SIZES)):
        with pytest.raises(ConfigError, match=words):
            call(linear(made))


@pytest.mark.parametrize("size", [1, 3])
def test_a_policy_of_two_actions_is_none_of_another_size(size: int) -> None:
    with pytest.raises(ConfigError, match="give the right action_size"):
        assert_policy(policy(usual, 2), observation_size=OBSERVATIONS, action_size=size)


def test_a_policy_of_many_actions_is_not_accused() -> None:
    assert_policy(policy(RIGHT["Student's t"][1], 12), observation_size=OBSERVATIONS, action_size=12)


@pytest.mark.parametrize("validates", [True, False])
def test_a_std_that_can_be_negative_is_no_distribution(validates: bool, request: pytest.FixtureRequest) -> None:
    request.addfinalizer(lambda: Distribution.set_default_validate_args(True))
    Distribution.set_default_validate_args(validates)  # `torch.compile` turns it off, for all that comes later
    mistaken = policy(lambda p, o: Independent(Normal(o @ p["weight"].T, p["scale"].expand(len(o), -1)), 1), 2)
    (finding,) = compare(policy(usual, 2), mistaken, observation_size=OBSERVATIONS, action_size=2).findings
    assert finding.name == "no distribution at moved parameters"
    with contextlib.nullcontext() if not validates else pytest.raises(ValueError, match="scale"):
        Normal(torch.zeros(1), -torch.ones(1))


@pytest.mark.parametrize("size", [1.0, 0.1, 0.001])
def test_a_std_that_is_a_parameter_stays_positive(size: float) -> None:
    direct = Policy(
        distribution=lambda p, o: Independent(Normal(o @ p["weight"].T, p["std"].expand(len(o), -1)), 1),
        parameters={"weight": torch.zeros(2, OBSERVATIONS), "std": torch.full((2,), size)},
    )
    assert_same_policy(direct, direct, observation_size=OBSERVATIONS, action_size=2)
    assert_policy(direct, observation_size=OBSERVATIONS, action_size=2)


def test_it_is_said_whose_std_is_negative() -> None:
    mistaken = policy(lambda p, o: Independent(Normal(o @ p["weight"].T, p["scale"].expand(len(o), -1)), 1), 2)
    for one, other, words in ((usual, mistaken, "the second: "), (mistaken, usual, "the first: ")):
        pair = [own if isinstance(own, Policy) else policy(own, 2) for own in (one, other)]
        (finding,) = compare(*pair, observation_size=OBSERVATIONS, action_size=2).findings
        assert finding.detail.startswith(words)


def test_samples_of_another_scale_are_seen_alone() -> None:
    def distribution(p: object, o: torch.Tensor) -> object:
        right = usual(p, o)  # type: ignore[arg-type]
        return Made(right.log_prob, lambda: right.mean + 1.1 * (right.sample() - right.mean))

    (finding,) = check(policy(distribution, 2), observation_size=OBSERVATIONS, action_size=2)
    assert finding.name == "samples aren't the density's"


def test_gradients_that_are_not_the_densitys_are_seen_alone() -> None:
    def distribution(p: Mapping[str, torch.Tensor], o: torch.Tensor) -> object:
        return usual({**p, "weight": 2 * p["weight"] - p["weight"].detach()}, o)

    (finding,) = check(policy(distribution, 2), observation_size=OBSERVATIONS, action_size=2)
    assert finding.name == "gradients aren't the density's"


def test_stable_baselines3s_policy_is_one() -> None:
    stable_baselines3 = pytest.importorskip("stable_baselines3")
    own = from_sb3(stable_baselines3.PPO("MlpPolicy", "Pendulum-v1", seed=0).policy)
    assert_same_policy(own, own, observation_size=3, action_size=1)


def test_stable_baselines3s_other_policies_are_refused() -> None:
    stable_baselines3 = pytest.importorskip("stable_baselines3")
    with pytest.raises(ConfigError, match="not SACPolicy"):
        from_sb3(stable_baselines3.SAC("MlpPolicy", "Pendulum-v1", seed=0).policy)
    with pytest.raises(ConfigError, match="use_sde=False"):
        from_sb3(stable_baselines3.PPO("MlpPolicy", "Pendulum-v1", use_sde=True).policy)
    discrete = from_sb3(stable_baselines3.PPO("MlpPolicy", "CartPole-v1", seed=0).policy)
    with pytest.raises(ConfigError, match="discrete actions aren't supported"):
        check(discrete, observation_size=4, action_size=1)


FILE = """
import torch
from torch import nn
from torch.distributions import Independent, Normal


class Actor(nn.Module):
    def __init__(self, is_mistaken):
        super().__init__()
        self.mean, self.log_std = nn.Linear(3, 2), nn.Parameter(torch.zeros(2))
        self.is_mistaken = is_mistaken

    def forward(self, observation):
        mean, std = self.mean(observation), self.log_std.exp()
        return Independent(Normal(mean, (std.sqrt() if self.is_mistaken else std).expand_as(mean)), 1)


right, mistaken = Actor(False), Actor(True)
"""


def test_the_command_names_what_sets_two_files_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "actors.py"
    path.write_text(FILE)
    sizes = ["--observation-size", "3", "--action-size", "2"]
    for other, code, words in (("right", 0, "the same bits"), ("mistaken", 1, "- std used as a variance")):
        with pytest.raises(SystemExit) as ended:
            main(["compare-policies", f"{path}:right", f"{path}:{other}", *sizes])
        assert ended.value.code == code
        assert capsys.readouterr().out.splitlines()[0] == words
    with pytest.raises(SystemExit) as ended:
        main(["compare-policies", f"{path}:right", f"{path}:right", *sizes, "--rename", "mean=mean"])
    assert ended.value.code == 0
    for more, words in (("mean", "isn't of the form --rename NEW=OLD"), ("no=mean", "begins with no")):
        with pytest.raises(SystemExit) as ended:
            main(["compare-policies", f"{path}:right", f"{path}:right", *sizes, "--rename", more])
        assert ended.value.code == 2
        assert words in capsys.readouterr().err
    mistakes = {
        f"{path}:nothing": "must be a study.policies.Policy or a torch module, and is nothing",
        f"{path}:torch": "and is a module",
        "nowhere.py:right": "nowhere.py:right must be FILE.py:NAME of a file that is there",
    }
    for given, words in mistakes.items():
        with pytest.raises(SystemExit) as ended:
            main(["compare-policies", given, f"{path}:right", *sizes])
        assert ended.value.code == 2
        assert words in capsys.readouterr().err
