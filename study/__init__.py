"""The experiment: which cells there are, training them, keeping what they say, and the command line.

- `cells`: a run's complete description, and its id.
- `sweepfile`: W&B sweep files, read as cells.
- `ledger`: what a run leaves on disk.
- `tracking`: what a run tells Weights & Biases.
- `assignment`, `agent`, `elsewhere`: what `wandb agent` asks for, how it is carried out, and what others have trained.
- `training`: a cohort of cells, trained into ledger and tracking.
- `storages`, `queue`: what there is to do, in an Optuna storage that any number of machines share.
- `plans`, `seeds`, `spaces` and `tuning`: what a study's trials are for: a sweep, seeds, or a search.
- `cohorts`, `workers`, `team`: cells cut to size, trained in this machine's processes, with progress.
- `queuecost`: what the queue costs.
- `estimate`: how long cells take here.
- `probe`: the thread's numbers, without any training.
- `bench`: how fast it all is.
- `commands`, `cli`: the command line.
"""
