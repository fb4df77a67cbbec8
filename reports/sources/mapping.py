"""Mappings from a source's values to columns of the runs."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Self

import numpy as np

from reports.errors import UnreadableSourceError

PARTS = re.compile(r"""(?:[^,'"]|'[^']*'|"[^"]*")+""")
"""A part of a mapping: commas separate parts, except inside quotes."""

CONSTANT = re.compile(r"""'([^']*)'|"([^"]*)\"""")
SECTION = re.compile(r"(config|summary|history)\.(?=.)")
WINDOW = re.compile(r"last([1-9][0-9]?|100)%|last|mean|max")
DEFAULT_WINDOW = "last10%"


@dataclasses.dataclass(frozen=True)
class Value:
    """A column's key in a source, or the constant that all its values are."""

    text: str
    is_constant: bool = False

    def __str__(self) -> str:
        """Return the value as it is written in a mapping."""
        return repr(self.text) if self.is_constant else self.text


@dataclasses.dataclass(frozen=True)
class Mapping:
    """Values by the columns that they fill, as `condition=config.exp_name,seed=config.seed`."""

    values: dict[str, Value]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the mapping that a text states.

        Args:
            text: `NAME=VALUE` parts, separated by commas. A value in quotes is a constant.

        Raises:
            UnreadableSourceError: A part is no `NAME=VALUE`, or a name is there twice.
        """
        parts = PARTS.findall(text)
        if ",".join(parts) != text or not parts:
            raise _wrong(f"mapping {text!r} can't be read: give NAME=VALUE parts, separated by commas")
        values: dict[str, Value] = {}
        for part in parts:
            name, _, value = (piece.strip() for piece in part.partition("="))
            if not name or not value:
                raise _wrong(f"mapping: {part!r} must be NAME=VALUE, such as seed=config.seed")
            if name in values:
                raise _wrong(f"mapping: {name} is there twice")
            constant = CONSTANT.fullmatch(value)
            values[name] = Value(constant[1] or constant[2] or "", is_constant=True) if constant else Value(value)
        if "outcome" in values and values["outcome"].is_constant:
            raise _wrong(f"mapping: outcome={values['outcome']} is a constant: name where it is")
        return cls(values)

    def __str__(self) -> str:
        """Return the mapping as it is written."""
        return ",".join(f"{name}={value}" for name, value in self.values.items())

    @property
    def outcome(self) -> str | None:
        """The column of the outcome: its name in the source, without a W&B section or a window."""
        if "outcome" not in self.values:
            return None
        text = SECTION.sub("", self.values["outcome"].text, count=1)
        key, colon, window = text.rpartition(":")
        return key if colon and WINDOW.fullmatch(window) else text

    def column(self, name: str) -> str:
        """Return the column of the runs that a mapped name fills."""
        return self.outcome or name if name == "outcome" else name

    def label(self, column: str) -> str:
        """Return a column's name for an error, with where its values come from."""
        return f"{column} ({self.values[column]})" if column in self.values else column


def _wrong(message: str) -> UnreadableSourceError:
    return UnreadableSourceError(message, parameter="mapping")


def split_window(text: str) -> tuple[str, str]:
    """Return the key and the window of `KEY[:WINDOW]`.

    Raises:
        UnreadableSourceError: The window is unknown.
    """
    key, colon, window = text.rpartition(":")
    if not colon:
        return text, DEFAULT_WINDOW
    if not WINDOW.fullmatch(window):
        raise _wrong(f"mapping: window {window!r} of {text} must be lastN% (such as last10%), last, mean or max")
    return key, window


def summarise(values: Sequence[float], window: str) -> float | None:
    """Return a window's summary of logged values, or None where there are none.

    Args:
        values: All logged values, in the order in which they were logged.
        window: `lastN%` (the mean of the last N % of the values, at least one), `last`, `mean` or `max`.
    """
    if not len(values):
        return None
    if window == "max":
        return float(np.max(values))
    percent = WINDOW.fullmatch(window)
    count = len(values)
    if percent and percent[1]:
        count = max(1, len(values) * int(percent[1]) // 100)
    elif window == "last":
        count = 1
    return float(np.mean(values[-count:]))
