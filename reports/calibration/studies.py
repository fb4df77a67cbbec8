"""The test of the tests: studies of known truth, and how often each answer is given.

A simulated study is the thread's own design: four conditions, both precisions, with and without the nudge. An outcome
is its seed's, plus the effects, plus what chaos makes of round-off: drawn anew for every run, which is what replicates
of an unstable problem look like. Seeds and, unless a truth is calm, chaos have deviation 1 each, so single runs have
sqrt(2), and the true default margin is 0.71. The answers are `attribution.judge`'s own, margin, family, spread and all.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from reports.attribution import MARGIN, Estimate, Verdict, judge
from reports.layout import PRIMARY, Factor, Layout, Place
from reports.sources.runs import FACTORS
from reports.statistics import ALPHA, Array, Margin, holm, p_equivalent

RESAMPLES = 10_000
"""Sign flips to draw above 20 seeds: a p-value of drawn flips is valid however few they are (Phipson & Smyth 2010)."""

LAYOUT = Layout(
    tuple(
        Place(condition, *FACTORS[condition], precision, replicate)
        for condition, precision, replicate in itertools.product(sorted(FACTORS), ("float32", "float64"), (0, 1))
    )
)

IS_STD = np.array([place.parameterization == "std" for place in LAYOUT.places])
IS_NORMAL = np.array([place.implementation == "normal" for place in LAYOUT.places])

Draw = Callable[[np.random.Generator, tuple[int, ...]], Array]


def _bimodal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """One in five fails, by far."""
    scatter: Array = rng.normal(0, 0.1, shape) - (rng.random(shape) < 0.2)
    return (scatter + 0.2) / math.sqrt(0.16 + 0.01)


SHAPES: dict[str, Draw] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "heavy tails": lambda rng, shape: rng.standard_t(3, size=shape) / math.sqrt(3),
    "bimodal": _bimodal,
    "skewed": lambda rng, shape: rng.exponential(size=shape) - 1,
}
"""Of seeds and of chaos: mean 0, deviation 1. Heavy tails are Student's t of 3 degrees of freedom."""


@dataclasses.dataclass(frozen=True)
class Truth:
    """What a study's effects are."""

    name: str
    parameterization: float = 0.0
    implementation: float = 0.0
    scatter: float = 0.0
    """deviation between seeds of what the implementation does beside: no effect on the mean, but no round-off either"""
    chaos: float = 1.0
    """deviation of what round-off becomes, between runs of a seed; that between seeds is 1"""

    @property
    def margin(self) -> float:
        """The true default margin."""
        return MARGIN * math.hypot(1.0, self.chaos)

    @property
    def is_at_margin(self) -> bool:
        """Whether the parameterization's effect is at the margin."""
        return math.isclose(self.parameterization, self.margin)


TRUTHS = (
    Truth("no effect"),
    Truth("parameterization", parameterization=0.5),
    Truth("implementation", implementation=0.5),
    Truth("both", parameterization=0.5, implementation=-0.5),
    Truth("at the margin", parameterization=MARGIN * math.hypot(1.0, 1.0)),
    Truth("at the margin, calm", parameterization=MARGIN * math.hypot(1.0, 0.2), chaos=0.2),
    Truth("more scatter", scatter=2.0),
)
SEEDS = (5, 10, 20, 30)


@dataclasses.dataclass(frozen=True)
class Row:
    """How often studies of one truth, shape and size came to each answer, as shares."""

    truth: Truth
    shape: str
    seeds: int
    studies: int
    verdicts: dict[str, float]
    false_different: float
    """an effect of zero was called different"""
    false_equivalent: float
    """an effect at the margin passed the test of equivalence"""
    false_equivalent_as_if_exact: float
    """the same, had the estimated margin been taken for an exact one"""
    covered: float
    """of both effects' 95% intervals, those that have the truth in them"""
    jointly_covered: float
    """both adjusted intervals have theirs, which isn't promised"""
    equivalent: float
    """the parameterization's effect of zero passed the test of equivalence"""
    equivalent_by_t: float
    """the parameterization's effect passed that of two one-sided t tests which know the true margin"""
    power: dict[str, float]
    """the parameterization's effect was called different: here, by paired t tests, and by Wilcoxon's; with Holm all"""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """A row from what `dataclasses.asdict` makes of it. **Raises**: `KeyError` or `TypeError`, where it is none."""
        return cls(**{**values, "truth": Truth(**values["truth"])})


