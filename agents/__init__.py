"""The learner: a minimal PPO agent. It knows torch and gymnasium, and nothing of W&B, sweeps or files.

Read in this order; each file is short:

- `conditions`: the four conditions of the study, and the two factors in which they differ.
- `policies`: the subject, four Gaussians built from `(mean, scale)`.
- `ppo`: the agent, whole. One run, plain torch.
- `hyperparameters`: CleanRL's names and defaults, in one dataclass.
- `randomness`, `records`: where a run's random numbers come from, and what is recorded of it.
- `fingerprints`: what is recorded of its parameters.
- `environments`: Gymnasium's, in double precision, many as one. The state of each can be checkpointed.
- `cohort`: the engine, the same agent for many runs at once. It is batch-invariant: no run changes another's bits.
- `reference`: `ppo` behind the engine's interface; `saved`: policies in files.
- `audit`: arrays that lost their precision on the way.

A trained policy is loaded by `from agents import load_policy; load_policy("runs/RUN_ID/policy.pt").act(observation)`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agents.saved import load_policy

__all__ = ["load_policy"]


def __getattr__(name: str) -> Any:
    """Import `load_policy` at its first use: it needs torch, and `agents.conditions` is for programs without it."""
    if name == "load_policy":
        from agents.saved import load_policy

        return load_policy
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
