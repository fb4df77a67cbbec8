"""Plans: the number of seeds that each conclusion needs, from the runs so far or from a guessed spread."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from reports.analysis.attribution import Attribution
from reports.analysis.design import Design
from reports.documents import figures, words
from reports.errors import UnreadableSourceError
from reports.statistics import ALPHA, POWER, Array, Margin, fewest_for, fewest_seeds, power_different, power_equivalent

SEEDS = (5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 50, 70, 100, 150, 200, 300)
"""Numbers of seeds at which the curve is drawn."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Conclusion:
    """A possible conclusion, and its chance by the number of seeds.

    Attributes:
        text: The conclusion in words.
        power: The chance of it by the number of seeds.
        unit: The name of what is counted, such as seeds.
    """

    text: str
    power: Callable[[int], float]
    unit: str = "seeds"

    @functools.cached_property
    def seeds(self) -> int | None:
        """The smallest number with a chance of `POWER`; None if there is none."""
        return fewest_seeds(lambda seeds: self.power(seeds) >= POWER)

    def curve(self, seeds: Sequence[int]) -> Array:
        """Return the chance at each number of seeds, of the same shape."""
        return np.array([self.power(count) for count in seeds])


def conclusions(
    sd: float,
    margin: Margin | None,
    seen: float | None = None,
    what: str = "",
    level: float = ALPHA / 2,
    unit: str = "seeds",
) -> list[Conclusion]:
    """Return the possible conclusions on one effect.

    Args:
        sd: The standard deviation of the differences between seeds.
        margin: The equivalence margin.
        seen: The estimated effect, where there is one.
        what: The beginning of each text, such as the effect's name.
        level: The level at which a difference is tested; by default Holm's for the first of two effects.
        unit: The name of what is counted.
    """
    if not sd > 0:
        return []

    def different(effect: float) -> Callable[[int], float]:
        return lambda seeds: power_different(effect, sd, seeds, level)

    def equivalent(effect: float, margin: Margin) -> Callable[[int], float]:
        # Nothing is called equivalent where no test could have found a difference.
        return lambda seeds: power_equivalent(effect, sd, margin, seeds) if seeds >= fewest_for(level) else 0.0

    found = []
    if seen:
        found.append(Conclusion(text=f"{what}different, if it is {words.number(seen)} as seen", power=different(seen)))
    if margin is not None:
        size = words.number(margin.value)
        found += [
            Conclusion(text=f"{what}different, if it is the margin, {size}", power=different(margin.value)),
            Conclusion(
                text=f"{what}equivalent within ±{size}, if there is none",
                power=equivalent(0.0, margin),
            ),
        ]
        if seen and abs(seen) < margin.value:
            found.append(
                Conclusion(
                    text=f"{what}equivalent within ±{size}, if it is {words.number(seen)} as seen",
                    power=equivalent(seen, margin),
                )
            )
    return [dataclasses.replace(conclusion, unit=unit) for conclusion in found]


def from_data(answer: Attribution) -> list[Conclusion]:
    """Return the possible conclusions from more seeds of a design, if the estimates so far are true."""
    return [
        conclusion
        for effect in answer.effects
        if effect.main.sd
        for conclusion in conclusions(
            effect.main.sd,
            effect.main.margin,
            effect.main.estimate,
            f"{words.label(effect, str)}: ",
            effect.main.level,
            "seeds" if answer.paired else "runs a level",
        )
    ]


def write(plans: Sequence[tuple[str, list[Conclusion]]], output: Path) -> str:
    """Write `plan.md` and its figures, and return the table, to print.

    Args:
        plans: The name of each design, and its possible conclusions.
        output: The directory to write to.

    Raises:
        UnreadableSourceError: There is nothing to plan from, or `output` can't be written to.
    """
    if not any(plan for _, plan in plans):
        raise UnreadableSourceError(
            "these runs have no spread between seeds to plan from: guess one, and give a margin"
        )
    try:
        output.mkdir(parents=True, exist_ok=True)
        text = "\n".join(_lines(plans, output)) + "\n"
        (output / "plan.md").write_text(text, encoding="utf-8")
    except OSError as error:
        raise UnreadableSourceError(
            f"{output}: no plan can be written there ({error.strerror or error}): give another directory"
        ) from error
    table = [
        f"{name}{conclusion.text}: {_needed(conclusion)}"
        for name, plan in ((f"{name}: " if name else "", plan) for name, plan in plans)
        for conclusion in plan
    ]
    return "\n".join([*map(words.printable, table), str(output / "plan.md")])


def from_designs(designs: Sequence[Design]) -> list[tuple[str, list[Conclusion]]]:
    """Return the name and the possible conclusions of each design."""
    return [(design.name if len(designs) > 1 else "", from_data(design.answer)) for design in designs]


def _lines(plans: Sequence[tuple[str, list[Conclusion]]], output: Path) -> Iterator[str]:
    yield "# How many seeds?\n"
    for index, (name, plan) in enumerate(plans):
        if name:
            yield f"## {words.markdown(name)}\n"
        yield "| conclusion | needed for a chance of 80% |\n|---|---|"
        for conclusion in plan:
            yield f"| {words.markdown(conclusion.text)} | {_needed(conclusion)} |"
        if plan:
            curves = {conclusion.text: conclusion.curve(SEEDS) for conclusion in plan}
            figures.power_curves(curves, SEEDS, POWER, output / f"plan-{index + 1}")
            yield f"\n![The chance of each conclusion by seeds](plan-{index + 1}.png)\n"
            yield "*The chance of each conclusion. Look where a line crosses the grey one, at 80%.*\n"
    yield (
        "By the power of t tests at the level at which Holm's correction judges the effect (of a guess: the first of "
        "two), and of two one-sided tests, with the error of a margin that is estimated. Each is of the main effect; a "
        "factor that must agree is equivalent only if it is so at each level of the others. A plan is as good as what "
        "it is made from: the spread of few seeds is known badly."
    )


def _needed(conclusion: Conclusion) -> str:
    return f"{conclusion.seeds} {conclusion.unit}" if conclusion.seeds else f"no number of {conclusion.unit} would do"
