"""Synthetic studies, and what is true of them.

A study has the thread's four arms unless it says otherwise. Seeds and chaos (what round-off becomes in an outcome) each
have a standard deviation of 1, so a single run's is the square root of 2, and the equivalence margin is half of that.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping

import numpy as np

from reports import thread
from reports.analysis.blocks import Arm, Blocks
from reports.factors import Factor
from reports.statistics import Array

MARGIN = 0.5 * math.sqrt(2.0)
"""The equivalence margin: half the standard deviation between seeds of single runs."""
BOUND = 1.25
"""The spread's bound."""

Draw = Callable[[np.random.Generator, tuple[int, ...]], Array]


def _bimodal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Return draws of which one in five is far worse, with mean 0 and standard deviation 1."""
    spread: Array = rng.normal(0, 0.1, shape) - (rng.random(shape) < 0.2)
    return (spread + 0.2) / math.sqrt(0.16 + 0.01)


SHAPES: dict[str, Draw] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "heavy tails": lambda rng, shape: rng.standard_t(3, size=shape) / math.sqrt(3),
    "bimodal": _bimodal,
    "skewed": lambda rng, shape: rng.exponential(size=shape) - 1,
}
"""Of seeds and of chaos: mean 0, standard deviation 1. Heavy tails are Student's t with 3 degrees of freedom."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Truth:
    """What is true of one factor.

    Attributes:
        effects: Those of the report's lines: in all runs, at each level and precision, in cells, at alternating signs.
        sensitivity: The more chaotic level's response to a one-ULP perturbation, over the calmer one's.
        seeds: The spread of pairs, over that of one-ULP perturbations of both levels.
        fails: Whether runs fail more often at one level.
    """

    effects: tuple[float, ...] = (0.0,)
    sensitivity: float = 1.0
    seeds: float = 1.0
    fails: bool = False

    @property
    def spread(self) -> float:
        """The spread of pairs, over that of one-ULP perturbations of the calmer level."""
        return self.seeds * math.sqrt((1 + self.sensitivity**2) / 2)

    @property
    def is_none(self) -> bool:
        """Whether there is no effect anywhere."""
        return not any(self.effects) and not self.fails

    @property
    def is_outside(self) -> bool:
        """Whether an effect is as large as the margin somewhere, or runs fail more often."""
        return max(map(abs, self.effects)) >= MARGIN * (1 - 1e-9) or self.fails

    @property
    def is_more_spread(self) -> bool:
        """Whether runs vary more than the bound."""
        return self.spread >= BOUND * (1 - 1e-9)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
    """A kind of study: the distribution of its outcomes, and what is true of it.

    Attributes:
        name: In words.
        truths: By factor.
        shift: Added to the outcomes of a seed: `[arms, precisions]`, from the arms' levels and the precisions.
        chaos: The standard deviation of what round-off becomes, by arm and precision.
        has_own_seeds: Whether arms share nothing but a seed's number.
        seed_effect: The standard deviation between seeds of the implementation's effect, beside its mean.
        skew: The slope of the parameterization's effect, zero on average, over the seed's own part.
        failing: The rate of failure by arm.
        collapse: The rate at which runs of the second implementation lose 5 standard deviations.
        is_shared: Whether both implementations have the same chaos.
        transform: Applied to every outcome.
        arms: Which of the arms there are.
        precisions: Which precisions there are.
        controlled: The share of seeds that have ULP controls.
        controls: Whether an arm has them in a precision.
        factors: In what the arms differ.
        paired: Whether seeds pair runs.
        is_estimated: Whether the margin is estimated from the runs.
    """

    name: str
    truths: Mapping[str, Truth]
    shift: Callable[[Mapping[str, str], str], float] = lambda _levels, _precision: 0.0
    chaos: Callable[[Mapping[str, str], str], float] = lambda _levels, _precision: 1.0
    has_own_seeds: bool = False
    seed_effect: float = 0.0
    skew: float = 0.0
    failing: Callable[[Mapping[str, str]], float] = lambda _levels: 0.0
    collapse: float = 0.0
    is_shared: bool = False
    transform: Callable[[Array], Array] = lambda outcomes: outcomes
    arms: tuple[Arm, ...] = tuple(
        Arm(name, dict(zip(("parameterization", "implementation"), levels, strict=True)))
        for name, levels in sorted(thread.CONDITIONS.items(), key=lambda item: item[0] in ("mvn_var", "normal_std"))
    )
    precisions: tuple[str, ...] = ("float32", "float64")
    controlled: float = 1.0
    controls: Callable[[Mapping[str, str], str], bool] = lambda _levels, _precision: True
    factors: tuple[Factor, ...] = thread.FACTORS
    paired: bool = True
    is_estimated: bool = False

    def draw(self, shape: str, seeds: int, rng: np.random.Generator) -> Blocks:
        """Return a drawn study.

        Args:
            shape: Of seeds and chaos, one of `SHAPES`.
            seeds: The number of seeds.
            rng: Draws the outcomes.
        """
        size = (seeds, len(self.arms), len(self.precisions), 2)
        base = SHAPES[shape](rng, self._base_size(size))
        outcomes = base + self._chaos(shape, size, rng) + self._of_runs(self.shift)[None, :, :, None]
        is_normal = np.array([arm.levels.get("implementation") == "normal" for arm in self.arms])[None, :, None, None]
        is_std = np.array([arm.levels.get("parameterization") == "std" for arm in self.arms])[None, :, None, None]
        outcomes = outcomes + self.seed_effect * rng.normal(size=(seeds, 1, 1, 1)) * is_normal
        outcomes = outcomes + self.skew * base * is_std
        outcomes = outcomes - 5.0 * (rng.random(size) < self.collapse) * is_normal
        outcomes = self.transform(outcomes)
        rates = np.array([self.failing(arm.levels) for arm in self.arms])[None, :, None, None]
        failed = rng.random(size) < rates
        outcomes = np.where(failed, np.nan, outcomes)
        controls = outcomes[..., 1:].copy()
        lost = failed[..., 1:].copy()
        controls[int(self.controlled * seeds) :], lost[int(self.controlled * seeds) :] = np.nan, False
        absent = ~self._of_runs(self.controls).astype(bool)
        controls[:, absent], lost[:, absent] = np.nan, False
        return Blocks(
            seeds=tuple(range(seeds)),
            arms=self.arms,
            precisions=self.precisions,
            outcomes=outcomes[..., 0],
            failed=failed[..., 0],
            controls=controls,
            failed_controls=lost,
        )

    def expected(self) -> Blocks:
        """Return a study whose outcomes are the means of this kind's: each of its effects is the true one.

        Without failures: these change ranks, not what runs that finish come to.
        """
        means = self._of_runs(self.shift)
        is_normal = np.array([[arm.levels.get("implementation") == "normal"] for arm in self.arms])
        outcomes = np.stack([means - 5.0 * self.collapse * is_normal] * 2)
        none = np.zeros((*outcomes.shape, 0))
        return Blocks(
            seeds=(0, 1),
            arms=self.arms,
            precisions=self.precisions,
            outcomes=outcomes,
            failed=np.zeros(outcomes.shape, dtype=bool),
            controls=none,
            failed_controls=none.astype(bool),
        )

    def _chaos(self, shape: str, size: tuple[int, ...], rng: np.random.Generator) -> Array:
        chaos = SHAPES[shape](rng, size)
        if self.is_shared:
            first: dict[str, int] = {}
            for number, arm in enumerate(self.arms):
                chaos[:, number] = chaos[:, first.setdefault(arm.levels["parameterization"], number)]
        return np.asarray(chaos * self._of_runs(self.chaos)[:, :, None])

    def _base_size(self, size: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the outcomes' part that depends on the seed, and that controls share."""
        seeds, arms, precisions, _ = size
        if not self.paired:
            return seeds, arms, precisions, 1
        return seeds, arms if self.has_own_seeds else 1, 1, 1

    def _of_runs(self, function: Callable[[Mapping[str, str], str], float]) -> Array:
        """Return a function's values, `[arms, precisions]`."""
        values = [[function(arm.levels, precision) for precision in self.precisions] for arm in self.arms]
        return np.array(values, dtype=float)


def _is(factor: str, level: str, size: float) -> Callable[[Mapping[str, str], str], float]:
    return lambda levels, _precision: size * (levels.get(factor) == level)


def _both(parameterization: float, implementation: float) -> dict[str, Truth]:
    return {
        "parameterization": Truth(effects=(parameterization,)),
        "implementation": Truth(effects=(implementation, 0.0)),
    }


def _implementation(
    *effects: float, sensitivity: float = 1.0, seeds: float = 1.0, fails: bool = False
) -> dict[str, Truth]:
    return {
        "parameterization": Truth(),
        "implementation": Truth(effects=effects, sensitivity=sensitivity, seeds=seeds, fails=fails),
    }


def _crossed(by: str, size: float) -> Callable[[Mapping[str, str], str], float]:
    """Return shifts by the implementation, of opposite sign at the two levels of another factor or in both precisions.

    Half of the effect is of either level, so that no other factor has an effect on average.
    """

    def shift(levels: Mapping[str, str], precision: str) -> float:
        first = precision == "float32" if by == "precision" else levels[by] == "variance"
        return size / 2 * (1 if first else -1) * (1 if levels["implementation"] == "normal" else -1)

    return shift


def _in_float32(size: float) -> Callable[[Mapping[str, str], str], float]:
    return lambda levels, precision: size * (levels["implementation"] == "normal" and precision == "float32")


def _across_cells(size: float) -> Callable[[Mapping[str, str], str], float]:
    """Return shifts by the implementation, of opposite sign wherever one of parameterization and precision changes."""

    def shift(levels: Mapping[str, str], precision: str) -> float:
        is_same = (levels["parameterization"] == "std") == (precision == "float32")
        return size / 2 * (1 if is_same else -1) * (1 if levels["implementation"] == "normal" else -1)

    return shift


def _in_one_cell(size: float) -> Callable[[Mapping[str, str], str], float]:
    def shift(levels: Mapping[str, str], precision: str) -> float:
        return size * ((*levels.values(), precision) == ("std", "normal", "float32"))

    return shift


def _noisier(
    times: float, factor: str = "implementation", level: str = "normal"
) -> Callable[[Mapping[str, str], str], float]:
    return lambda levels, _precision: times if levels[factor] == level else 1.0


def _failing(rate: float) -> Callable[[Mapping[str, str]], float]:
    return lambda levels: rate * (levels.get("implementation") == "normal")


ARMS: tuple[Arm, ...] = Study.__dataclass_fields__["arms"].default  # type: ignore[assignment]
THREE = tuple(Arm(name, {"condition": name}) for name in ("a", "b", "c"))
CONDITION = (Factor(name="condition", levels=("a", "b", "c"), must_agree=True),)
TWO = tuple(Arm(name, {"condition": name}) for name in ("a", "b"))
PAIR = (Factor(name="condition", levels=("a", "b"), must_agree=True),)

STUDIES = (
    Study(name="no effect", truths=_both(0, 0)),
    Study(name="parameterization", truths=_both(0.5, 0), shift=_is("parameterization", "std", 0.5)),
    Study(name="implementation", truths=_both(0, 0.5), shift=_is("implementation", "normal", 0.5)),
    Study(
        name="parameterization at the margin",
        truths=_both(MARGIN, 0),
        shift=_is("parameterization", "std", MARGIN),
    ),
    Study(
        name="at the margin, which is estimated",
        truths=_both(MARGIN, 0),
        shift=_is("parameterization", "std", MARGIN),
        is_estimated=True,
    ),
    Study(name="implementation at the margin", truths=_both(0, MARGIN), shift=_is("implementation", "normal", MARGIN)),
    Study(
        name="crossover by level",
        truths=_implementation(0, MARGIN, -MARGIN, 0, 0),
        shift=_crossed("parameterization", MARGIN),
    ),
    Study(
        name="crossover by precision",
        truths=_implementation(0, 0, 0, MARGIN, -MARGIN),
        shift=_crossed("precision", MARGIN),
    ),
    Study(
        name="effect in float32 alone",
        truths=_implementation(MARGIN / 2, MARGIN / 2, MARGIN / 2, MARGIN, 0),
        shift=_in_float32(MARGIN),
    ),
    Study(
        name="crossover by cell",
        truths=_implementation(0, MARGIN, -MARGIN),
        shift=_across_cells(MARGIN),
    ),
    Study(
        name="effect in one cell alone",
        truths={
            "parameterization": Truth(effects=(MARGIN / 4, MARGIN / 2, 0)),
            "implementation": Truth(effects=(MARGIN / 4, MARGIN / 2, MARGIN, -MARGIN / 4, 0)),
        },
        shift=_in_one_cell(MARGIN),
    ),
    Study(name="1.5 times the chaos", truths=_implementation(0, sensitivity=1.5), chaos=_noisier(1.5)),
    Study(name="2 times the chaos", truths=_implementation(0, sensitivity=2.0), chaos=_noisier(2.0)),
    Study(
        name="pairs vary 1.25 times",
        truths=_implementation(0, seeds=BOUND),
        seed_effect=math.sqrt(2 * (BOUND**2 - 1)),
    ),
    Study(name="chaos that implementations share", truths=_both(0, 0), is_shared=True),
    Study(name="1 in 3 fails", truths=_implementation(0, fails=True), failing=_failing(1 / 3)),
    Study(name="1 in 10 fails", truths=_implementation(0, fails=True), failing=_failing(1 / 10)),
    Study(name="all fail alike, 1 in 10", truths=_both(0, 0), failing=lambda _levels: 0.1),
    Study(name="1 in 10 collapses", truths=_implementation(-0.5, 0, sensitivity=math.sqrt(1 + 9 / 4)), collapse=0.1),
    Study(
        name="1 in 20 collapses", truths=_implementation(-0.25, 0, sensitivity=math.sqrt(1 + 19 / 16)), collapse=0.05
    ),
    Study(
        name="effect that grows with the seed",
        truths={"parameterization": Truth(seeds=math.sqrt(1 + 1 / 2)), "implementation": Truth()},
        skew=1.0,
    ),
    Study(name="ceiling", truths=_both(0, 0), transform=lambda outcomes: np.minimum(outcomes, 0.5)),
    Study(name="whole numbers", truths=_both(0, 0), transform=np.round),
    Study(name="three arms only", truths=_both(0, 0), arms=ARMS[:3]),
    Study(name="one precision", truths=_both(0, 0), precisions=("float32",)),
    Study(
        name="one precision, at the margin",
        truths=_implementation(MARGIN),
        shift=_is("implementation", "normal", MARGIN),
        precisions=("float32",),
    ),
    Study(name="controls on half of the seeds", truths=_both(0, 0), controlled=0.5),
    Study(
        name="controls in the calmer precision alone",
        truths=_both(0, 0),
        chaos=lambda _levels, precision: 1.75 if precision == "float32" else 1.0,
        controls=lambda _levels, precision: precision == "float64",
    ),
    Study(
        name="controls of the calmer level alone",
        truths={"parameterization": Truth(sensitivity=1.75), "implementation": Truth()},
        chaos=_noisier(1.75, "parameterization", "std"),
        controls=lambda levels, _precision: levels["parameterization"] == "variance",
    ),
    Study(
        name="seeds that arms do not share",
        truths={"condition": Truth(seeds=math.sqrt(2))},
        has_own_seeds=True,
        arms=TWO,
        factors=PAIR,
        precisions=("unknown",),
    ),
    Study(
        name="three levels, one at the margin",
        truths={"condition=b": Truth(), "condition=c": Truth(effects=(MARGIN,))},
        shift=_is("condition", "c", MARGIN),
        arms=THREE,
        factors=CONDITION,
        precisions=("float32",),
    ),
    Study(
        name="unpaired", truths={"condition": Truth()}, arms=TWO, factors=PAIR, precisions=("unknown",), paired=False
    ),
    Study(
        name="unpaired, at the margin",
        truths={"condition": Truth(effects=(MARGIN,))},
        shift=_is("condition", "b", MARGIN),
        arms=TWO,
        factors=PAIR,
        precisions=("unknown",),
        paired=False,
    ),
    Study(
        name="unpaired, at the margin, which is estimated",
        truths={"condition": Truth(effects=(MARGIN,))},
        shift=_is("condition", "b", MARGIN),
        arms=TWO,
        factors=PAIR,
        precisions=("unknown",),
        paired=False,
        is_estimated=True,
    ),
    Study(
        name="unpaired, 2 times the chaos",
        truths={"condition": Truth()},
        chaos=_noisier(2.0, "condition", "b"),
        arms=TWO,
        factors=PAIR,
        precisions=("unknown",),
        paired=False,
    ),
)
SEEDS = (5, 7, 10, 20, 40)
