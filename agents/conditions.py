"""The four conditions of the study: what their names stand for.

The learned `scale` means a variance or a standard deviation, and one of two classes of torch computes with it. The
names say what is passed to the class. This module is free of torch: the agent, the study and the reports share it.
"""

from typing import Literal, NamedTuple

Condition = Literal["mvn_std", "mvn_var", "normal_sqrt", "normal_std"]
Parameterization = Literal["variance", "std"]
Implementation = Literal["mvn", "normal"]


class Levels(NamedTuple):
    """The two factors in which conditions differ."""

    parameterization: Parameterization
    """what the learned scale means"""
    implementation: Implementation
    """which of torch's classes computes: `MultivariateNormal`, or `Normal`"""


CONDITIONS: dict[Condition, Levels] = {
    "mvn_std": Levels("variance", "mvn"),
    "mvn_var": Levels("std", "mvn"),
    "normal_sqrt": Levels("variance", "normal"),
    "normal_std": Levels("std", "normal"),
}


def name_of(parameterization: Parameterization, implementation: Implementation) -> Condition:
    """Return the condition of two levels."""
    return next(name for name, levels in CONDITIONS.items() if levels == (parameterization, implementation))
