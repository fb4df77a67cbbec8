"""The experiment: which cells there are, training them, keeping what they say, and the command line.

- `cells`: a run's complete description, and its id.
- `sweepfile`: W&B sweep files, read as cells.
- `ledger`: what a run leaves on disk.
- `tracking`: what a run tells Weights & Biases.
- `assignment`, `agent`, `elsewhere`: what `wandb agent` asks for, how it is carried out, and what others have trained.
- `training`: a cohort of cells, trained into ledger and tracking.
- `workers`: many cohorts, in processes, with progress.
- `estimate`: how long cells take here.
- `probe`: the thread's numbers, without any training.
- `bench`: how fast it all is.
- `commands`, `cli`: the command line.
"""
