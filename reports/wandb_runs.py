"""Runs from Weights & Biases."""

import tempfile
from pathlib import Path
from typing import Any

FILES = ("cell.json", "updates.jsonl", "outcome.json")


def download(run: Any) -> dict[str, bytes]:
    """Those of the ledger's files that are saved with a run, by name. **Arguments**: a `wandb.apis.public.Run`."""
    with tempfile.TemporaryDirectory() as folder:
        for file in run.files(names=list(FILES)):
            file.download(root=folder, replace=True)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}
