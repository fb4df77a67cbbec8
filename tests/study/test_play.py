"""Trained policies, kept and played."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from agents import load_policy
from agents.records import EVALUATION_SEED
from study.config.run_config import RunConfig
from study.store.run_store import RunStore
from study.training import cohort as training
from tests.helpers.command_line import run

MakeConfig = Callable[..., RunConfig]


def trained(runs: Path, config: RunConfig) -> tuple[Path, dict[str, Any]]:
    training.train([config], runs, "disabled")
    return RunStore(runs).path(config) / "policy.pt", RunStore(runs).summary(config) or {}


@pytest.mark.parametrize("engine", ["cohort", "reference"])
@pytest.mark.parametrize(
    "changes", [{}, {"state_dependent_scale": True, "scale_transform": "softplus"}, {"norm_obs": False}]
)
def test_a_kept_policy_earns_what_its_run_did(
    tmp_path: Path, small: MakeConfig, capsys: pytest.CaptureFixture[str], engine: str, changes: dict[str, Any]
) -> None:
    config = small(precision="float64", engine=engine, eval_episodes=2, **changes)
    path, outcome = trained(tmp_path, config)
    code, out, _ = run("play", config.id[:6], "--runs-dir", str(tmp_path), "--episodes", "2", capsys=capsys)
    assert code == 0
    assert out.splitlines()[-1] == f"{path.parent}: mean return {outcome['eval_return']:.6g} of 2 episodes"


def test_a_kept_policy_acts_in_any_environment_of_its_kind(tmp_path: Path, small: MakeConfig) -> None:
    path, outcome = trained(tmp_path, small(precision="float64", eval_episodes=1))
    policy = load_policy(path)
    env = gym.make("Pendulum-v1")
    observation, _ = env.reset(seed=EVALUATION_SEED)
    total, is_over = 0.0, False
    while not is_over:
        observation, reward, terminated, truncated, _ = env.step(policy.act(observation))
        total, is_over = total + float(reward), terminated or truncated
    assert total == pytest.approx(outcome["eval_return"], rel=1e-3)  # Gymnasium rounds Pendulum's observations
    distribution = policy.distribution(np.zeros((5, 3)))
    assert distribution.mean.shape == (5, 1)
    assert distribution.stddev[0].item() == pytest.approx(outcome["final_std"])


def test_a_policy_file_is_numbers_and_text(tmp_path: Path, small: MakeConfig) -> None:
    path, _ = trained(tmp_path, small(condition="mvn_std"))
    kept = torch.load(path, weights_only=True)
    assert kept["config"]["condition"] == "mvn_std"
    assert sorted(kept["networks"]) == sorted(load_policy(path).agent.state_dict())


@pytest.mark.parametrize("content", [b"", b"not one", None])
def test_what_is_no_policy_is_one_line(
    tmp_path: Path, small: MakeConfig, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    config = small()
    path, _ = trained(tmp_path, config)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    code, out, err = run("play", config.id, "--runs-dir", str(tmp_path), capsys=capsys)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert str(path) in err


def test_a_run_that_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run("play", "0123", "--runs-dir", str(tmp_path), capsys=capsys)
    assert (code, err) == (2, f"study: {tmp_path} has no run 0123: give the name of one of its folders\n")


@pytest.mark.slow
def test_a_video_is_recorded_or_says_what_it_needs(
    tmp_path: Path, small: MakeConfig, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    config = small()
    trained(tmp_path, config)
    folder = tmp_path / "videos"
    arguments = ["play", config.id, "--runs-dir", str(tmp_path), "--episodes", "1", "--video", str(folder)]
    code, out, err = run(*arguments, capsys=capsys)
    if not (find_spec("moviepy") and find_spec("pygame")):
        assert (code, err.count("\n")) == (2, 1)
        assert 'pip install "rl-roundoff[video]"' in err
        return
    assert code == 0
    video = Path(out.splitlines()[-1])
    assert video.parent == folder
    assert video.read_bytes()[4:8] == b"ftyp"
