"""Environments and their normalisation against Gymnasium's own."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.classic_control.pendulum import PendulumEnv
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import NormalizeReward
from hypothesis import given
from hypothesis import strategies as st

from agents.cohort.normalisation import Normaliser, RunningMeanVar
from agents.environments import CohortEnvironments, make, make_vector, sizes, snapshots
from agents.environments.mujoco_tasks import TASKS, VectorMujoco
from agents.environments.pendulum import VectorPendulum
from agents.errors import UnsuitableEnvironmentError
from agents.hyperparameters import Hyperparameters


def step_both(ours: Any, theirs: list[gym.Env[Any, Any]], actions: Any) -> Iterator[tuple[gym.Env[Any, Any], Any, Any]]:
    """Step ours and theirs, whose rewards, ends and last observations must be equal. Yields what each then shows."""
    observations, rewards, terminated, truncated, infos = ours.step(actions)
    for index, env in enumerate(theirs):
        observation, reward, *ended, _ = env.step(actions[index])
        assert reward == rewards[index]
        assert ended == [terminated[index], truncated[index]]
        if any(ended):
            assert np.array_equal(infos["final_obs"][index].astype(observation.dtype), observation)
            observation, _ = env.reset()
        yield env, observation, observations[index]


def test_vector_pendulum_is_gymnasium_pendulum_bit_for_bit() -> None:
    seeds = [3, 1, 4, 1, 5]
    ours = VectorPendulum(len(seeds))
    theirs = [gym.make("Pendulum-v1") for _ in seeds]
    observations, _ = ours.reset(seed=seeds)
    for env, seed, shown in zip(theirs, seeds, observations, strict=True):
        assert np.array_equal(env.reset(seed=seed)[0], shown.astype(np.float32))
    rng = np.random.default_rng(0)
    for _ in range(450):
        for env, _, shown in step_both(ours, theirs, 2 * rng.normal(size=(len(seeds), 1))):
            physics: Any = env.unwrapped
            angle, velocity = physics.state
            assert np.array_equal(shown, [np.cos(angle), np.sin(angle), velocity])


@pytest.mark.parametrize("env_id", sorted(TASKS))
def test_a_vectorised_mujoco_task_is_gymnasium_bit_for_bit(env_id: str) -> None:
    seeds = [3, 1, 4, 1, 5]
    ours = make_vector(env_id, len(seeds))
    theirs = [make(env_id) for _ in seeds]
    assert isinstance(ours, VectorMujoco)
    first, _ = ours.reset(seed=seeds)
    assert np.array_equal(first, [env.reset(seed=seed)[0] for env, seed in zip(theirs, seeds, strict=True)])
    rng = np.random.default_rng(0)
    ends = 0
    for _ in range(1050):
        for env, observation, shown in step_both(ours, theirs, rng.uniform(-1, 1, (len(seeds), sizes(env_id)[1]))):
            ends += not env.get_wrapper_attr("_elapsed_steps")  # it has just begun anew
            assert np.array_equal(shown, observation)
    assert ends >= len(seeds)


def test_an_environment_does_not_depend_on_the_others() -> None:
    actions = np.random.default_rng(0).normal(size=(230, 3, 2, 1))
    together = CohortEnvironments("Pendulum-v1", [[1, 2], [3, 4], [5, 6]])
    alone = CohortEnvironments("Pendulum-v1", [[3, 4]])
    assert np.array_equal(together.reset()[1:2], alone.reset())
    for action in actions:
        for ours, theirs in zip(together.step(action), alone.step(action[1:2]), strict=True):
            assert np.array_equal(ours[1:2], theirs, equal_nan=True)


@pytest.mark.parametrize("env_id", ["Pendulum-v1", "MountainCarContinuous-v0", *TASKS, "Ant-v5", "Humanoid-v5"])
def test_an_environment_continues_from_another_s_state(env_id: str) -> None:
    one, other = CohortEnvironments(env_id, [[1, 2]]), CohortEnvironments(env_id, [[3, 4], [5, 6]])
    size = sizes(env_id)[1]
    rng = np.random.default_rng(0)
    for cohort, steps in ((one, 130), (other, 45)):
        cohort.reset()
        for _ in range(steps):
            cohort.step(0.4 * rng.normal(size=(cohort.runs, 2, size)))
    state = one.state(0)
    assert state is not None
    other.restore(1, state)
    for _ in range(300):
        actions = 0.4 * rng.normal(size=(2, 2, size))
        for ours, theirs in zip(other.step(actions), one.step(actions[1:]), strict=True):
            assert np.array_equal(ours[1:], theirs, equal_nan=True)


def test_of_an_unknown_environment_no_state_is_assumed() -> None:
    class Stranger(PendulumEnv):
        """Who knows what it keeps."""

    assert snapshots.capture(gym.make("Pendulum-v1", disable_env_checker=True)) is not None
    assert snapshots.capture(Stranger()) is None
    assert snapshots.capture(gym.wrappers.TransformReward(gym.make("Pendulum-v1"), lambda reward: reward)) is None


@pytest.mark.parametrize("env_id", ["Pendulum-v1", "Hopper-v5"])
def test_an_episode_s_end_has_its_last_and_the_next_observation(env_id: str) -> None:
    seeds = [11, 12]
    cohort = CohortEnvironments(env_id, [seeds])
    shown = cohort.reset()
    singles = [make(env_id) for _ in seeds]
    state = [env.reset(seed=seed)[0] for env, seed in zip(singles, seeds, strict=True)]
    totals = np.zeros(2)
    rng = np.random.default_rng(0)
    ends = 0
    for _ in range(420):
        actions = rng.normal(size=(1, 2, singles[0].action_space.shape[0]))  # type: ignore[index]
        step = cohort.step(actions)
        for index, env in enumerate(singles):
            low, high = env.action_space.low, env.action_space.high  # type: ignore[attr-defined]
            last, reward, terminated, truncated, _ = env.step(np.clip(actions[0, index], low, high))
            totals[index] += float(reward)
            np.testing.assert_allclose(step.next_observations[0, index], last, rtol=1e-6, atol=1e-6)
            assert (step.terminated[0, index], step.truncated[0, index]) == (terminated, truncated)
            if terminated or truncated:
                ends += 1
                assert step.episodic_returns[0, index] == pytest.approx(totals[index])
                totals[index] = 0.0
                state[index], _ = env.reset()
                np.testing.assert_allclose(step.observations[0, index], state[index], rtol=1e-6, atol=1e-6)
            else:
                assert np.isnan(step.episodic_returns[0, index])
                assert np.array_equal(step.observations[0, index], step.next_observations[0, index])
    assert ends >= 4
    assert shown.dtype == np.float64


@pytest.mark.parametrize("env_id", ["Pendulum-v1", "Reacher-v5"])
def test_observations_are_more_than_float32(env_id: str) -> None:
    cohort = CohortEnvironments(env_id, [[0, 1]])
    cohort.reset()
    step = cohort.step(np.full((1, 2, sizes(env_id)[1]), 0.1))
    assert (step.observations != step.observations.astype(np.float32)).any()
    assert (step.rewards != step.rewards.astype(np.float32)).any()


@pytest.mark.parametrize(
    ("env_id", "word"),
    [
        ("CartPole-v1", "continuous actions"),
        ("Nowhere-v0", "can't be made"),
        ("Pendulum-v9", "can't be made"),
        ("HalfCheetah-v3", "can't be made: The mujoco v2 and v3"),
        ("", "can't be made"),
        (":", "can't be made"),
        ("a:b:c", "can't be made"),
        ("Pendulum", "is 'Pendulum-v1'"),
        ("gymnasium.envs.classic_control:Pendulum-v1", "is 'Pendulum-v1'"),
    ],
)
def test_an_unsuitable_environment_is_named(env_id: str, word: str) -> None:
    with pytest.raises(UnsuitableEnvironmentError, match=word) as error:
        make(env_id)
    assert "\n" not in str(error.value)


def test_an_environment_that_breaks_when_made_is_one_line() -> None:
    def broken() -> gym.Env[Any, Any]:
        raise OSError("no model\nnor mesh")

    gym.register("Broken-v0", broken, max_episode_steps=10)  # type: ignore[arg-type]
    with pytest.raises(UnsuitableEnvironmentError, match=r"'Broken-v0' can't be made: no model nor mesh$"):
        make("Broken-v0")


def test_an_environment_may_be_of_a_module_that_registers_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "swings.py").write_text(
        "import gymnasium as gym\n"
        "from gymnasium.envs.classic_control.pendulum import PendulumEnv\n"
        "gym.register('Swing-v0', PendulumEnv, max_episode_steps=10)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for _ in range(2):
        assert make("swings:Swing-v0").observation_space.shape == (3,)


def test_an_environment_without_an_end_is_refused() -> None:
    gym.register("Endless-v0", PendulumEnv)  # type: ignore[arg-type]
    with pytest.raises(UnsuitableEnvironmentError, match="'Endless-v0' has no time limit"):
        make("Endless-v0")


def test_an_image_environment_is_refused() -> None:
    class Image(gym.Env[Any, Any]):
        observation_space = gym.spaces.Box(0, 255, (8, 8, 3), np.uint8)
        action_space = gym.spaces.Box(-1, 1, (2,))

    gym.register("Image-v0", Image)  # type: ignore[arg-type]
    with pytest.raises(UnsuitableEnvironmentError, match="vector of numbers"):
        make("Image-v0")


def test_mujoco_neither_litters_nor_shouts(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        cohort = CohortEnvironments("HalfCheetah-v5", [[0]])
        cohort.reset()
        cohort.step(np.full((1, 1, 6), np.nan))
    finally:
        os.chdir(before)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


@given(st.integers(1, 3), st.integers(1, 12), st.integers(1, 3))
def test_running_statistics_are_numpy_own(runs: int, envs: int, size: int) -> None:
    batches = np.random.default_rng(0).normal(3, 2, size=(5, runs, envs, size))
    running = RunningMeanVar((runs, size))
    for batch in batches:
        running.update(batch)
    everything = batches.transpose(1, 0, 2, 3).reshape(runs, -1, size)
    np.testing.assert_allclose(running.mean, everything.mean(1), rtol=1e-3)
    np.testing.assert_allclose(running.var, everything.var(1), rtol=1e-2, atol=1e-2)
    one = RunningMeanVar((1, size))
    for batch in batches:
        one.update(batch[:1])
    assert np.array_equal(one.mean[0], running.mean[0])
    assert np.array_equal(one.var[0], running.var[0])


def test_rewards_are_normalised_as_gymnasium_does() -> None:
    seeds = [1, 2, 3]
    theirs = NormalizeReward(
        SyncVectorEnv([lambda: gym.make("Hopper-v5")] * 3, autoreset_mode=AutoresetMode.SAME_STEP), gamma=0.97
    )
    theirs.accumulated_reward = theirs.accumulated_reward.astype(np.float64)
    theirs.reset(seed=seeds)  # type: ignore[arg-type]
    ours = CohortEnvironments("Hopper-v5", [seeds])
    normaliser = Normaliser(1, 11, Hyperparameters(gamma=0.97, num_envs=3))
    ours.reset()
    rng = np.random.default_rng(0)
    for _ in range(4):
        actions = rng.uniform(-1, 1, size=(50, 3, 3))
        steps = [ours.step(action[None]) for action in actions]
        rewards, terminated, truncated = (
            np.stack([getattr(step, name) for step in steps], axis=1) for name in ("rewards", "terminated", "truncated")
        )
        expected = [np.clip(theirs.step(action)[1], -10, 10) for action in actions]
        np.testing.assert_allclose(normaliser.rewards(rewards, terminated, truncated)[0], expected, rtol=1e-9)


def test_observations_are_normalised_and_the_statistics_can_rest() -> None:
    normaliser = Normaliser(1, 2, Hyperparameters(num_envs=4))
    batch = np.random.default_rng(0).normal([5, -3], [2, 0.5], size=(1, 4, 2))
    normalised = normaliser.observe(batch)
    np.testing.assert_allclose(normalised.mean(1), 0, atol=1e-3)
    np.testing.assert_allclose(normalised.var(1), 1, atol=1e-2)
    assert np.array_equal(normaliser.normalise(batch), normaliser.normalise(batch))
    assert normaliser.normalise(np.full((1, 4, 2), 1e6)).max() == 10.0
