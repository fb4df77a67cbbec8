"""Which runs there are.

- `run_config`: a run's complete description, and its id.
- `sweepfile`: W&B sweep files, read as runs.
- `spaces`: search spaces, in Optuna's terms.
- `shipped`: the sweep files and search spaces that come with the package, found by name.
"""
