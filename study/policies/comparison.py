"""The comparison of two policies: the same, the same up to rounding, or different, and in what."""

import dataclasses
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from reports.errors import in_one_line
from study.errors import ConfigError
from study.policies.laws import lacks_sum, name_density, name_entropy, name_gradients
from study.policies.laws_of_samples import name_samples
from study.policies.pairing import Pairing, pair
from study.policies.policy import FAR, FURTHER, NEAR, Policy
from study.policies.samples import in_groups, path_mistakes, samples_of
from study.policies.seen import Seen, combine, look
from study.policies.slopes import is_staircase
from study.policies.trial import call_once

PRECISIONS = {"float32": torch.float32, "float64": torch.float64}
EPSILON = torch.finfo(torch.float64).eps
CANCELLATION = 2**14
"""The factor by which cancellation may amplify rounding: the sum of terms of some hundreds may be less than one."""
ROUNDED = 2**-22
"""The largest relative change of a log-density in float64 by a constant that was rounded to float32."""
COMPUTED = 2**-17
"""The largest one by computation in float32, where cancellation amplifies the rounding of each term."""
FAR_AWAY = f"where vectors, such as a log std, are moved by {FURTHER} and more"
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
        pairing: How parameters were paired, in words, unless all were by name.
    """

    findings: Sequence[Finding]
    gaps: dict[str, float]
    pairing: str = ""

    @property
    def are_same(self) -> bool:
        """Return whether both are the same mathematics."""
        return all(finding.name in HARMLESS for finding in self.findings)

    def __str__(self) -> str:
        sizes = ", ".join(f"{gap:.1e} in {name}" for name, gap in self.gaps.items())
        if self.findings:
            last = [f"log-densities differ by {sizes}"] if sizes else []
            paired = [self.pairing] if self.pairing and not self.are_same else []
            return "\n".join([*(f"- {finding}" for finding in self.findings), *last, *paired])
        return "the same bits" if not any(self.gaps.values()) else f"the same up to rounding: {sizes}"


def compare(
    a: Policy, b: Policy, *, observation_size: int, action_size: int, rename: Mapping[str, str] | None = None
) -> Compared:
    """Compare two policies at the same parameters, given and moved, in float32 and in float64.

    Parameters are paired by their names, then by shapes that only one parameter has, then in their order. Those that a
    density doesn't depend on, such as a value head's, are left out where the other policy has none for them.

    Args:
        a: The first.
        b: The second.
        observation_size: The length of an observation.
        action_size: The length of an action.
        rename: Beginnings of names of parameters, the second's and the first's.

    Raises:
        ConfigError: A policy can't be called with such sizes, has discrete actions or isn't deterministic.
    """
    sizes = observation_size, action_size
    used = _call_once("the first", a, *sizes), _call_once("the second", b, *sizes)
    pairing = pair(a.parameters, b.parameters, used, rename or {})
    if pairing is None:
        return Compared(findings=[Finding(name="other parameters", detail=_parameters(a, b))], gaps={})
    names = pairing.names
    found = _compare_paired(a.only(names.values()), b.only(names), names, *sizes)
    return dataclasses.replace(found, pairing=_describe(pairing))


def assert_same_policy(
    a: Policy, b: Policy, *, observation_size: int, action_size: int, rename: Mapping[str, str] | None = None
) -> None:
    """Fail unless two policies are the same mathematics: see `compare`.

    Raises:
        AssertionError: They differ. The text names in what.
    """
    compared = compare(a, b, observation_size=observation_size, action_size=action_size, rename=rename)
    assert compared.are_same, f"the policies aren't the same:\n{compared}"


def _call_once(which: str, policy: Policy, observation_size: int, action_size: int) -> set[str]:
    try:
        return call_once(policy, observation_size, action_size)
    except ConfigError as error:
        raise ConfigError(f"{which}: {error}") from error


def _describe(pairing: Pairing) -> str:
    return str(pairing) if pairing.by_shape or pairing.by_order else ""


def _parameters(a: Policy, b: Policy) -> str:
    one, other = ({name: list(value.shape) for name, value in policy.parameters.items()} for policy in (a, b))
    return f"{one} against {other}"


Pair = tuple[dict[str, Tensor], dict[str, Tensor]]


def _compare_paired(
    a: Policy, b: Policy, names: Mapping[str, str], observation_size: int, action_size: int
) -> Compared:
    sizes = observation_size, action_size
    seen: dict[str, tuple[list[Seen], list[Seen]]] = {}
    points: list[Pair] = []
    try:
        for precision, dtype in PRECISIONS.items():
            points = [_take(a, b, names, point, dtype) for point in (0, *NEAR)]
            of_a, of_b = zip(*points, strict=True)
            seen[precision] = _look("the first", a, of_a, *sizes), _look("the second", b, of_b, *sizes)
    except ValueError as error:
        return Compared(findings=[no_distribution(error)], gaps={})
    gaps = {precision: _gap(combine(one), combine(other)) for precision, (one, other) in seen.items()}
    is_rounded = any(is_staircase(policy, own, *sizes) for policy, own in zip((a, b), points[1], strict=True))
    rounding = COMPUTED if is_rounded else ROUNDED
    compared = Compared(findings=_find(*seen["float64"], rounding), gaps=gaps)
    if compared.are_same:
        far = _compare_far(a, b, _take(a, b, names, FAR, torch.float64), seen["float64"], rounding, *sizes)
        compared = dataclasses.replace(compared, findings=far or compared.findings)
    if compared.are_same:
        drawn = [*_compare_samples(a, b, points[1:], *sizes), *_compare_paths(a, b, points[1], *sizes)]
        compared = dataclasses.replace(compared, findings=[*compared.findings, *drawn])
    return compared


def _compare_far(
    a: Policy,
    b: Policy,
    point: Pair,
    near: tuple[list[Seen], list[Seen]],
    rounding: float,
    observation_size: int,
    action_size: int,
) -> list[Finding]:
    """Return how two policies differ that are the same near the parameters given; nothing where both refuse."""
    far, errors = [], []
    for which, policy, own in zip(("the first", "the second"), (a, b), point, strict=True):
        try:
            far += _look(which, policy, [own], observation_size, action_size)
        except ValueError as error:
            errors.append(error)
    if errors:
        return [no_distribution(errors[0])] if len(errors) == 1 else []
    one, other = far
    found = _find([*near[0], one], [*near[1], other], rounding)
    return [own if own.name in HARMLESS else dataclasses.replace(own, detail=FAR_AWAY) for own in found]


def _take(a: Policy, b: Policy, names: Mapping[str, str], point: int, dtype: torch.dtype) -> Pair:
    """Return the first's parameters at a point, and the same numbers by the second's names and in its shapes."""
    moved = a.moved(point, dtype)
    taken = {
        own: moved[other].detach().reshape(b.parameters[own].shape).clone().requires_grad_()
        for own, other in names.items()
    }
    return {name: moved[name] for name in names.values()}, taken


def _look(
    which: str, policy: Policy, points: Sequence[Mapping[str, Tensor]], observation_size: int, action_size: int
) -> list[Seen]:
    try:
        return [look(policy, point, observation_size, action_size) for point in points]
    except ValueError as error:
        raise ValueError(f"{which}: {in_one_line(error)}") from error


def _compare_samples(
    a: Policy, b: Policy, points: Sequence[Pair], observation_size: int, action_size: int
) -> list[Finding]:
    pairs = []
    for seed, (one, other) in enumerate(points):
        sampled = samples_of(a, one, observation_size, action_size, seed=2 * seed)
        by_other = samples_of(b, other, observation_size, action_size, seed=2 * seed + 1)
        if sampled is None or by_other is None:
            return []
        pairs.append((in_groups(a, sampled[1]), in_groups(b, by_other[1])))
    named = name_samples(pairs)
    if named is None:
        return []
    name, gap = named
    return [Finding(name=name, detail=f"their {gap.name} is {gap.errors:.0f} standard errors from the first's")]


def _compare_paths(a: Policy, b: Policy, point: Pair, observation_size: int, action_size: int) -> list[Finding]:
    """Compare gradients of reparameterised samples: they must be the same, since the densities are.

    Nothing is compared where a policy has none.
    """
    one, other = (
        path_mistakes(policy, own, observation_size, action_size) for policy, own in zip((a, b), point, strict=True)
    )
    if one is None or other is None or len(one) == len(other):
        return []
    which, found = ("the second", other) if other else ("the first", one)
    return [Finding(name=name, detail=which) for name in found]


def _gap(a: Seen, b: Seen) -> float:
    difference = (a.log_prob - b.log_prob).abs() / a.log_prob.abs().clamp(min=1.0)
    return float(difference.max()) if torch.isfinite(difference).all() else float("inf")


def _find(at_points: Sequence[Seen], of_other: Sequence[Seen], rounding: float) -> list[Finding]:
    """Return how two densities differ, in float64, where gaps up to `rounding` are those of a lower precision."""
    a, b = combine(at_points), combine(of_other)
    gap, findings = _gap(a, b), []
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
