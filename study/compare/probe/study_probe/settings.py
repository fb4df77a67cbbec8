"""The settings that `study compare` gives a watched process: JSON in the environment variable `STUDY_WATCH`."""

from __future__ import annotations

import dataclasses
import json
from typing import Sequence


@dataclasses.dataclass
class Settings:
    """What to watch, and what to change.

    Attributes:
        folder: The folder of the recording.
        stop: The number of optimizer steps after which the process ends; 0 for never.
        whole: Steps whose weights and gradients are kept whole, counted for each optimizer by itself.
        first: Number of an optimizer's first steps that are all recorded. Later ones are recorded ever more rarely.
        dense: The first and the last of a range of steps that are all recorded, too.
        records: Number of records that are hashed, of all environments together.
        numbers: The first and the last of an environment's records whose numbers are kept, beside the first `NUMBERS`.
        control: A perturbation of the weights: "one_ulp", "jitter", "initial" or none.
        control_seed: Chooses the weights, or seeds the jitter.
        double: Whether to compute in float64.
        weights: A folder with another run's recording, whose initial weights are taken; empty for none.
        rename: Pairs of beginnings of tensors' names, this run's and that run's.
    """

    NUMBERS = 64

    folder: str
    stop: int = 0
    whole: Sequence[int] = (1, 2, 3)
    first: int = 256
    dense: Sequence[int] = (0, -1)
    records: int = 20_000
    numbers: Sequence[int] = (0, -1)
    control: str = ""
    control_seed: int = 0
    double: bool = False
    weights: str = ""
    rename: Sequence[Sequence[str]] = ()

    @classmethod
    def parse(cls, text: str) -> Settings:
        """Return the settings in a text, which is JSON."""
        return cls(**json.loads(text))

    def records_all(self, count: int) -> bool:
        """Return whether an optimizer's step is in a range in which all are recorded."""
        return count <= self.first or self.dense[0] <= count <= self.dense[1]

    def keeps_numbers(self, index: int) -> bool:
        """Return whether an environment's record is kept in numbers."""
        return index < self.NUMBERS or self.numbers[0] <= index <= self.numbers[1]
