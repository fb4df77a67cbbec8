"""Weights & Biases: what is logged there, and what its agents ask for.

- `runs`: a run as a W&B run.
- `assignment`: what `wandb agent` asks for.
- `elsewhere`: which runs other machines have trained, or are training.
"""