def simulate(truth: Truth, shape: str, seeds: int, studies: int) -> Row:
    """Simulate and judge. A row has its own random numbers, and is the same whatever other rows there are."""
    place = TRUTHS.index(truth) if truth in TRUTHS else len(TRUTHS)
    rng = np.random.default_rng([place, [*SHAPES].index(shape), seeds])
    effects: dict[Factor, float] = {"parameterization": truth.parameterization, "implementation": truth.implementation}
    shift = truth.parameterization * IS_STD + truth.implementation * IS_NORMAL
    answers = []
    for _ in range(studies):
        base, chaos = SHAPES[shape](rng, (seeds, 1)), SHAPES[shape](rng, (seeds, len(LAYOUT.places)))
        more = truth.scatter * rng.normal(size=(seeds, 1)) * IS_NORMAL
        answers.append(judge(LAYOUT, base + truth.chaos * chaos + shift + more, None, RESAMPLES))

    def share(holds: Callable[[Estimate, float], bool]) -> NDArray[np.bool_]:
        """By factor and study, whether it holds of the effect and the truth: `[factors, studies]`."""
        return np.array([[holds(answer.effects[factor], effects[factor]) for answer in answers] for factor in PRIMARY])

    differences = np.array([[answer.effects[factor].differences for answer in answers] for factor in PRIMARY])
    different = share(lambda effect, _: effect.p_adjusted <= ALPHA)
    return Row(
        truth=truth,
        shape=shape,
        seeds=seeds,
        studies=studies,
        verdicts={
            verdict: sum(answer.verdict == verdict for answer in answers) / studies for verdict in get_args(Verdict)
        },
        false_different=_any(different & share(lambda _, true: true == 0)),
        false_equivalent=_any(share(lambda effect, true: truth.is_at_margin and true != 0 and effect.is_equivalent)),
        false_equivalent_as_if_exact=_any(
            share(lambda effect, true: truth.is_at_margin and true != 0 and _as_if_exact(effect))
        ),
        covered=float(share(lambda effect, true: effect.flip.p_two_sided(true) > ALPHA).mean()),
        jointly_covered=1 - _any(share(lambda effect, true: effect.flip.p_two_sided(true) <= effect.level)),
        equivalent=float(share(lambda effect, true: true == 0 and effect.is_equivalent)[0].mean()),
        equivalent_by_t=float(_is_inside(differences[0], truth.margin).mean()),
        power={
            "sign flip": float(different[0].mean()),
            "t": _power(np.asarray(stats.ttest_1samp(differences, 0, axis=2).pvalue)),
            "Wilcoxon": _power(np.asarray(stats.wilcoxon(differences, axis=2).pvalue)),
        },
    )


def _any(happened: NDArray[np.bool_]) -> float:
    """The share of studies in which it happened to any effect."""
    return float(happened.any(axis=0).mean())


def _as_if_exact(effect: Estimate) -> bool:
    if effect.margin is None:
        return False
    return p_equivalent(effect.differences, effect.flip, Margin(effect.margin.value)) <= ALPHA


def _is_inside(differences: Array, margin: float) -> NDArray[np.bool_]:
    """Two one-sided t tests: `[studies, seeds]` to `[studies]`."""
    seeds = differences.shape[1]
    half = stats.t.isf(ALPHA, seeds - 1) * differences.std(axis=1, ddof=1) / math.sqrt(seeds)
    return np.asarray(np.abs(differences.mean(axis=1)) + half < margin)


def _power(p_values: Array) -> float:
    """The share of studies in which Holm rejects the first of two hypotheses: `[2, studies]`."""
    return float(np.mean([holm(study)[0] <= ALPHA for study in p_values.T]))


def table(rows: Sequence[Row]) -> str:
    """The rows in Markdown, shares in percent, and how exact they are."""
    verdicts = get_args(Verdict)
    columns = [
        "truth", "shape", "seeds", *(f"*{verdict}*" for verdict in verdicts), "false different", "false equivalent",
        "as if exact", "interval covers", "both adjusted cover", "power", "by t", "by Wilcoxon", "equivalence",
        "by t, margin known",
    ]  # fmt: skip
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for row in rows:
        is_none = row.truth.parameterization == 0
        shares = [
            *(row.verdicts[verdict] for verdict in verdicts),
            row.false_different if 0 in (row.truth.parameterization, row.truth.implementation) else None,
            row.false_equivalent if row.truth.is_at_margin else None,
            row.false_equivalent_as_if_exact if row.truth.is_at_margin else None,
            row.covered,
            row.jointly_covered,
            *((None, None, None) if is_none else row.power.values()),
            row.equivalent if is_none else None,
            row.equivalent_by_t if is_none else None,
        ]
        cells = [row.truth.name, row.shape, str(row.seeds)]
        cells += ["" if share is None else f"{100 * share:.1f}" for share in shares]
        lines.append(f"| {' | '.join(cells)} |")
    for share in (0.05, 0.5):
        largest = max(error(share, row.studies) for row in rows)
        lines.append(f"\nMonte-Carlo standard error of a figure of {100 * share:.0f}: {100 * largest:.1f}")
    return "\n".join(lines)


def error(share: float, studies: int) -> float:
    """The Monte-Carlo standard error of a share."""
    return math.sqrt(share * (1 - share) / studies)
