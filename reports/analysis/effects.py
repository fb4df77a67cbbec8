"""A factor's effect: its three axes, and the conclusion that joins them."""

import dataclasses
import functools

from reports.analysis import conclusions
from reports.analysis.blocks import Contrast
from reports.analysis.conclusions import MeanConclusion
from reports.analysis.failures import Failures
from reports.analysis.mean import Estimate, Mean
from reports.analysis.mechanism import Mechanism
from reports.analysis.spread import Spread
from reports.factors import Factor


@dataclasses.dataclass(frozen=True, kw_only=True)
class Effect:
    """The effect of one level of a factor, against the reference: three axes and the conclusion.

    Attributes:
        contrast: The factor, the level, and where they are compared.
        mechanism: Whether the computation is the same.
        mean: Whether the outcome's mean changes.
        spread: Whether runs vary more, or seeds differ; None without ULP controls of both levels.
        failures: Whether runs fail more often.
    """

    contrast: Contrast
    mechanism: Mechanism
    mean: Mean
    spread: Spread | None
    failures: Failures

    @property
    def factor(self) -> Factor:
        """The factor."""
        return self.contrast.factor

    @property
    def level(self) -> str:
        """The level that is compared with the factor's reference."""
        return self.contrast.level

    @property
    def main(self) -> Estimate:
        """The main effect on the mean."""
        return self.mean.main

    @functools.cached_property
    def mean_conclusion(self) -> MeanConclusion:
        """The conclusion on the mean; nothing is equivalent while failures may differ.

        Equal outcomes of a few runs show nothing, unless the runs are the same bit for bit.
        """
        found = self.mean.conclusion(self.failures.may_differ)
        is_shown = self.mechanism.reading == "identical" or (
            self.mean.can_show_equality and self.main.margin is not None
        )
        return "undecided" if found == "identical" and not is_shown else found

    @property
    def spread_conclusion(self) -> conclusions.SpreadConclusion:
        """The conclusion on the spread."""
        return self.spread.conclusion if self.spread else "untested"

    @functools.cached_property
    def conclusion(self) -> str:
        """The conclusion from all axes, as `conclusions.conclude` joins them."""
        return conclusions.conclude(
            self.mechanism.reading,
            self.mean_conclusion,
            self.spread_conclusion,
            self.failures.conclusion,
            self.mechanism.onset,
        )

    def __repr__(self) -> str:
        return (
            f"{self.factor.name} ({self.level} - {self.factor.reference}): {self.main!r}; "
            f"mechanism {self.mechanism.reading}, mean {self.mean_conclusion}, spread {self.spread_conclusion}, "
            f"failures {self.failures.conclusion}: {self.conclusion}"
        )
