"""The experiment: which runs there are, how they are trained and kept, and the command line.

- `config`: a run's complete description; sweep files and search spaces.
- `training`: trains a cohort of runs on this machine.
- `store`: what a run leaves on disk.
- `tracking`: what a run tells Weights & Biases, and what `wandb agent` asks for.
- `pool`: trains runs by the workers of a Dask cluster.
- `plans`: studies that decide what to train next: how many seeds, and tuning.
- `compare`: anyone's trainers, watched from outside: what differs, since when, and whether it is more than round-off.
- `policies`: two policies compared, or one checked, without training.
- `benchmarks`: how fast it all is.
- `probe`: the thread's numbers, without any training. `playing`: what a trained policy does.
- `watching`: `study.watch`, for training that `compare` doesn't see.
- `commands`, `cli`, `errors`: the command line.
"""

from study.watching import watch

__version__ = "0.1.0"

__all__ = ["watch"]
