"""How fast training is, as ratios measured side by side: bare environments, one run, cohorts, and other libraries.

Every measurement is made in a fresh process with one thread, so that its peak memory is its own. The measurements take
turns, so that a noisy machine disturbs all of them alike. Speeds, ratios and shares are of CPU time. Wall time is shown
beside it: where it is much longer, other processes used the processor.
"""

import dataclasses
import functools
import importlib
import importlib.util
import json
import multiprocessing
import os
import resource
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

from agents import environments
from agents.hyperparameters import Hyperparameters
from study.progress import Progress
from study.store.files import write_atomically
from study.training import provenance

CLEANRL = Hyperparameters(num_envs=1, num_steps=2048, num_minibatches=32, update_epochs=10)
"""CleanRL's and Stable-Baselines3's defaults for MuJoCo."""

SETTINGS = {
    "Pendulum-v1": Hyperparameters(
        num_envs=4, num_steps=256, num_minibatches=16, update_epochs=10, learning_rate=1e-3, gamma=0.9
    ),
    "Hopper-v5": dataclasses.replace(CLEANRL, env_id="Hopper-v5"),
    "HalfCheetah-v5": dataclasses.replace(CLEANRL, env_id="HalfCheetah-v5"),
}
"""Hyperparameters by environment. All training is in float32."""

COHORTS = (1, 8, 32, 128)
"""Numbers of runs trained together."""

STEPPED = "envs of 32 runs"
"""The environments of a cohort of 32 runs, stepped with random actions."""

TWO_WORKERS = "2 workers of 32"
"""Two processes at once, with a cohort of 32 each."""

BARE, PHYSICS = "env alone", "mj_step alone"
"""Gymnasium's environment with random actions, and MuJoCo's part of it: what training can't be faster than."""

SB3, JAX = "SB3", "JAX, 32 runs"
"""Peers, measured where they are installed: Stable-Baselines3, and PPO under JAX's `vmap`, on Pendulum-v1 alone."""

Contestant = Callable[[Hyperparameters, float], "Measurement"]
"""Returns its own measurement, with these hyperparameters and for at least this number of seconds."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measurement:
    """The speed of one contestant in one environment."""

    env_id: str
    steps_per_cpu_second: float
    """environment steps of all runs together, in a second of CPU time; the median over the rounds"""
    steps_per_second: float
    """the same, in a second of wall time"""
    peak_memory_mb: float
    contestant: str = ""
    environment: float | None = None
    """share of the CPU time that was spent in environments and normalisation"""
    policy: float | None = None
    """share spent acting"""
    update: float | None = None
    """share spent learning"""


def measure(env_ids: Sequence[str], rounds: int, seconds: float, console: Console) -> list[Measurement]:
    """Measure every contestant in every environment.

    Args:
        env_ids: The environments.
        rounds: Measurements of each contestant, which take turns.
        seconds: The shortest time of a measurement. It has at least one update.
        console: Shows progress.

    Returns:
        Of each contestant in each environment, the measurement of median speed.
    """
    contestants: dict[str, Contestant] = {
        BARE: _bare_environment,
        PHYSICS: _bare_physics,
        STEPPED: functools.partial(_environments, 32),
        **{_cohort_name(runs): functools.partial(_cohort, runs) for runs in COHORTS},
        TWO_WORKERS: functools.partial(_cohort, 32),
    }
    for name, package, peer in (
        (SB3, "stable-baselines3", _stable_baselines3),
        (JAX, "jax", functools.partial(_jax, 32)),
    ):
        if importlib.util.find_spec(package.replace("-", "_")):
            contestants[name] = peer
        else:
            console.print(f"{package} isn't installed, so isn't measured: `pip install {package}`")
    only_in = {JAX: {"Pendulum-v1"}, PHYSICS: set(SETTINGS) - {"Pendulum-v1"}}
    entries = [(env_id, name) for env_id in env_ids for name in contestants if env_id in only_in.get(name, SETTINGS)]
    measured: dict[tuple[str, str], list[Measurement]] = defaultdict(list)
    with Progress(console, "measurements", "measuring", rounds * len(entries)) as progress:
        for _ in range(rounds):
            for env_id, name in entries:
                processes = 2 if name == TWO_WORKERS else 1
                one = _in_fresh_processes(processes, contestants[name], SETTINGS[env_id], seconds)
                measured[env_id, name].append(dataclasses.replace(one, contestant=name))
                progress.advance()
    return [_median(repeated) for repeated in measured.values()]


def tables(measurements: Sequence[Measurement]) -> Iterator[Table]:
    """Yield a table for each environment: contestants' speeds, relative to the bare environment and to the peers."""
    for env_id in dict.fromkeys(one.env_id for one in measurements):
        here = [one for one in measurements if one.env_id == env_id]
        speed = {one.contestant: one.steps_per_cpu_second for one in here}
        alone = [name for name in (BARE, PHYSICS) if name in speed]
        peers = [peer for peer in (SB3, JAX) if peer in speed]
        title = f"{env_id}: steps in a second of CPU time, and its share of wall time"
        drawn = Table(Column("", no_wrap=True), title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        ratios = [f"of {peer.split(',')[0]}" for peer in peers]
        shares = [f"of {name.split()[0]}" for name in alone]
        for name in ("steps/s", "CPU", *shares, *ratios, "env", "policy", "update", "MB"):
            drawn.add_column(name, justify="right")
        for one in here:
            drawn.add_row(
                one.contestant,
                f"{one.steps_per_cpu_second:,.0f}",
                f"{one.steps_per_second / one.steps_per_cpu_second:.0%}",
                *(f"{one.steps_per_cpu_second / speed[name]:.0%}" for name in alone),
                *(f"{one.steps_per_cpu_second / speed[peer]:.3g}x" for peer in peers),
                *("-" if share is None else f"{share:.0%}" for share in (one.environment, one.policy, one.update)),
                f"{one.peak_memory_mb:,.0f}",
            )
        yield drawn


def write(path: Path, measurements: Sequence[Measurement]) -> None:
    """Write the measurements as JSON, with the provenance of this machine."""
    content = {
        "provenance": {**provenance.describe(), "threads": 1},
        "measurements": [dataclasses.asdict(one) for one in measurements],
    }
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())


