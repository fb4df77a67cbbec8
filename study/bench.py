"""How fast training is, as ratios measured side by side: bare environments, one run, cohorts, and Stable-Baselines3.

Every measurement is made in a fresh process with one thread, so that its peak memory is its own, and the measurements
take turns, so that a noisy machine disturbs all of them alike.
"""

import dataclasses
import functools
import importlib.util
import multiprocessing
import resource
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from agents.hyperparameters import Hyperparameters

CLEANRL = Hyperparameters(num_envs=1, num_steps=2048, num_minibatches=32, update_epochs=10)
"""CleanRL's and Stable-Baselines3's defaults for MuJoCo."""

SETTINGS = {
    "Pendulum-v1": Hyperparameters(
        num_envs=4, num_steps=256, num_minibatches=16, update_epochs=10, learning_rate=1e-3, gamma=0.9
    ),
    "Hopper-v5": dataclasses.replace(CLEANRL, env_id="Hopper-v5"),
    "HalfCheetah-v5": dataclasses.replace(CLEANRL, env_id="HalfCheetah-v5"),
}
"""What is trained, in float32."""

COHORTS = (1, 8, 32, 128)
"""Numbers of runs trained together."""

SECONDS = 3.0
"""How long a measurement goes on, at least; one update at least."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measurement:
    """One contestant in one environment."""

    env_id: str
    contestant: str
    steps_per_second: float
    """environment steps of all runs together; the median over the rounds"""
    environment: float | None
    """share of the time that was spent in environments and normalisation"""
    policy: float | None
    """share spent acting"""
    update: float | None
    """share spent learning"""
    peak_memory_mb: float


def measure(env_ids: Sequence[str], rounds: int, console: Console) -> list[Measurement]:
    """Measure every contestant in every environment, `rounds` times in turns."""
    contestants: dict[str, Callable[[Hyperparameters], Measurement]] = {
        "environment alone": _bare_environment,
        **{_cohort_name(runs): functools.partial(_cohort, runs) for runs in COHORTS},
    }
    if importlib.util.find_spec("stable_baselines3"):
        contestants["Stable-Baselines3"] = _stable_baselines3
    else:
        console.print("Stable-Baselines3 isn't installed, so isn't measured: `pip install stable-baselines3`")
    measured: dict[tuple[str, str], list[Measurement]] = defaultdict(list)
    with Progress(console=console) as progress:
        task = progress.add_task("measuring", total=rounds * len(env_ids) * len(contestants))
        for _ in range(rounds):
            for env_id in env_ids:
                for name, contestant in contestants.items():
                    measured[env_id, name].append(_in_fresh_process(contestant, SETTINGS[env_id]))
                    progress.advance(task)
    return [_median(repeated) for repeated in measured.values()]


def table(measurements: Sequence[Measurement]) -> Table:
    """A table to read, with what each contestant reaches of the bare environment and of Stable-Baselines3."""
    drawn = Table("environment", "one thread", "steps/s", "of env alone", "of SB3", "env", "policy", "update", "MB")
    speed = {(one.env_id, one.contestant): one.steps_per_second for one in measurements}
    for one in measurements:
        peer = speed.get((one.env_id, "Stable-Baselines3"))
        shares = ("-" if share is None else f"{share:.0%}" for share in (one.environment, one.policy, one.update))
        drawn.add_row(
            one.env_id,
            one.contestant,
            f"{one.steps_per_second:,.0f}",
            f"{one.steps_per_second / speed[one.env_id, 'environment alone']:.0%}",
            f"{one.steps_per_second / peer:.1f}x" if peer else "-",
            *shares,
            f"{one.peak_memory_mb:,.0f}",
        )
    return drawn


def _cohort_name(runs: int) -> str:
    return "one run" if runs == 1 else f"cohort of {runs}"


def _in_fresh_process(
    contestant: Callable[[Hyperparameters], Measurement], hyperparameters: Hyperparameters
) -> Measurement:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(contestant, hyperparameters).result()


def _median(repeated: Sequence[Measurement]) -> Measurement:
    """The measurement of median speed, to which its shares belong."""
    speed = statistics.median_low([one.steps_per_second for one in repeated])
    return next(one for one in repeated if one.steps_per_second == speed)


def _bare_environment(hyperparameters: Hyperparameters) -> Measurement:
    """`gym.make(...).step`, with random actions."""
    import gymnasium as gym

    env = gym.make(hyperparameters.env_id)
    env.reset(seed=0)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(1000)]

    def some_steps() -> None:
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()

    speed, _ = _timed(some_steps, len(actions))
    return _measurement(hyperparameters, "environment alone", speed)


def _cohort(runs: int, hyperparameters: Hyperparameters) -> Measurement:
    import torch

    from agents import cohort as training
    from agents.records import Run

    torch.set_num_threads(1)
    endless = dataclasses.replace(hyperparameters, total_timesteps=10**9)
    cohort = training.Cohort([Run(condition="normal_std", seed=seed) for seed in range(runs)], endless, "float32")
    updates = cohort.train()
    next(updates)
    collecting = _Stopwatch(training, "collect")
    surroundings = [_Stopwatch(cohort._environments, "step"), _Stopwatch(cohort._normaliser, "step")]
    speed, seconds = _timed(lambda: next(updates), runs * hyperparameters.batch_size)
    collect = collecting.seconds / seconds
    environment = sum(watch.seconds for watch in surroundings) / seconds
    return dataclasses.replace(
        _measurement(hyperparameters, _cohort_name(runs), speed),
        environment=environment,
        policy=collect - environment,
        update=1 - collect,
    )


def _stable_baselines3(hyperparameters: Hyperparameters) -> Measurement:
    """Its PPO with the same hyperparameters and normalisation."""
    import gymnasium as gym
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

    torch.set_num_threads(1)
    env = DummyVecEnv([lambda: gym.make(hyperparameters.env_id)] * hyperparameters.num_envs)
    learner = PPO(
        "MlpPolicy",
        VecNormalize(env, gamma=hyperparameters.gamma),
        learning_rate=hyperparameters.learning_rate,
        n_steps=hyperparameters.num_steps,
        batch_size=hyperparameters.minibatch_size,
        n_epochs=hyperparameters.update_epochs,
        gamma=hyperparameters.gamma,
        clip_range_vf=hyperparameters.clip_coef,
        device="cpu",
    )
    learner.learn(hyperparameters.batch_size)
    speed, _ = _timed(
        lambda: learner.learn(hyperparameters.batch_size, reset_num_timesteps=False), hyperparameters.batch_size
    )
    return _measurement(hyperparameters, "Stable-Baselines3", speed)


def _timed(work: Callable[[], Any], steps: int) -> tuple[float, float]:
    """Do it for `SECONDS`. **Returns**: environment steps a second, and the seconds that it took."""
    start, done = time.perf_counter(), 0
    while (seconds := time.perf_counter() - start) < SECONDS:
        work()
        done += steps
    return done / seconds, seconds


def _measurement(hyperparameters: Hyperparameters, contestant: str, steps_per_second: float) -> Measurement:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Measurement(
        env_id=hyperparameters.env_id,
        contestant=contestant,
        steps_per_second=steps_per_second,
        environment=None,
        policy=None,
        update=None,
        peak_memory_mb=peak / 1e6,
    )


class _Stopwatch:
    """Adds up the time that a function takes. **Arguments**: where it is found, and its name there."""

    def __init__(self, owner: Any, name: str) -> None:
        self.seconds = 0.0
        self._function = getattr(owner, name)
        setattr(owner, name, self)

    def __call__(self, *arguments: Any) -> Any:
        start = time.perf_counter()
        result = self._function(*arguments)
        self.seconds += time.perf_counter() - start
        return result
