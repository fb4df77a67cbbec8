"""The state of a run, layer by layer: taken from one cohort, and given to another, with the same bits from there on."""

from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray

from agents.cohort.actors import Actors
from agents.cohort.adam import Optimizer
from agents.cohort.networks import ActorCritic
from agents.cohort.normalisation import Normaliser, RunningMeanVar
from agents.environments import Array, Counts
from agents.environments.snapshots import State
from agents.randomness import Streams

Numbers = NDArray[Any]


class LearnerState(TypedDict):
    """What a run has learned, and the state of its optimizer and of its generators for shuffling and jitter."""

    weights: Numbers
    raw_scales: Numbers
    optimizer: dict[int, dict[str, Numbers]]
    shuffling: State
    jitter: State


class StatisticsState(TypedDict):
    """Running statistics of one run."""

    mean: Array
    var: Array
    count: float


class NormaliserState(TypedDict):
    """The statistics by which a run's observations and rewards are normalised."""

    observations: StatisticsState
    returns: StatisticsState
    discounted_returns: Array


class ActorState(TypedDict):
    """The state of a run's environments, and what its policy sees next."""

    noise: State
    environments: State
    normaliser: NormaliserState
    observations: Array
    unfinished: Counts


class RunState(TypedDict):
    """All that a run's future depends on."""

    update: int
    learner: LearnerState
    behaviour: LearnerState | None
    """the state of its behaviour run, where that is another run"""
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
    """Give all runs the states of others, which have made equally many steps."""
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
        "unfinished": actors.unfinished[run].copy(),
    }


def restore_actor(actors: Actors, run: int, state: ActorState) -> None:
    """Give one run's environments and statistics the state of another's."""
    actors.noise[run].bit_generator.state = state["noise"]
    actors.environments.restore(run, state["environments"])
    _restore_normaliser(actors.normaliser, run, state["normaliser"])
    actors.observations[run] = state["observations"]
    actors.unfinished[run] = state["unfinished"]


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
    # All runs of a cohort have the same count.
    statistics.mean[run], statistics.var[run], statistics.count = state["mean"], state["var"], state["count"]


def _stacked(arrays: Sequence[Numbers]) -> torch.Tensor:
    # An array without dimensions is Adam's count of steps, which is the same for all runs.
    return torch.from_numpy(np.stack(arrays) if arrays[0].ndim else arrays[0].copy())
