"""The learner: a minimal PPO agent. It knows torch and gymnasium, and nothing of W&B, sweeps or files.

Read in this order; each file is short:

- `conditions`: the four conditions of the study, and the two factors in which they differ.
- `policies`: the subject, four Gaussians built from `(mean, scale)`.
- `ppo`: the agent, whole. One run, plain torch.
- `hyperparameters`: CleanRL's names and defaults, in one dataclass.
- `randomness`, `records`: where a run's random numbers come from, and what it says of itself.
- `fingerprints`: what it says of its parameters.
- `environments`: Gymnasium's, in double precision, many as one, each of which can be put aside.
- `cohort`: the engine, the same agent for many runs at once, with the same bits in any company.
- `reference`: `ppo` behind the engine's interface; `saved`: policies in files.
- `audit`: what lost its precision on the way.

A run's trained policy is kept: `from agents import load_policy; load_policy("runs/RUN_ID/policy.pt").act(observation)`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agents.saved import load_policy

__all__ = ["load_policy"]


def __getattr__(name: str) -> Any:
    """Import what needs torch when it is asked for: `agents.conditions` is for programs without it."""
    if name == "load_policy":
        from agents.saved import load_policy

        return load_policy
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
