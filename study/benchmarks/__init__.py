"""How fast training is, as ratios measured side by side.

- `speed`: bare environments, one run, cohorts, and other libraries.
- `jax_ppo`: the same agent in JAX, many seeds under `vmap`.
"""
