"""The mistakes that have a name: how each changes a log-density, its Gaussian, its gradients or its entropy.

Those of samples are in `laws_of_samples`. To add a mistake, write the law by which it changes what is seen of the right
policy.
"""

import math
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from study.policies.seen import Seen, tanh_log_det

EXACT = 1e-6
"""The relative distance within which a law's prediction must fit: far from round-off, and from other laws."""


def is_close(one: Tensor, other: Tensor, tolerance: float = EXACT) -> bool:
    """Return whether two tensors are within a relative distance of each other."""
    if one.shape != other.shape or not (torch.isfinite(one).all() and torch.isfinite(other).all()):
        return False
    return float((one - other).norm()) <= tolerance * (float(one.norm()) + 1e-12)


Law = Callable[[Seen, Seen], bool]

HALF_LOG = 0.5 * math.log(2 * math.pi)
EPSILONS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
"""Constants that are commonly added to keep a logarithm finite."""


def _adds(term: Callable[[Seen], Tensor]) -> Law:
    """Return the law of a log-density to which a term was added."""
    return lambda a, b: is_close(b.log_prob - a.log_prob, term(a), 1e-5)


def _scales(factor: Callable[[Seen], float]) -> Law:
    return lambda a, b: factor(a) != 1 and is_close(b.log_prob, factor(a) * a.log_prob)


def _log_std(seen: Seen) -> Tensor:
    return torch.log(seen.std).sum(1)


def _square(seen: Seen) -> Tensor:
    return ((seen.latent - seen.mean) ** 2 / seen.variance).sum(1)


def _square_over_std(seen: Seen) -> Tensor:
    return ((seen.latent - seen.mean) ** 2 / seen.std).sum(1)


def _is_bounded(seen: Seen) -> bool:
    return not torch.equal(seen.actions, seen.latent)


def _of_bounded(law: Law) -> Law:
    return lambda a, b: _is_bounded(a) and law(a, b)


def _epsilon(a: Seen, b: Seen) -> bool:
    difference = b.log_prob - a.log_prob
    exact = torch.log1p(-(a.actions**2))
    return any(
        is_close(difference, (exact - torch.log(1 - a.actions**2 + epsilon)).sum(1), 1e-3) for epsilon in EPSILONS
    )


def _clamped(a: Seen, b: Seen) -> bool:
    low, high = b.log_prob.min(), b.log_prob.max()
    return is_close(b.log_prob, a.log_prob.clamp(low, high)) and not is_close(a.log_prob, b.log_prob)


def _clipped_action(a: Seen, b: Seen) -> bool:
    """Return whether b's density doesn't change beyond a bound of the actions."""
    flat = ~torch.isfinite(b.variance)
    if not flat.any() or flat.all() or not torch.isfinite(b.variance[~flat]).all():
        return False
    return float(a.latent[flat].abs().min()) >= float(a.latent[~flat].abs().max()) - 1e-9


DENSITY: dict[str, Law] = {
    "mean over action dimensions instead of their sum": _scales(lambda a: 1 / a.width),
    "logarithm to base 2": _scales(lambda _: 1 / math.log(2)),
    "logarithm to base 10": _scales(lambda _: 1 / math.log(10)),
    "log-density with the wrong sign": _scales(lambda _: -1.0),
    "missing constant, half of log 2 pi": _adds(lambda a: torch.full_like(a.log_prob, HALF_LOG * a.width)),
    "missing log std": _adds(_log_std),
    "missing log std and constant": _adds(lambda a: _log_std(a) + HALF_LOG * a.width),
    "log std added instead of subtracted": _adds(lambda a: 2 * _log_std(a)),
    "square divided by the std instead of the variance": _adds(lambda a: 0.5 * _square(a) - 0.5 * _square_over_std(a)),
    "missing half of the square": _adds(lambda a: -0.5 * _square(a)),
    "missing tanh correction": _of_bounded(_adds(lambda a: tanh_log_det(a.latent))),
    "tanh correction with the wrong sign": _of_bounded(_adds(lambda a: 2 * tanh_log_det(a.latent))),
    "tanh correction's mean instead of its sum": _of_bounded(
        _adds(lambda a: tanh_log_det(a.latent) * (1 - 1 / a.width))
    ),
    "epsilon in the tanh correction": _of_bounded(_epsilon),
    "clamped log-density": _clamped,
    "action clipped before the log-density": _clipped_action,
}
"""The laws of the density itself, given a's and b's."""


