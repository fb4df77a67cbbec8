"""Files that are saved with a run in Weights & Biases. It loads neither pandas nor wandb."""

import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any


def download_files(run: Any, names: Collection[str]) -> dict[str, bytes]:
    """Return those of the named files that are saved with a run.

    Args:
        run: A `wandb.apis.public.Run`.
        names: Names of files.

    Returns:
        Contents, by name.
    """
    with tempfile.TemporaryDirectory() as folder:
        for file in run.files(names=[*names]):
            if file.name in names:  # any other name may lead out of the folder
                file.download(root=folder, replace=True).close()
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}
