"""Shared rollouts: runs that learn from what others did, and can only be driven apart by what they compute of it.

Whatever else drives apart runs that act for themselves is the environments' doing.
"""

import dataclasses
from collections.abc import Sequence

from agents.conditions import CONDITIONS, name_of
from agents.records import Run


@dataclasses.dataclass(frozen=True)
class Cast:
    """Who learns, and from whom.

    Attributes:
        learners: All runs that are trained; those that act come first.
        actor_of: By learner, the place of the run that acts for it: its own, or that of its leader.
        learner_of: By run that was asked for, its place among the learners.
    """

    learners: list[Run]
    actor_of: list[int]
    learner_of: list[int]

    @property
    def actors(self) -> int:
        """How many act."""
        return max(self.actor_of) + 1


def own_rollouts(runs: Sequence[Run]) -> Cast:
    """Every run acts for itself."""
    places = list(range(len(runs)))
    return Cast(list(runs), actor_of=places, learner_of=places)


def shared_rollouts(runs: Sequence[Run]) -> Cast:
    """Every run learns from what its leader does, who is trained as if nobody followed."""
    leaders = list(dict.fromkeys(map(leader, runs)))
    learners = [*leaders, *(run for run in dict.fromkeys(runs) if run not in leaders)]
    return Cast(
        learners,
        actor_of=[leaders.index(leader(run)) for run in learners],
        learner_of=[learners.index(run) for run in runs],
    )


def leader(run: Run) -> Run:
    """Return the run that acts for another: of its seed, not perturbed, the `Normal` whose scale means the same."""
    return Run(condition=name_of(CONDITIONS[run.condition].parameterization, "normal"), seed=run.seed)