def _std_is(std: Callable[[Tensor], Tensor]) -> Law:
    """Return the law of a Gaussian with the same mean and another standard deviation."""
    return lambda a, b: _has_same_mean(a, b) and _explains(std(a.std), a.std, b.std)


def _mean_is(mean: Callable[[Tensor], Tensor]) -> Law:
    """Return the law of a Gaussian with the same variance and another mean."""
    return lambda a, b: is_close(b.variance, a.variance) and _explains(mean(a.mean), a.mean, b.mean)


def _explains(predicted: Tensor, a: Tensor, b: Tensor) -> bool:
    """Return whether a prediction of b is right about its difference from a, which may be small."""
    return is_close(b - a, predicted - a, 1e-4)


def _has_same_mean(a: Seen, b: Seen) -> bool:
    return is_close(a.mean, b.mean, 1e-5)


def _log_std_is_std(a: Seen, b: Seen) -> bool:
    """Return whether b's std is the log of a's, where that is above 1: a negative log can't be a std."""
    above = a.std > 1.01
    return bool(above.any()) and is_close(b.std[above], torch.log(a.std[above]))


def _softplus_of_another_beta(a: Seen, b: Seen) -> bool:
    """Solve for beta by the first number, and return whether it explains all others."""
    if not _has_same_mean(a, b):
        return False
    raw = torch.log(torch.expm1(a.std))
    low, high = torch.tensor(1e-2, dtype=raw.dtype), torch.tensor(1e2, dtype=raw.dtype)
    for _ in range(200):
        beta = (low * high).sqrt()
        too_large = torch.nn.functional.softplus(beta * raw[0, 0]) / beta > b.std[0, 0]
        low, high = (beta, high) if too_large else (low, beta)
    return _explains(torch.nn.functional.softplus(beta * raw) / beta, a.std, b.std)


def _clamped_std(a: Seen, b: Seen) -> bool:
    same = torch.isclose(a.std, b.std, rtol=EXACT)
    clamped = a.std.clamp(b.std.min(), b.std.max())
    return _has_same_mean(a, b) and bool(same.any()) and _explains(clamped, a.std, b.std)


GAUSSIAN: dict[str, Law] = {
    "std used as a variance": _std_is(torch.sqrt),
    "variance used as a std": _std_is(torch.square),
    "precision used as a variance": _std_is(torch.reciprocal),
    "log std used as a std": _log_std_is_std,
    "softplus instead of exp": _std_is(torch.log1p),
    "exp instead of softplus": _std_is(torch.expm1),
    "std times a constant": lambda a, b: _std_is(lambda std: std * (b.std / a.std)[0, 0])(a, b),
    "softplus of another beta": _softplus_of_another_beta,
    "clamped std": _clamped_std,
    "std of another dimension": lambda a, b: a.width > 1 and _std_is(lambda std: std.flip(1))(a, b),
    "tanh of the mean": _mean_is(torch.tanh),
    "missing tanh of the mean": lambda a, b: is_close(a.variance, b.variance) and is_close(a.mean, torch.tanh(b.mean)),
    "mean with the wrong sign": _mean_is(torch.neg),
    "clipped mean": lambda a, b: _mean_is(lambda mean: mean.clamp(b.mean.min(), b.mean.max()))(a, b),
    "mean of another dimension": lambda a, b: a.width > 1 and _mean_is(lambda mean: mean.flip(1))(a, b),
}
"""The laws of the Gaussian that fits a density."""


