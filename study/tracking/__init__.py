"""Weights & Biases: what a run tells it, and what it asks of us.

- `runs`: a run as a W&B run.
- `assignment`: what `wandb agent` asks for.
- `elsewhere`: what other machines have trained, or are training.
"""
