"""The engine: the agent of `agents.ppo` for many runs at once, batch-invariant: no run changes another's bits.

Read in this order:

- `numerics`: the arithmetic that batch invariance needs.
- `networks`: the actor and the critic of every run, stacked along a leading axis, in NumPy.
- `policies`: the torch distributions of runs that mix the conditions.
- `normalisation`, `actors`: each run's running statistics, and how its policy acts.
- `rollout`: the transitions, and their advantages; `replay` lets replay runs learn from behaviour runs' rollouts.
- `losses`, `adam`, `update`: the loss, its derivatives, and the gradient steps.
- `training`: the loop, `Cohort`; `state` takes a run out of one cohort and into another.
"""

from agents.cohort.numerics import use_one_thread
from agents.cohort.training import Cohort

__all__ = ["Cohort", "use_one_thread"]
