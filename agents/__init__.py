"""The learner: a minimal PPO agent, written for many runs at once. It knows torch and gymnasium, and nothing of files.

Read in this order; each file is short:

- `hyperparameters`: CleanRL's names and defaults, in one dataclass.
- `policies`: the subject of the study, four Gaussians built from `(mean, theta)`.
- `networks`: the actor and the critic of every run, stacked along a leading axis, in NumPy.
- `environments`: every environment of every run, in double precision. Behind it, `pendulum` and `vector` step many as
  one, and `envstate` puts one aside.
- `normalisation`: each run's running statistics of what it saw and earned.
- `rollout`: what a policy met, and its advantages.
- `ppo`: the loss and the update. It, and the environments, cut with `clipping`.
- `cohort`: the training loop. It yields `records`, and wants one of `threads`; its rollouts come from `experience`.
- `audit`: what lost its precision on the way.
"""
