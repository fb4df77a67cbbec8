"""Two policies, or one: right ones aren't accused, mistakes are found and named."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

from study.cli import main
from study.policies import Policy, assert_policy, assert_same_policy, check, compare, from_module, from_sb3
from tests.policy_zoo import (
    ANOTHER_DISTRIBUTION,
    MISTAKES,
    OBSERVATIONS,
    ONLY_WIDE,
    RIGHT,
    Made,
    policy,
    squashed,
    usual,
)


def make(which: object, right: object, action_size: int) -> Policy:
    """Return a policy of the zoo, bounded where the right one has a tanh."""
    return dataclasses.replace(policy(which, action_size), bounded=right is squashed)  # type: ignore[arg-type]


@pytest.mark.parametrize("action_size", [1, 3])
@pytest.mark.parametrize("name", RIGHT)
def test_right_policies_are_not_accused(name: str, action_size: int) -> None:
    one, other = RIGHT[name]
    assert_same_policy(
        make(one, one, action_size),
        make(other, one, action_size),
        observation_size=OBSERVATIONS,
        action_size=action_size,
    )
    assert_policy(make(other, one, action_size), observation_size=OBSERVATIONS, action_size=action_size)


@pytest.mark.parametrize("action_size", [1, 3])
@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_found_and_named(name: str, action_size: int) -> None:
    expected, right, mistaken = MISTAKES[name]
    if action_size == 1 and name in ONLY_WIDE:
        pytest.skip("of one number there is no sum")
    one, other = make(right, right, action_size), make(mistaken, right, action_size)
    compared = compare(one, other, observation_size=OBSERVATIONS, action_size=action_size)
    assert [finding.name for finding in compared.findings] == [expected]
    assert not compared.are_same
    with pytest.raises(AssertionError, match="the policies aren't the same"):
        assert_same_policy(one, other, observation_size=OBSERVATIONS, action_size=action_size)


@pytest.mark.parametrize("name", MISTAKES)
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
    (finding,) = compare(policy(usual, 2), policy(usual, 3), observation_size=OBSERVATIONS, action_size=2).findings
    assert finding.name == "other parameters"


def test_a_std_that_can_be_negative_is_no_distribution() -> None:
    mistaken = policy(lambda p, o: Independent(Normal(o @ p["weight"].T, p["scale"].expand(len(o), -1)), 1), 2)
    (finding,) = compare(policy(usual, 2), mistaken, observation_size=OBSERVATIONS, action_size=2).findings
    assert finding.name == "no distribution at moved parameters"


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
