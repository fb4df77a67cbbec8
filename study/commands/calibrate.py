"""`study calibrate`."""

import dataclasses
import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.console import Console
from tyro.conf import arg

from study.errors import ConfigError
from study.options import Omittable
from study.progress import counted

if TYPE_CHECKING:
    from reports.calibration.labels import Row


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibrate:
    """Measure how often each label of a report is wrong, on simulated studies of known truth. It takes ten minutes."""

    studies: int = 100
    """simulated studies a row"""
    seeds: tuple[int, ...] = (5, 7, 10, 20, 40)
    """seeds of a study"""
    only: Omittable[str] = ""
    """only kinds of studies whose name has this in it"""
    output: Annotated[Path, arg(aliases=["-o"])] = Path("calibration.jsonl")
    """where rows are kept, a line each: those that are there aren't simulated again"""

    def run(self) -> None:
        """Simulate the rows that the file hasn't yet, and print all as CSV.

        Raises:
            ConfigError: An option can't be used, or the file can't be written.
        """
        from reports.calibration import labels, studies

        if self.studies < 1:
            raise ConfigError(f"--studies must be at least 1, not {self.studies}")
        if not self.seeds or min(self.seeds) < 2:
            raise ConfigError(f"--seeds must be at least 2, not {' '.join(map(str, self.seeds)) or 'none'}")
        kinds = [kind for kind in studies.STUDIES if self.only in kind.name]
        if not kinds:
            names = ", ".join(kind.name for kind in studies.STUDIES)
            raise ConfigError(f"--only {self.only}: no kind of study has it in its name; choose from {names}")
        if self.output.exists() and not self.output.is_file():
            raise ConfigError(f"-o {self.output}: it isn't a regular file: give another file")
        wanted = list(itertools.product(kinds, studies.SHAPES, self.seeds))
        kept, rows = self._kept(), []
        try:
            with self.output.open("a", encoding="utf-8") as file:
                for kind, shape, seeds in counted(wanted, Console(stderr=True), "rows", "simulating"):
                    row = kept.get((kind.name, shape, seeds, self.studies))
                    if row is None:
                        row = labels.simulate(kind, shape, seeds, self.studies)
                        file.write(json.dumps(dataclasses.asdict(row)) + "\n")
                        file.flush()
                    rows.append(row)
        except OSError as error:
            raise ConfigError(f"-o {self.output}: it can't be written ({error.strerror}): give another file") from error
        print(labels.table(rows).to_csv(index=False), end="")

    def _kept(self) -> "dict[tuple[str, str, int, int], Row]":
        """Return rows of earlier calls, without a line that an interruption has cut short."""
        from reports.calibration.labels import Row

        kept = {}
        lines = self.output.read_text(encoding="utf-8").splitlines() if self.output.is_file() else []
        for line in lines:
            try:
                row = Row.from_json(json.loads(line))
            except (ValueError, TypeError):
                continue
            kept[row.study, row.shape, row.seeds, row.studies] = row
        return kept
