"""Two policies: the same, the same up to rounding, or different, and in what."""

import dataclasses
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from study.errors import in_one_line
from study.policies.laws import lacks_sum, name_density, name_entropy, name_gradients, name_samples
from study.policies.policy import Policy
from study.policies.seen import POINTS, Seen, is_staircase, look, samples_of

PRECISIONS = {"float32": torch.float32, "float64": torch.float64}
EPSILON = torch.finfo(torch.float64).eps
CANCELLATION = 2**14
"""By how much cancellation may amplify rounding: of terms of some hundreds, less than one may be left."""
ROUNDED = 2**-22
"""What a constant that was rounded to float32 does to a log-density in float64, with some cancellation."""
COMPUTED = 2**-17
"""What float32 inside does to it, where cancellation amplifies the rounding of each term."""
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
    sizes = observation_size, action_size
    seen, points = {}, []
    try:
        for precision, dtype in PRECISIONS.items():
            points = [_take(a, b, names, point, dtype) for point in range(POINTS)]
            of_a, of_b = zip(*points, strict=True)
            seen[precision] = _look("the first", a, of_a, *sizes), _look("the second", b, of_b, *sizes)
    except ValueError as error:
        return Compared(findings=[no_distribution(error)], gaps={})
    gaps = {precision: _gap(*both) for precision, both in seen.items()}
    is_rounded = any(is_staircase(policy, own, *sizes) for policy, own in zip((a, b), points[1], strict=True))
    compared = Compared(
        findings=_find(*seen["float64"], gaps["float64"], COMPUTED if is_rounded else ROUNDED), gaps=gaps
    )
    if compared.are_same:
        findings = [*compared.findings, *_compare_samples(a, b, points[1:], *sizes)]
        compared = dataclasses.replace(compared, findings=findings)
    return compared


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


def _take(
    a: Policy, b: Policy, names: Mapping[str, str], point: int, dtype: torch.dtype
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The first's parameters at a point, and the same numbers for the second, by its names and in its shapes."""
    moved = a.moved(point, dtype)
    taken = {
        own: moved[other].detach().reshape(b.parameters[own].shape).clone().requires_grad_()
        for own, other in names.items()
    }
    return {name: moved[name] for name in names.values()}, taken


def _look(
    which: str, policy: Policy, points: Sequence[Mapping[str, Tensor]], observation_size: int, action_size: int
) -> Seen:
    try:
        return look(policy, points, observation_size, action_size)
    except ValueError as error:
        raise ValueError(f"{which}: {in_one_line(error)}") from error


def _compare_samples(
    a: Policy,
    b: Policy,
    points: Sequence[tuple[dict[str, Tensor], dict[str, Tensor]]],
    observation_size: int,
    action_size: int,
) -> list[Finding]:
    pairs = []
    for seed, (one, other) in enumerate(points):
        sampled = samples_of(a, one, observation_size, action_size, seed=2 * seed)
        by_other = samples_of(b, other, observation_size, action_size, seed=2 * seed + 1)
        if sampled is None or by_other is None:
            return []
        pairs.append((sampled[1], by_other[1]))
    name = name_samples(pairs)
    return [] if name is None else [Finding(name=name)]


def _gap(a: Seen, b: Seen) -> float:
    difference = (a.log_prob - b.log_prob).abs() / a.log_prob.abs().clamp(min=1.0)
    return float(difference.max()) if torch.isfinite(difference).all() else float("inf")


def _find(a: Seen, b: Seen, gap: float, rounding: float) -> list[Finding]:
    """What sets two densities apart, in float64, where gaps up to `rounding` are those of a lower precision."""
    findings = []
    if lacks_sum(a, b):
        findings.append(Finding(name="missing sum over action dimensions", detail=f"shape {list(b.shape)}"))
    elif a.shape != b.shape:
        shape = f"log-densities of shape {list(b.shape)} against {list(a.shape)}"
        findings.append(Finding(name="another shape", detail=shape))
    if gap > rounding:
        findings.append(Finding(name=name_density(a, b) or "another density"))
    elif gap > CANCELLATION * EPSILON:
        findings.append(Finding(name="lower precision inside"))
    else:
        findings += [Finding(name=name) for name in name_gradients(a, b)]
    entropy = name_entropy(a, b)
    if entropy is not None and gap <= rounding and a.shape == b.shape:
        findings.append(Finding(name=entropy))
    return findings


def no_distribution(error: ValueError) -> Finding:
    """Return the finding that `torch.distributions` refuse parameters, such as a negative std."""
    return Finding(name="no distribution at moved parameters", detail=in_one_line(error)[:200])