def _cohort_name(runs: int) -> str:
    return "one run" if runs == 1 else f"cohort of {runs}"


def _in_fresh_processes(
    number: int, contestant: Contestant, hyperparameters: Hyperparameters, seconds: float
) -> Measurement:
    """Return the total of a contestant's measurements in this number of processes at the same time."""
    with ExitStack() as stack:
        context = multiprocessing.get_context("spawn")
        processes = [stack.enter_context(ProcessPoolExecutor(1, mp_context=context)) for _ in range(number)]
        for ready in [process.submit(_get_ready) for process in processes]:
            ready.result()
        running = [process.submit(contestant, hyperparameters, seconds) for process in processes]
        measurements = [process.result() for process in running]
    return dataclasses.replace(
        measurements[0],
        steps_per_cpu_second=sum(one.steps_per_cpu_second for one in measurements),
        steps_per_second=sum(one.steps_per_second for one in measurements),
        peak_memory_mb=sum(one.peak_memory_mb for one in measurements),
    )


def _get_ready() -> None:
    """Import what takes time, so that processes that run at the same time begin together."""
    importlib.import_module("agents.cohort")


def _median(repeated: Sequence[Measurement]) -> Measurement:
    """Return the measurement of median speed, whole: its shares belong to its speed."""
    speed = statistics.median_low([one.steps_per_cpu_second for one in repeated])
    return next(one for one in repeated if one.steps_per_cpu_second == speed)


def _bare_environment(hyperparameters: Hyperparameters, seconds: float) -> Measurement:
    """Measure `gym.make(...).step`, with random actions."""
    env = environments.make(hyperparameters.env_id)
    env.reset(seed=0)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(1000)]

    def some_steps() -> None:
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()

    return _measurement(hyperparameters, timed(some_steps, len(actions), seconds))


def _bare_physics(hyperparameters: Hyperparameters, seconds: float) -> Measurement:
    """Measure MuJoCo's `mj_step`, called once for all substeps of a step, in episodes of random actions.

    Episodes end where the environment's do: to simulate a body that lies on the ground takes longer.
    """
    import mujoco

    env = environments.make(hyperparameters.env_id)
    core: Any = env.unwrapped
    model, data, substeps = core.model, core.data, core.frame_skip
    env.reset(seed=0)
    env.action_space.seed(0)
    starts: dict[int, tuple[Any, Any]] = {0: (data.qpos.copy(), data.qvel.copy())}
    actions = [env.action_space.sample() for _ in range(1000)]
    for index, action in enumerate(actions, start=1):
        _, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            env.reset()
            starts[index] = data.qpos.copy(), data.qvel.copy()

    def some_steps() -> None:
        for index, action in enumerate(actions):
            if index in starts:
                mujoco.mj_resetData(model, data)
                data.qpos[:], data.qvel[:] = starts[index]
            data.ctrl[:] = action
            mujoco.mj_step(model, data, nstep=substeps)

    return _measurement(hyperparameters, timed(some_steps, len(actions), seconds))


