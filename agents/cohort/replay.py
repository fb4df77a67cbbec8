"""Shared rollouts: replay runs learn from the rollouts of behaviour runs, and don't act themselves.

Two replay runs with the same behaviour run differ by their own computation alone. Two runs that act for themselves may
differ by more, which is due to their environments.
"""

import dataclasses
from collections.abc import Sequence

from agents.conditions import CONDITIONS, name_of
from agents.records import Run


@dataclasses.dataclass(frozen=True)
class Roles:
    """Which runs learn, and from whose rollouts.

    Attributes:
        learners: All runs that are trained; those that act come first.
        actor_of: For each learner, the index of the learner that acts for it: itself, or its behaviour run.
        learner_of: For each run that was asked for, its index among the learners.
    """

    learners: list[Run]
    actor_of: list[int]
    learner_of: list[int]

    @property
    def actors(self) -> int:
        """Return the number of learners that act."""
        return max(self.actor_of) + 1


def own_rollouts(runs: Sequence[Run]) -> Roles:
    """Return the roles of runs that all act for themselves."""
    indices = list(range(len(runs)))
    return Roles(list(runs), actor_of=indices, learner_of=indices)


def shared_rollouts(runs: Sequence[Run]) -> Roles:
    """Return the roles of runs that learn from their behaviour runs. These are trained as without replay runs."""
    behaviour_runs = list(dict.fromkeys(map(behaviour_run, runs)))
    learners = [*behaviour_runs, *(run for run in dict.fromkeys(runs) if run not in behaviour_runs)]
    return Roles(
        learners,
        actor_of=[behaviour_runs.index(behaviour_run(run)) for run in learners],
        learner_of=[learners.index(run) for run in runs],
    )


def behaviour_run(run: Run) -> Run:
    """Return the run that acts for another: of its seed and parameterization, with `Normal`, not perturbed."""
    return Run(condition=name_of(CONDITIONS[run.condition].parameterization, "normal"), seed=run.seed)
