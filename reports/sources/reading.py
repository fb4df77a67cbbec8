"""Instructions for reading runs: the meaning of their columns, and what to compare."""

import dataclasses
from collections.abc import Iterable

from reports.sources.mapping import Mapping


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """How to read runs; by default as they are.

    Attributes:
        mapping: The source's values by the columns that they fill.
        any_state: Whether W&B's runs that haven't finished count too, where they have the outcome.
        design: Columns whose values split runs into designs.
        factors: Columns in which arms differ, beside those that are found.
        must_agree: Factors whose levels are the same mathematics.
        reference: The condition that others are compared with; by default that of the first run.
        unpaired: Whether runs of the same seed have nothing in common.
        outcome: The outcome that is studied.
    """

    mapping: Mapping | None = None
    any_state: bool = False
    design: tuple[str, ...] = ()
    factors: tuple[str, ...] = ()
    must_agree: tuple[str, ...] = ()
    reference: str | None = None
    unpaired: bool = False
    outcome: str | None = None

    def __post_init__(self) -> None:
        """Make a tuple of a single name."""
        for field in ("design", "factors", "must_agree"):
            object.__setattr__(self, field, names_of(getattr(self, field)))

    @property
    def declared(self) -> tuple[str, ...]:
        """The factors that are named."""
        return tuple(dict.fromkeys((*self.factors, *self.must_agree)))

    def factor_parameter(self, name: str) -> str:
        """Return the parameter that declares a factor."""
        return "factors" if name in self.factors else "must_agree"

    def label(self, column: str) -> str:
        """Return a column's name for an error, with where its values come from."""
        return self.mapping.label(column) if self.mapping else column


def names_of(names: Iterable[str]) -> tuple[str, ...]:
    """Return names as a tuple; a single text is one name."""
    return (names,) if isinstance(names, str) else tuple(names)


AS_IS = Reading()
"""Runs as they are."""
