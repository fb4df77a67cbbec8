"""Two policies: the same, the same up to rounding, or different, and in what."""

import dataclasses
from collections.abc import Sequence

import torch

from study.policies.laws import name_density, name_entropy, name_gradients
from study.policies.policy import Policy
from study.policies.seen import POINTS, Seen, look

EPSILON = torch.finfo(torch.float64).eps
CANCELLATION = 2**14
"""By how much cancellation may amplify rounding: of terms of some hundreds, less than one may be left."""
LOWER = 2**29 * EPSILON * 2**6
"""Below this, a gap in float64 is of float32's rounding: something inside is computed in a lower precision."""
HARMLESS = frozenset({"lower precision inside"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """What sets two policies apart, or what is wrong with one.

    Attributes:
        name: The mistake, or what differs where it has no name.
        detail: By how much, and where.
    """

    name: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.detail})" if self.detail else self.name


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compared:
    """What was found of two policies.

    Attributes:
        findings: What sets the second apart from the first.
        gaps: By precision, the largest relative difference of log-densities.
    """

    findings: Sequence[Finding]
    gaps: dict[str, float]

    @property
    def are_same(self) -> bool:
        """Whether both are the same mathematics."""
        return all(finding.name in HARMLESS for finding in self.findings)

    def __str__(self) -> str:
        sizes = ", ".join(f"{gap:.1e} in {name}" for name, gap in self.gaps.items())
        if self.findings:
            return "\n".join(f"- {finding}" for finding in self.findings) + f"\nlog-densities differ by {sizes}"
        return "the same bits" if not any(self.gaps.values()) else f"the same up to rounding: {sizes}"


def compare(a: Policy, b: Policy, *, observation_size: int, action_size: int) -> Compared:
    """Compare two policies at the same parameters, given and moved, in float32 and in float64.

    Args:
        a: The first.
        b: The second. Its parameters have the first's names, or the same shapes in the same order.
        observation_size: The length of an observation.
        action_size: The length of an action.
    """
    names = _match(a, b)
    if names is None:
        return Compared(findings=[Finding(name="other parameters", detail=_parameters(a, b))], gaps={})
    try:
        single = _look_at_both(a, b, names, observation_size, action_size, torch.float32)
        double = _look_at_both(a, b, names, observation_size, action_size, torch.float64)
    except ValueError as error:  # torch.distributions refuse a std that is negative
        reason = " ".join(str(error).split())[:200]
        return Compared(findings=[Finding(name="no distribution at moved parameters", detail=reason)], gaps={})
    gaps = {"float32": _gap(*single), "float64": _gap(*double)}
    return Compared(findings=_find(*double, gaps["float64"]), gaps=gaps)


def assert_same_policy(a: Policy, b: Policy, *, observation_size: int, action_size: int) -> None:
    """Fail unless two policies are the same mathematics.

    Raises:
        AssertionError: It names what sets them apart.
    """
    compared = compare(a, b, observation_size=observation_size, action_size=action_size)
    assert compared.are_same, f"the policies aren't the same:\n{compared}"


def _match(a: Policy, b: Policy) -> dict[str, str] | None:
    """For each of b's parameters, which of a's it is."""
    if a.parameters.keys() == b.parameters.keys():
        pairs = {name: name for name in a.parameters}
    elif len(a.parameters) == len(b.parameters):
        pairs = dict(zip(b.parameters, a.parameters, strict=True))
    else:
        return None
    same = all(b.parameters[own].numel() == a.parameters[other].numel() for own, other in pairs.items())
    return pairs if same else None


def _parameters(a: Policy, b: Policy) -> str:
    one, other = ({name: list(value.shape) for name, value in policy.parameters.items()} for policy in (a, b))
    return f"{one} against {other}"


def _look_at_both(
    a: Policy, b: Policy, names: dict[str, str], observation_size: int, action_size: int, dtype: torch.dtype
) -> tuple[Seen, Seen]:
    moved = [a.moved(point, dtype) for point in range(POINTS)]
    taken = [
        {
            own: values[other].detach().reshape(b.parameters[own].shape).clone().requires_grad_()
            for own, other in names.items()
        }
        for values in moved
    ]
    ordered = [{name: values[name] for name in names.values()} for values in moved]
    return look(a, ordered, observation_size, action_size), look(b, taken, observation_size, action_size)


def _gap(a: Seen, b: Seen) -> float:
    difference = (a.log_prob - b.log_prob).abs() / a.log_prob.abs().clamp(min=1.0)
    return float(difference.max()) if torch.isfinite(difference).all() else float("inf")


def _find(a: Seen, b: Seen, gap: float) -> list[Finding]:
    findings = []
    if a.shape != b.shape and not (len(b.shape) > len(a.shape) and b.shape[-1] == b.width):
        shape = f"log-densities of shape {list(b.shape)} against {list(a.shape)}"
        findings.append(Finding(name="another shape", detail=shape))
    elif a.shape != b.shape:
        findings.append(Finding(name="missing sum over action dimensions", detail=f"shape {list(b.shape)}"))
    if gap > LOWER:
        findings.append(Finding(name=name_density(a, b) or "another density"))
    elif gap > CANCELLATION * EPSILON:
        findings.append(Finding(name="lower precision inside"))
    else:
        findings += [Finding(name=name) for name in name_gradients(a, b)]
    entropy = name_entropy(a, b)
    if entropy is not None and gap <= LOWER and a.shape == b.shape:
        findings.append(Finding(name=entropy))
    return list({finding.name: finding for finding in findings}.values())
