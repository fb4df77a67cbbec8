"""What the variance of a single run's outcome consists of."""

import dataclasses
import itertools
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports.statistics.basics import ALPHA, Array

RESAMPLES = 2000


@dataclasses.dataclass(frozen=True)
class Shares:
    """Shares of the variance, which sum to 1."""

    shares: dict[str, float]
    """by the method of moments"""
    intervals: dict[str, tuple[float, float]]
    """95%, seeds resampled whole; percentiles"""


def variance_shares(
    outcomes: Array, factors: Mapping[str, Array], cells: Sequence[int], rng: np.random.Generator
) -> Shares | None:
    """Shares of the seed, of each factor and of what factors do together, of how seeds differ in all this, and of
    round-off, by the method of moments.

    In a factorial of two-level factors, a seed's cell means have as many orthogonal parts as there are cells: the
    seed's own mean, and a contrast, half the difference of two levels, for each factor and what several do together. Of
    a contrast, its squared mean over seeds is the factor's, and its variance over seeds is how seeds differ in it,
    each less what smaller parts bring to it by chance; round-off is the variance of replicates within cells. In a
    balanced design, where no part is negative, that is what restricted maximum likelihood finds too (Searle, Casella &
    McCulloch 1992).

    **Arguments**: `outcomes`, `[seeds, runs]`; `factors`, by name, each run's level, -1 or 1, `[runs]`; `cells`, each
    run's cell: runs of the same one are replicates.

    **Returns**: shares by name: `seed`, factors' own, `together`, `seed_by_factor`, `round_off`; None without
    replicates in all cells, or with nothing to share.
    """
    labels, members = np.unique(np.asarray(cells), return_counts=True)
    if len(outcomes) < 2 or members.min() < 2 or len(labels) != 2 ** len(factors):
        return None
    averaging = np.stack([(np.asarray(cells) == label) / count for label, count in zip(labels, members, strict=True)])
    first = [int(np.flatnonzero(np.asarray(cells) == label)[0]) for label in labels]
    signs = {name: levels[first] for name, levels in factors.items()}
    contrasts = {
        names: np.prod([signs[name] for name in names], axis=0) if names else np.ones(len(labels))
        for size in range(len(factors) + 1)
        for names in itertools.combinations(factors, size)
    }
    basis = np.stack(list(contrasts.values())) / len(labels)

    means = outcomes @ averaging.T
    within = ((outcomes - means[:, np.searchsorted(labels, cells)]) ** 2).sum(axis=1) / (
        outcomes.shape[1] - len(labels)
    )
    coordinates = means @ basis.T
    noise = float((1 / members).sum()) / len(labels) ** 2

    def parts(rows: NDArray[np.intp]) -> Array:
        """`[resamples, seeds]` to `[parts, resamples]`."""
        chosen, round_off = coordinates[rows], within[rows].mean(axis=1)
        variances = chosen.var(axis=1, ddof=1)
        fixed = np.maximum(0.0, chosen.mean(axis=1) ** 2 - variances / rows.shape[1])
        random = np.maximum(0.0, variances - noise * round_off[:, None])
        alone = {name: fixed[:, index] for index, (name, *more) in _named(contrasts) if not more}
        together = sum((fixed[:, index] for index, names in _named(contrasts) if len(names) > 1), np.zeros(len(rows)))
        return np.stack([random[:, 0], *alone.values(), together, random[:, 1:].sum(axis=1), round_off])

    names = ["seed", *factors, "together", "seed_by_factor", "round_off"]
    everything = parts(np.arange(len(outcomes))[None])[:, 0]
    if not everything.sum() > 1e-24 * float(np.abs(outcomes).max()) ** 2:
        return None
    resampled = parts(rng.integers(len(outcomes), size=(RESAMPLES, len(outcomes))))
    with np.errstate(invalid="ignore"):
        low, high = np.nanquantile(resampled / resampled.sum(axis=0), (ALPHA / 2, 1 - ALPHA / 2), axis=1)
    return Shares(
        shares=dict(zip(names, map(float, everything / everything.sum()), strict=True)),
        intervals={name: (float(a), float(b)) for name, a, b in zip(names, low, high, strict=True)},
    )


def mixed_model_shares(outcomes: Array, factors: Mapping[str, Array]) -> dict[str, float] | None:
    """The same shares by statsmodels' linear mixed model: factors fixed, random for seeds are the mean and each
    factor's effect, fitted by restricted maximum likelihood. None where it doesn't converge.

    It needs no replicates to be told apart from what several factors do together: it takes those for round-off.

    **Arguments**: as `variance_shares` takes them.
    """
    from statsmodels.regression.mixed_linear_model import MixedLM

    seeds, runs = outcomes.shape
    spread = float(outcomes.std())
    if seeds < 3 or spread <= 1e-12 * float(np.abs(outcomes).max()):
        return None
    long = pd.DataFrame({name: np.tile(levels, seeds) for name, levels in factors.items()})
    long["seed"] = np.repeat(np.arange(seeds), runs)
    long["outcome"] = ((outcomes - outcomes.mean()) / spread).ravel()
    fixed = "*".join(factors) or "1"
    model = MixedLM.from_formula(
        f"outcome ~ {fixed}",
        groups="seed",
        re_formula="1",
        vc_formula={name: f"0 + {name}" for name in factors},
        data=long,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a variance is at its bound, zero, is an answer and no failure
        try:
            fit = model.fit(reml=True, method=["powell", "lbfgs"])
        except (np.linalg.LinAlgError, ValueError):
            return None
    if not fit.converged:
        return None
    scaled = fit.params.drop(labels=["Intercept", *fit.params.index[fit.params.index.str.endswith("Var")]])
    errors = fit.bse_fe[scaled[scaled.index.isin(fit.bse_fe.index)].index]
    fixed_parts = {name: max(0.0, float(scaled[name] ** 2 - errors[name] ** 2)) for name in errors.index}
    parts = {
        "seed": float(fit.cov_re.iloc[0, 0]),
        **{name: fixed_parts[name] for name in factors},
        "together": sum(part for name, part in fixed_parts.items() if ":" in name),
        "seed_by_factor": float(np.sum(fit.vcomp)),
        "round_off": float(fit.scale),
    }
    total = sum(parts.values())
    return {name: part / total for name, part in parts.items()} if total > 0 else None


def _named(contrasts: Mapping[tuple[str, ...], Array]) -> list[tuple[int, tuple[str, ...]]]:
    """Each contrast's place and factors, but the seed's own mean."""
    return [(index, names) for index, names in enumerate(contrasts) if names]
