"""What the future of a run depends on, layer by layer: taken from one cohort, and given to another, bit for bit."""

from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray

from agents.cohort.actors import Actors
from agents.cohort.adam import Optimizer
from agents.cohort.networks import ActorCritic
from agents.cohort.normalisation import Normaliser, RunningMeanVar
from agents.environments import Array
from agents.environments.snapshots import State
from agents.randomness import Streams

Numbers = NDArray[Any]


class LearnerState(TypedDict):
    """What is learned, and how it will go on."""

    weights: Numbers
    raw_scales: Numbers
    optimizer: dict[int, dict[str, Numbers]]
    shuffling: State
    jitter: State


class StatisticsState(TypedDict):
    """Running statistics."""

    mean: Array
    var: Array
    count: float


class NormaliserState(TypedDict):
    """How observations and rewards are normalised."""

    observations: StatisticsState
    returns: StatisticsState
    discounted_returns: Array


class ActorState(TypedDict):
    """Where a run's environments are, and what its policy sees next."""

    noise: State
    environments: State
    normaliser: NormaliserState
    observations: Array


class RunState(TypedDict):
    """All of it."""

    update: int
    learner: LearnerState
    leader: LearnerState | None
    """where another run acts"""
    actor: ActorState
    episodic_returns: list[Array]


def capture_learner(agent: ActorCritic, optimizer: Optimizer, random: Streams, run: int) -> LearnerState:
    """Return what one run's further learning depends on."""
    return {
        "weights": agent.weights[run].numpy().copy(),
        "raw_scales": agent.raw_scales[run].numpy().copy(),
        "optimizer": {
            parameter: {name: (kept[run] if kept.dim() else kept).numpy().copy() for name, kept in by_name.items()}
            for parameter, by_name in optimizer.state_dict()["state"].items()
        },
        "shuffling": dict(random.shuffling.bit_generator.state),
        "jitter": dict(random.jitter.bit_generator.state),
    }


def restore_learners(
    agent: ActorCritic,
    optimizer: Optimizer,
    random: Sequence[Streams],
    states: Sequence[LearnerState],
) -> None:
    """Go on from where other runs were, after equally many steps."""
    agent.weights.copy_(_stacked([state["weights"] for state in states]))
    agent.raw_scales.copy_(_stacked([state["raw_scales"] for state in states]))
    kept = {
        parameter: {name: _stacked([state["optimizer"][parameter][name] for state in states]) for name in by_name}
        for parameter, by_name in states[0]["optimizer"].items()
    }
    optimizer.load_state_dict({**optimizer.state_dict(), "state": kept})
    for own, state in zip(random, states, strict=True):
        own.shuffling.bit_generator.state = state["shuffling"]
        own.jitter.bit_generator.state = state["jitter"]


def capture_actor(actors: Actors, run: int) -> ActorState | None:
    """Return what one run's further experience depends on; None if its environments can't be captured."""
    captured = actors.environments.state(run)
    if captured is None:
        return None
    normaliser = actors.normaliser
    return {
        "noise": dict(actors.noise[run].bit_generator.state),
        "environments": captured,
        "normaliser": {
            "observations": _capture_statistics(normaliser.seen, run),
            "returns": _capture_statistics(normaliser.earned, run),
            "discounted_returns": normaliser.discounted_returns[run].copy(),
        },
        "observations": actors.observations[run].copy(),
    }


def restore_actor(actors: Actors, run: int, state: ActorState) -> None:
    """Go on from where another run was."""
    actors.noise[run].bit_generator.state = state["noise"]
    actors.environments.restore(run, state["environments"])
    _restore_normaliser(actors.normaliser, run, state["normaliser"])
    actors.observations[run] = state["observations"]


def _restore_normaliser(normaliser: Normaliser, run: int, state: NormaliserState) -> None:
    _restore_statistics(normaliser.seen, run, state["observations"])
    _restore_statistics(normaliser.earned, run, state["returns"])
    normaliser.discounted_returns[run] = state["discounted_returns"]


def _capture_statistics(statistics: RunningMeanVar, run: int) -> StatisticsState:
    return {
        "mean": np.array(statistics.mean[run]),
        "var": np.array(statistics.var[run]),
        "count": statistics.count,
    }


def _restore_statistics(statistics: RunningMeanVar, run: int, state: StatisticsState) -> None:
    # The count is the same for all runs.
    statistics.mean[run], statistics.var[run], statistics.count = state["mean"], state["var"], state["count"]


def _stacked(arrays: Sequence[Numbers]) -> torch.Tensor:
    # What has no dimensions, Adam's count of steps, is the same for all runs.
    return torch.from_numpy(np.stack(arrays) if arrays[0].ndim else arrays[0].copy())
