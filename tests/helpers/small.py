"""Values of a run small enough to train in a moment."""

SMALL = {
    "condition": "normal_std",
    "seed": 0,
    "precision": "float64",
    "total_timesteps": 1024,
    "num_envs": 2,
    "num_steps": 256,
    "num_minibatches": 4,
    "update_epochs": 2,
    "hidden_size": 16,
    "eval_episodes": 2,
}
"""Two updates of Pendulum, with episodes that end in each."""
