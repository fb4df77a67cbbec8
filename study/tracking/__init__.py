"""Weights & Biases: what a run tells it, and what it asks of us.

- `runs`: a cell as a W&B run.
- `assignment`, `agent`: what `wandb agent` asks for, and how it is carried out.
- `elsewhere`: what other machines have trained, or are training.
"""