def _is_gaussian(seen: Seen) -> bool:
    """Return whether the density is that of the diagonal Gaussian that fits it, normalisation included."""
    if not torch.isfinite(seen.mean).all():
        return False
    gaussian = torch.distributions.Normal(seen.mean, seen.std, validate_args=False).log_prob(seen.latent).sum(1)
    return is_close(seen.log_prob, gaussian - tanh_log_det(seen.latent) if _is_bounded(seen) else gaussian, 1e-5)


def _is_factor_for_covariance(a: Seen, b: Seen) -> bool:
    """Return whether b has a Cholesky factor as its covariance, of which torch reads the lower triangle."""
    if not torch.isfinite(a.precision).all() or not torch.isfinite(b.precision).all():
        return False
    factor, failed = torch.linalg.cholesky_ex(torch.linalg.inv(a.precision))
    return not failed.any() and is_close(
        b.precision @ (factor + factor.tril(-1).mT), torch.eye(a.width).expand_as(factor), 1e-5
    )


def name_density(a: Seen, b: Seen) -> str | None:
    """Return the name of the mistake by which b's density differs from a's; None where it has none."""
    laws = {**DENSITY, **GAUSSIAN} if _is_gaussian(b) else DENSITY
    name = next((name for name, law in laws.items() if law(a, b)), None)
    return "scale_tril used as a covariance" if name is None and _is_factor_for_covariance(a, b) else name


def lacks_sum(a: Seen, b: Seen) -> bool:
    """Return whether b has a log-density for each dimension of an action, and a hasn't."""
    return len(b.shape) > len(a.shape) and b.shape[-1] == b.width


def name_gradients(a: Seen, b: Seen) -> Iterator[str]:
    """Yield how gradients of equal densities, and of equal entropies, differ, by parameter."""
    found = list(_name_slopes(a.gradients, b.gradients, "gradient"))
    yield from found
    if not found and a.entropy is not None and b.entropy is not None and name_entropy(a, b) is None:
        yield from _name_slopes(a.entropy_gradients, b.entropy_gradients, "gradient of the entropy")


def _name_slopes(of_a: Mapping[str, Tensor], of_b: Mapping[str, Tensor], what: str) -> Iterator[str]:
    noise = EXACT**2 * sum(float(own.norm()) for own in of_a.values())
    for (name, one), other in zip(of_a.items(), of_b.values(), strict=True):
        if is_close(one, other) or float((one - other).norm()) <= noise:
            continue
        if not other.any():
            yield f"no {what} by {name}: detached"
        elif is_close(other / other.norm(), one / one.norm()):
            yield f"{what} by {name} {float(other.norm() / one.norm()):.4g} times as large"
        else:
            yield f"another {what} by {name}"


def name_entropy(a: Seen, b: Seen) -> str | None:
    """Return the name of the mistake by which b's entropy differs from a's; None where they are equal or not known."""
    if a.entropy is None or b.entropy is None:
        return None
    if a.entropy[0].shape != b.entropy[0].shape and b.entropy[0].shape[-1:] == (b.width,) and b.width > 1:
        return "missing sum over action dimensions in the entropy"
    one, other = (torch.cat([own.reshape(-1) for own in seen.entropy or ()]) for seen in (a, b))
    if is_close(one, other):
        return None
    dimensions = torch.stack([(torch.log(a.std[:, index]) + HALF_LOG + 0.5) for index in range(a.width)])
    expected = dimensions.sum(0)
    if other.shape == expected.shape and a.width > 1 and is_close(one, expected):
        if any(is_close(other, own) for own in dimensions):
            return "entropy of one dimension"
        if is_close(other, expected / a.width):
            return "entropy's mean over action dimensions instead of their sum"
    if is_close(other, -one):
        return "entropy with the wrong sign"
    if one.shape == other.shape and float((other - one).std()) < EXACT:
        return "entropy off by a constant"
    return "another entropy"
