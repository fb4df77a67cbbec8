"""The thread's own design: its four conditions, and the two factors in which they differ."""

from reports.factors import Factor

CONDITIONS: dict[str, tuple[str, str]] = {
    "mvn_std": ("variance", "mvn"),
    "mvn_var": ("std", "mvn"),
    "normal_sqrt": ("variance", "normal"),
    "normal_std": ("std", "normal"),
}
"""What the learned scale is in each condition, and which class computes the policy."""

PARAMETERIZATION = Factor(
    name="parameterization", levels=("variance", "std"), phrase="the scale as a {level} instead of a {reference}"
)
IMPLEMENTATION = Factor(name="implementation", levels=("mvn", "normal"), must_agree=True)
FACTORS = (PARAMETERIZATION, IMPLEMENTATION)
