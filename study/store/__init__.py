"""What a run leaves on disk.

- `run_store`: a directory for each run, with its config, history and summary.
- `run_writer`: writes a run's files while it is trained.
- `checkpoints`, `interrupted`: what an interrupted run continues from.
- `adoption`: takes over what a run has left in another machine's run store.
- `convert`: run stores of earlier versions.
- `files`: files that are written whole or not at all. `records`: their JSON.
"""
