"""The zoo's changes do what their entries say, by the gradients and weights of every optimizer step."""

import contextlib
import io
import multiprocessing
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from tests.helpers.zoo.changes import CHANGES, Quantity
from tests.helpers.zoo.trainers import ENVIRONMENTS, make_setup, train

STEPS = {"ppo": 20, "sb3-ppo": 20, "sb3-sac": 20, "sb3-dqn": 52}
"""By trainer, as many optimizer steps as its latest bug needs to act."""

ROUND_OFF = 1e-5
"""A relative gap: a hundred roundings of float32. Harmless changes are at 3e-7 at most, and bugs at 1e-4 at least."""


class Step(NamedTuple):
    """What one optimizer step starts from and leaves, each sorted: a refactor may order parameters otherwise."""

    weights: NDArray[np.float64]
    gradient: NDArray[np.float64]
    update: NDArray[np.float64]


class EnoughSteps(Exception):  # noqa: N818
    """Ends a training."""


def sort(tensors: list[torch.Tensor]) -> NDArray[np.float64]:
    return np.sort(torch.cat([tensor.detach().flatten() for tensor in tensors]).double().numpy())


def follow(trainer: str, change: str | None, folder: Path) -> list[Step]:
    """Return the first optimizer steps of a training, on its second environment. The process ends with it."""
    torch.set_num_threads(1)
    os.chdir(folder)
    started: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    ended: list[NDArray[np.float64]] = []

    def parameters(optimizer: torch.optim.Optimizer) -> list[torch.nn.Parameter]:
        return [parameter for group in optimizer.param_groups for parameter in group["params"]]

    def before(optimizer: torch.optim.Optimizer, *_: object) -> None:
        own = parameters(optimizer)
        started.append((sort([*own]), sort([weights.grad for weights in own if weights.grad is not None])))

    def after(optimizer: torch.optim.Optimizer, *_: object) -> None:
        ended.append(sort([*parameters(optimizer)]))
        if len(ended) == STEPS[trainer]:
            raise EnoughSteps

    register_optimizer_step_pre_hook(before)
    register_optimizer_step_post_hook(after)
    setup = make_setup(trainer, ENVIRONMENTS[trainer][1], seed=0)
    if change is not None:
        CHANGES[change].plant(trainer, setup)
    with contextlib.suppress(EnoughSteps), contextlib.redirect_stdout(io.StringIO()):
        train(trainer, setup)
    return [Step(*start, end) for start, end in zip(started, ended, strict=True)]


def find_gap(steps: list[Step], unchanged: list[Step]) -> tuple[int, Quantity] | None:
    """Return the first optimizer step, counted from 1, that is apart by more than round-off, and in what."""
    quantities: tuple[Quantity, ...] = ("weights", "gradient", "update")
    for number, (step, expected) in enumerate(zip(steps, unchanged, strict=True), start=1):
        for quantity, value, reference in zip(quantities, step, expected, strict=True):
            if np.linalg.norm(value - reference) > ROUND_OFF * np.linalg.norm(reference):
                return number, quantity
    return None


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessPoolExecutor]:
    """Return a pool that trains in processes of their own: a change is never taken back."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "stable_baselines3", "gymnasium.envs.mujoco"])
    with ProcessPoolExecutor(2, mp_context=context, max_tasks_per_child=1) as pool:
        yield pool


@pytest.mark.slow
@pytest.mark.parametrize("trainer", ENVIRONMENTS)
def test_a_change_acts_when_and_where_its_entry_says(
    trainer: str, processes: ProcessPoolExecutor, tmp_path: Path
) -> None:
    planted = {name: change for name, change in CHANGES.items() if trainer in change.trainers}
    if shutil.which("g++") is None:
        planted.pop("compiled", None)
    trainings = {name: processes.submit(follow, trainer, name, tmp_path) for name in planted}
    unchanged = processes.submit(follow, trainer, None, tmp_path).result()
    gaps = {name: find_gap(training.result(), unchanged) for name, training in trainings.items()}
    for name, change in planted.items():
        if change.is_bug:
            step, quantity = gaps[name] or (0, "none")
            assert (step in change.first_steps(trainer), quantity) == (True, change.acts_on), (name, gaps[name])
        else:
            assert gaps[name] is None, (name, gaps[name])
