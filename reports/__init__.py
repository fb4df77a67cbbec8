"""The answer: from runs of any origin to a report, without torch and without the code that trains runs.

Data flows one way:

- `sources`: runs, from a run store, a table, W&B, SB3's monitor files or TensorBoard's event files.
- `statistics`: tests and intervals, as small pure functions on arrays.
- `analysis`: what differs, by which mechanism, and how sure that is; for any factors.
- `documents`: the answer written down.

`factors` defines factors, `thread` the factors and conditions of the thread's design. `calibration` measures how often
each label of a report is wrong.

In a notebook:

    from reports import Reading, attribute, read

    runs = read("runs.csv", reading=Reading(must_agree=("implementation",)))  # or a DataFrame
    (design,) = attribute(runs, "score", margin=5.0)
    design                                  # the conclusions, in words
    effect = design.answer.effects[0]
    effect.main.estimate, effect.main.ci_adjusted, effect.conclusion
    effect.main.differences                 # one for each seed, to plot
    design.answer.blocks.outcomes           # [seeds, arms, precisions]
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reports.interface import (
        Attribution,
        Design,
        Effect,
        Factor,
        Mapping,
        Reading,
        Runs,
        UnreadableSourceError,
        attribute,
        read,
    )

__all__ = [
    "Attribution",
    "Design",
    "Effect",
    "Factor",
    "Mapping",
    "Reading",
    "Runs",
    "UnreadableSourceError",
    "attribute",
    "read",
]


if not TYPE_CHECKING:  # a type checker would take any name for one of the module's

    def __getattr__(name: str) -> Any:
        """Import the interface when it is first used: pandas and SciPy take a second."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from reports import interface

        return getattr(interface, name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
