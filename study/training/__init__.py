"""Training on this machine.

- `cohort`: trains a cohort of runs, each into its own directory of the run store and its own W&B run.
- `agent`: carries out what `wandb agent` asks for.
- `memory`: whether runs fit into memory, asked before anything is trained.
- `estimate`: how long runs take here.
- `provenance`: with what, and on what, a run was made.
"""
