"""Types of the command line's options."""

from typing import Annotated, TypeVar

from tyro.conf import DisallowNone, arg

T = TypeVar("T")

NOTHING = ("None", "''", "")
"""Defaults, as help would print them, that tell a reader nothing."""


def _show_default(default: str) -> str:
    return "" if default in NOTHING else f"(default: {default})"


Omittable = Annotated[T, DisallowNone, arg(help_behavior_hint=_show_default)]
"""An option that may be left out: help then has neither `{None}|` nor `(default: None)`."""