def _environments(runs: int, hyperparameters: Hyperparameters, seconds: float) -> Measurement:
    """Measure the environments of this number of runs, stepped as in training, with random actions."""
    number = runs * hyperparameters.num_envs
    seeds = np.arange(number).reshape(runs, -1).tolist()
    stepped = environments.CohortEnvironments(hyperparameters.env_id, seeds)
    stepped.reset()
    space = environments.make(hyperparameters.env_id).action_space
    space.seed(0)
    size = environments.sizes(hyperparameters.env_id)[1]
    actions = np.array([space.sample() for _ in range(20 * number)], np.float64).reshape(20, *np.shape(seeds), size)

    def some_steps() -> None:
        for each in actions:
            stepped.step(each)

    return _measurement(hyperparameters, timed(some_steps, len(actions) * number, seconds))


def _cohort(runs: int, hyperparameters: Hyperparameters, seconds: float) -> Measurement:
    from agents.cohort import Cohort, use_one_thread
    from agents.records import Run

    use_one_thread()
    endless = dataclasses.replace(hyperparameters, total_timesteps=10**9)
    cohort = Cohort([Run(condition="normal_std", seed=seed) for seed in range(runs)], endless, "float32")
    updates = cohort.train()
    next(updates)
    collecting = _Stopwatch(cohort.actors, "collect")
    surroundings = [
        _Stopwatch(owner, name)
        for owner, name in (
            (cohort.actors.environments, "step"),
            (cohort.actors.normaliser, "observe"),
            (cohort.actors.normaliser, "rewards"),
        )
    ]
    timing = timed(lambda: next(updates), runs * hyperparameters.batch_size, seconds)
    collect = collecting.seconds / timing.cpu_seconds
    environment = sum(watch.seconds for watch in surroundings) / timing.cpu_seconds
    return dataclasses.replace(
        _measurement(hyperparameters, timing),
        environment=environment,
        policy=collect - environment,
        update=1 - collect,
    )


def _stable_baselines3(hyperparameters: Hyperparameters, seconds: float) -> Measurement:
    """Measure Stable-Baselines3's PPO with the same hyperparameters and normalisation."""
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

    from agents.cohort import use_one_thread

    use_one_thread()
    env = DummyVecEnv([lambda: environments.make(hyperparameters.env_id)] * hyperparameters.num_envs)
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
    steps = hyperparameters.batch_size
    return _measurement(hyperparameters, timed(lambda: learner.learn(steps, reset_num_timesteps=False), steps, seconds))


def _jax(runs: int, hyperparameters: Hyperparameters, seconds: float) -> Measurement:
    """Measure this number of seeds under `vmap`, compiled, with the same hyperparameters and normalisation."""
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    from study.benchmarks import jax_ppo as bench_jax

    update = bench_jax.updates(hyperparameters, runs)
    return _measurement(hyperparameters, timed(update, runs * hyperparameters.batch_size, seconds))


class Timing(NamedTuple):
    """A number of environment steps, and the CPU time and wall time that they took."""

    steps: int
    cpu_seconds: float
    seconds: float


def timed(work: Callable[[], Any], steps: int, seconds: float) -> Timing:
    """Repeat some work, at least once, until the time is over, and return how long its steps took.

    Args:
        work: What is repeated.
        steps: Environment steps of one repetition.
        seconds: Wall time.
    """
    start, cpu_start, done, taken = time.perf_counter(), time.process_time(), 0, 0.0
    while not done or taken < seconds:
        work()
        done += steps
        taken = time.perf_counter() - start
    return Timing(done, time.process_time() - cpu_start, taken)


def _measurement(hyperparameters: Hyperparameters, timing: Timing) -> Measurement:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Measurement(
        env_id=hyperparameters.env_id,
        steps_per_cpu_second=timing.steps / timing.cpu_seconds,
        steps_per_second=timing.steps / timing.seconds,
        peak_memory_mb=peak / 1e6,
    )


class _Stopwatch:
    """The total CPU time that a function takes.

    Args:
        owner: The object of which the function is an attribute, which is replaced.
        name: The attribute's name.
    """

    def __init__(self, owner: Any, name: str) -> None:
        self.seconds = 0.0
        self._function = getattr(owner, name)
        setattr(owner, name, self)

    def __call__(self, *arguments: Any) -> Any:
        start = time.process_time()
        result = self._function(*arguments)
        self.seconds += time.process_time() - start
        return result
