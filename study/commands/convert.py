"""`study convert`."""

import dataclasses
from pathlib import Path

from tyro.conf import Positional


@dataclasses.dataclass(frozen=True, kw_only=True)
class Convert:
    """Give the files of an earlier version's run store the names of this one's: config.json and so on."""

    runs_dir: Positional[Path]
    """the run store"""

    def run(self) -> None:
        """Convert, and print the number of runs."""
        from study.store.convert import convert

        converted = convert(self.runs_dir)
        print(f"{self.runs_dir}: {converted} {'run' if converted == 1 else 'runs'} converted")
