"""The learner: a minimal PPO agent. It knows torch and gymnasium, and nothing of W&B, sweeps or files.

Read in this order; each file is short:

- `conditions`: the four conditions of the study, and the two factors in which they differ.
- `policies`: the subject, four Gaussians built from `(mean, scale)`.
- `ppo`: the agent, whole. One run, plain torch.
- `hyperparameters`: CleanRL's names and defaults, in one dataclass.
- `randomness`, `records`: where a run's random numbers come from, and what it says of itself.
- `environments`: Gymnasium's, in double precision, many as one, each of which can be put aside.
- `cohort`: the engine, the same agent for many runs at once, with the same bits in any company.
- `audit`: what lost its precision on the way.
"""
