"""What a run leaves on disk.

- `run_store`: a directory for each run, with its config, history and summary.
- `checkpoints`: what an interrupted run continues from.
- `files`: files that are written whole or not at all.
"""
