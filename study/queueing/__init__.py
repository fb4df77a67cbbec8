"""What there is to do, in an Optuna storage that any number of machines share, and who does it.

- `storages`: where a queue is kept.
- `queue`: work, as the trials of an Optuna study.
- `plans`: what trials are for.
- `cohorts`: cells, cut to size.
- `workers`, `team`: trials, trained in this machine's processes.
- `cost`: what the queue itself costs.
"""
