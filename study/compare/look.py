"""The first look: a few optimizer steps of each arm with one seed, and what they say of the mechanism."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from study.compare.arms import Arm
from study.compare.gaps import Gaps, measure_gaps
from study.compare.launching import Ended, Job, Launcher
from study.compare.naming import name_gradients, name_update
from study.compare.reading import Difference, Reading, find_first, read
from study.compare.recordings import Recording, Whole
from study.errors import WorkerError

ControlName = Literal["jitter", "one_ulp", "rerun"]
CONTROLS = (1, 2)
"""Seeds of the controls: two tell how much controls differ among themselves."""
WHOLE = (1, 2, 3)
"""The steps that the probe keeps whole unasked."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """How to look.

    Attributes:
        seed: Of all runs.
        steps: Optimizer steps of each run.
        control: What is done to the first arm to learn what round-off does.
        share_weights: Whether all arms take the first arm's initial weights.
        rename: Beginnings of names of tensors, of other arms' and of the first arm's.
    """

    seed: int
    steps: int = 100
    control: ControlName = "jitter"
    share_weights: bool = False
    rename: Sequence[tuple[str, str]] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
    """What a look at two arms found.

    Attributes:
        arm: The second; the first is the comparison's reference.
        gaps: How far both runs are apart.
        reading: What that says.
        words: What the first difference is, in words.
        runs: Both recordings.
    """

    arm: Arm
    gaps: Gaps
    reading: Reading
    words: Sequence[str]
    runs: tuple[Recording, Recording]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Looks:
    """What a look at all arms found.

    Attributes:
        reference: The first arm.
        rerun: How far two equal runs of it are apart.
        looks: One for each other arm.
    """

    reference: Arm
    rerun: Gaps
    looks: Sequence[Look]

    @property
    def is_deterministic(self) -> bool:
        """Whether the first arm's runs have the same bits."""
        return self.rerun.is_identical


