"""The experiment: which cells there are, training them, keeping what they say, and the command line.

- `cells`: a run's complete description, and its id.
- `sweepfile`: W&B sweep files, read as cells.
- `shipped`: sweep files and search spaces that come with the package, found by name.
- `ledger`: what a run leaves on disk.
- `tracking`: what a run tells Weights & Biases, and what `wandb agent` asks for.
- `training`: a cohort of cells, trained into ledger and tracking.
- `pool`: runs, trained by the workers of a Dask cluster.
- `outcomes`, `plans`, `record`: what runs came to, what was decided before, and what Optuna shows of it.
- `seeds`, `spaces` and `tuning`: how many seeds, and fair tuning.
- `estimate`: how long cells take here.
- `compare`: anyone's trainers, watched from outside: what differs, since when, and whether it is more than round-off.
- `policies`: two policies compared, or one checked, without training.
- `watching`: `study.watch`, for training that `compare` doesn't see.
- `probe`: the thread's numbers, without any training.
- `bench`: how fast it all is.
- `commands`, `cli`: the command line.
"""

from study.watching import watch

__version__ = "0.1.0"

__all__ = ["watch"]
