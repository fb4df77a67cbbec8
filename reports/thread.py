"""The thread's own design: its four conditions, and the two factors in which they differ."""

from typing import get_args

from agents import conditions
from reports.factors import Factor

CONDITIONS: dict[str, tuple[str, str]] = {
    name: (levels.parameterization, levels.implementation) for name, levels in conditions.CONDITIONS.items()
}
"""By condition, its level of each factor, in the order of `FACTORS`."""

PARAMETERIZATION = Factor(
    name="parameterization",
    levels=get_args(conditions.Parameterization),
    phrase="the scale as a {level} instead of a {reference}",
)
IMPLEMENTATION = Factor(name="implementation", levels=get_args(conditions.Implementation), must_agree=True)
FACTORS = (PARAMETERIZATION, IMPLEMENTATION)