class Looker:
    """Looks at arms.

    Args:
        arms: The first is the reference.
        options: How to look.
        launcher: Runs them.
    """

    def __init__(self, arms: Sequence[Arm], options: Options, launcher: Launcher) -> None:
        self._reference, self._others = arms[0], arms[1:]
        self._options, self._launcher = options, launcher
        self._weights = ""

    def look(self) -> Looks:
        """Run what is needed, and read it.

        Raises:
            WorkerError: A run failed.
        """
        first, again, others = self._run_plainly()
        rerun = measure_gaps(first, again)
        pairs = [(arm, run, measure_gaps(first, run)) for arm, run in zip(self._others, others, strict=True)]
        pairs = [(arm, run, self._with_numbers(arm, gaps)) for arm, run, gaps in pairs]
        controls = self._run_controls(first, [gaps for _, _, gaps in pairs])
        if not rerun.is_identical:
            controls = {name: [*own, rerun] for name, own in controls.items()}
        doubles = self._run_in_double([arm for arm, _, gaps in pairs if not gaps.is_identical])
        looks = []
        for arm, run, gaps in pairs:
            double = doubles.get(arm.name)
            reading = read(gaps, controls[_control_for(gaps, self._options.control)], double and double[2])
            looks.append(self._describe(Look(arm=arm, gaps=gaps, reading=reading, words=(), runs=(first, run)), double))
        return Looks(reference=self._reference, rerun=rerun, looks=looks)

    def _run_plainly(self) -> tuple[Recording, Recording, list[Recording]]:
        """Run each arm once, and the first twice."""
        reference = [self._job(self._reference, "plain"), self._job(self._reference, "rerun")]
        others = [self._job(arm, "plain") for arm in self._others]
        if self._options.share_weights:
            ended = self._run(reference)
            self._weights = str((ended[0].folder / "watch").resolve())
            others = [self._job(arm, "plain") for arm in self._others]
            ended += self._run(others)
        else:
            ended = self._run([*reference, *others])
        first, again, *rest = [run.recording for run in ended]
        return first, again, rest

    def _run_controls(self, first: Recording, gaps: Sequence[Gaps]) -> dict[str, list[Gaps]]:
        """Run those controls that are needed, and return their gaps by name."""
        wanted = sorted({_control_for(own, self._options.control) for own in gaps if not own.is_identical})
        jobs = [
            self._job(self._reference, f"{name}-{seed}", control=name, control_seed=seed)
            for name in wanted
            if name != "rerun"
            for seed in CONTROLS
        ]
        runs = [run.recording for run in self._run(jobs)]
        found: dict[str, list[Gaps]] = {name: [] for name in ("jitter", "initial", "one_ulp", "rerun")}
        for job, run in zip(jobs, runs, strict=True):
            found[job.kind.rpartition("-")[0]].append(measure_gaps(first, run))
        return found

    def _run_in_double(self, arms: Sequence[Arm]) -> dict[str, tuple[Recording, Recording, Gaps]]:
        """Run arms, and the first, in float64; those of which that can't be had are left out."""
        if not arms:
            return {}
        jobs = [self._job(arm, "float64", double=True) for arm in (self._reference, *arms)]
        reference, *others = self._launcher.run(jobs)
        if not _can_be_read(reference):
            return {}
        one = reference.recording
        return {
            arm.name: (one, run.recording, measure_gaps(one, run.recording))
            for arm, run in zip(arms, others, strict=True)
            if _can_be_read(run)
        }

    def _with_numbers(self, arm: Arm, gaps: Gaps) -> Gaps:
        """Return the gaps with the size of the first difference in the data, which may need a second run."""
        if gaps.data is None or not _is_decisive(gaps) or all(map(_is_finite, gaps.data.sizes.values())):
            return gaps
        window = (gaps.data.index, gaps.data.index)
        jobs = [self._job(own, f"record{gaps.data.index}", numbers=window) for own in (self._reference, arm)]
        one, other = self._run(jobs)
        return measure_gaps(one.recording, other.recording)

    def _describe(self, look: Look, double: tuple[Recording, Recording, Gaps] | None) -> Look:
        """Name what differs, by the gradients and weights of the step that was read."""
        reading = look.reading
        told = reading.beyond or reading.first
        if told is None or told.where not in ("gradient", "optimizer", "update") or look.gaps.pairs is None:
            return look
        is_double = reading.beyond is not None and reading.in_double and double is not None
        gaps = double[2] if is_double and double else look.gaps
        assert gaps.pairs is not None
        exact = self._locate(look, told, gaps, is_double)
        pair = gaps.pairs[exact.optimizer]
        wholes = self._wholes(look, exact, pair.b.number, pair.a.number, is_double, double)
        reading = dataclasses.replace(reading, beyond=exact) if reading.beyond else reading
        if wholes is None:
            return dataclasses.replace(look, reading=reading)
        name = name_gradients if exact.where == "gradient" else name_update
        settings = next((s.settings for s in gaps.steps if s.step == exact.step), {})
        return dataclasses.replace(look, reading=reading, words=name(pair, *wholes, settings))

    def _locate(self, look: Look, told: Difference, gaps: Gaps, is_double: bool) -> Difference:
        """Return a late difference at the very step in which it begins: not all steps are recorded at first."""
        counts = [step.count for step in gaps.steps if step.optimizer == told.optimizer and step.count < told.count]
        before = max(counts, default=0)
        if told.count - before <= 1 or look.reading.beyond is None:
            return told
        jobs = [
            self._job(
                arm, f"dense{before}-{told.count}{'-float64' * is_double}", dense=(before, told.count), double=is_double
            )
            for arm in (self._reference, look.arm)
        ]
        one, other = (run.recording for run in self._run(jobs))
        dense = measure_gaps(one, other)
        size = told.size
        for step in dense.steps:
            if step.optimizer == told.optimizer and before < step.count <= told.count:
                gap = max(step.gradients.max(initial=0.0), step.parameters.max(initial=0.0))
                if gap >= size / 100:
                    return dataclasses.replace(told, step=step.step, count=step.count)
        return told

    def _wholes(
        self,
        look: Look,
        at: Difference,
        number: int,
        own: int,
        is_double: bool,
        double: tuple[Recording, Recording, Gaps] | None,
    ) -> tuple[Whole, Whole] | None:
        """The step whole, of both runs: they are run again where it wasn't kept."""
        runs: Sequence[Recording] = double[:2] if is_double and double else look.runs
        if at.count not in WHOLE:
            jobs = [
                self._job(arm, f"whole{at.count}{'-float64' * is_double}", whole=[at.count], double=is_double)
                for arm in (self._reference, look.arm)
            ]
            runs = [run.recording for run in self._run(jobs)]
        found = runs[0].whole(own, at.count), runs[1].whole(number, at.count)
        return (found[0], found[1]) if found[0] is not None and found[1] is not None else None

    def _job(self, arm: Arm, kind: str, **watch: Any) -> Job:
        asked: Mapping[str, Any] = {
            "stop": self._options.steps,
            **{name: value for name, value in watch.items() if value},
        }
        if self._weights and arm != self._reference:
            asked = {**asked, "weights": self._weights, "rename": [list(pair) for pair in self._options.rename]}
        return Job(arm=arm, seed=self._options.seed, kind=kind, watch=asked)

    def _run(self, jobs: Sequence[Job]) -> list[Ended]:
        ended = self._launcher.run(jobs)
        for run in ended:
            if run.exit_code:
                raise WorkerError(
                    f"arm {run.job.arm.name}, seed {run.job.seed} ({run.job.kind}): exit code {run.exit_code}: "
                    f"{run.last_line}; its output is in {run.folder}"
                )
        return ended


def _can_be_read(run: Ended) -> bool:
    return run.exit_code == 0 and bool(run.recording.steps)


def _control_for(gaps: Gaps, control: ControlName) -> str:
    """Which control: weights perturbed from the beginning where runs differ before anything was learned."""
    first = find_first(gaps)
    early = first is not None and (first.where == "initial weights" or (first.where == "data" and first.step <= 1))
    return "initial" if control == "jitter" and early else control


def _is_decisive(gaps: Gaps) -> bool:
    first = find_first(gaps)
    return first is not None and first.where == "data"


def _is_finite(size: float) -> bool:
    return size < float("inf")
