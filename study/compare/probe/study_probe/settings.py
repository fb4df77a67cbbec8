"""What `study compare` asks of a watched process: JSON in the environment variable `STUDY_WATCH`."""

from __future__ import annotations

import dataclasses
import json
from typing import Sequence


@dataclasses.dataclass
class Settings:
    """What to watch, and what to change.

    Attributes:
        folder: Where to write.
        stop: The number of optimizer steps after which the process ends; 0 for never.
        whole: Numbers of steps, each optimizer counted by itself, whose weights and gradients are kept whole.
        first: How many of an optimizer's first steps are all recorded; then fewer and fewer.
        dense: The first and the last of the steps that are all recorded beside these.
        records: How many records of all environments together are hashed.
        numbers: The first and the last of an environment's records whose numbers are kept, beside the first `NUMBERS`.
        control: A perturbation of the weights: "one_ulp", "jitter", "initial" or none.
        control_seed: Chooses which weights.
        double: Whether to compute in float64.
        weights: A folder with another run's recording whose initial weights to take.
        rename: Pairs of beginnings of names of tensors, this run's and that run's.
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
        """Return the settings in a text."""
        return cls(**json.loads(text))

    def records_all(self, count: int) -> bool:
        """Whether an optimizer's step is one of those that are all recorded."""
        return count <= self.first or self.dense[0] <= count <= self.dense[1]

    def keeps_numbers(self, index: int) -> bool:
        """Whether an environment's record is kept in numbers."""
        return index < self.NUMBERS or self.numbers[0] <= index <= self.numbers[1]
