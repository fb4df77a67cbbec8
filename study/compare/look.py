"""The first look: a few optimizer steps of each arm with one seed, and the mechanism that they show."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

from study.compare.arms import Arm
from study.compare.gaps import Gaps, measure_gaps
from study.compare.launching import Ended, Job, Launcher, Shared
from study.compare.matching import Pair
from study.compare.naming import brief, name_gradients, name_update
from study.compare.parts import Parted, align
from study.compare.reading import Difference, Reading, find_first, read
from study.compare.recordings import Recording, Whole
from study.errors import ArmFailedError, ConfigError

ControlName = Literal["jitter", "one_ulp", "rerun"]
CONTROLS = (1, 2)
"""Seeds of the controls: two tell how much controls differ among themselves."""
WHOLE = (1, 2, 3)
"""The steps that the probe keeps whole by default."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The options of a look.

    Attributes:
        seed: The seed of all runs.
        steps: Optimizer steps of each run.
        control: What is done to the first arm to learn what round-off does.
        shared: How all arms take the first arm's initial weights; None where they have their own.
    """

    seed: int
    steps: int = 100
    control: ControlName = "jitter"
    shared: Shared | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
    """What a look at two arms found.

    Attributes:
        arm: The second; the first is the comparison's reference.
        gaps: How far both runs are apart.
        reading: The mechanism that the gaps show.
        words: What differs, in words.
        runs: Both recordings.
        double: Both recordings in float64, and how far they are apart; None where one of them failed.
    """

    arm: Arm
    gaps: Gaps
    reading: Reading
    words: Sequence[str]
    runs: tuple[Recording, Recording]
    double: tuple[Recording, Recording, Gaps] | None

    @property
    def double_gaps(self) -> Gaps | None:
        """Return how far the runs in float64 are apart."""
        return None if self.double is None else self.double[2]

    @property
    def is_read_in_double(self) -> bool:
        """Return whether the difference beyond round-off was found in float64."""
        return self.double is not None and self.reading.beyond is not None and self.reading.in_double

    @property
    def followed(self) -> Gaps:
        """Return the gaps in which the difference was found."""
        return self.double[2] if self.double is not None and self.is_read_in_double else self.gaps


@dataclasses.dataclass(frozen=True, kw_only=True)
class Failure:
    """An arm of which nothing can be told.

    Attributes:
        arm: The arm.
        error: The run that failed: one of the arm, or a control that the arm's reading needs.
    """

    arm: Arm
    error: ArmFailedError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Looks:
    """What a look at all arms found.

    Attributes:
        reference: The first arm.
        rerun: How far two equal runs of it are apart.
        looks: One for each other arm that could be read.
        failures: The other arms.
    """

    reference: Arm
    rerun: Gaps
    looks: Sequence[Look]
    failures: Sequence[Failure] = ()

    @property
    def is_deterministic(self) -> bool:
        """Return whether two runs of the first arm have the same bits."""
        return self.rerun.is_identical


@dataclasses.dataclass(frozen=True, kw_only=True)
class Controls:
    """What round-off does to the first arm.

    Attributes:
        perturbed: The gaps between its run and runs of it with weights moved by one ULP.
        reruns: Those between its run and equal ones, where these aren't the same.
    """

    perturbed: Sequence[Gaps]
    reruns: Sequence[Gaps]


class Looker:
    """Runs arms for a few steps, and reads how their mechanisms differ.

    Args:
        arms: The first is the reference.
        options: The options of the look.
        launcher: Runs the arms.
    """

    def __init__(self, arms: Sequence[Arm], options: Options, launcher: Launcher) -> None:
        self._reference, self._others = arms[0], arms[1:]
        self._options, self._launcher = options, launcher
        self._asked: dict[str, Any] = {}
        self._unseeded: frozenset[str] = frozenset()

    def look(self) -> Looks:
        """Run what is needed, and return what was found.

        Raises:
            ArmFailedError: A run of the first arm failed, with which all others are compared.
            ConfigError: An arm can't begin with the first arm's weights.
        """
        first, again, others = self._run_plainly()
        rerun = measure_gaps(first, again)
        self._unseeded = rerun.unseeded
        runs = {run.job.arm.name: align(first, run.recording) for run in others if not run.exit_code}
        gaps = {name: measure_gaps(*both) for name, both in runs.items()}
        controls = self._run_controls(list(gaps.values()))
        doubles = self._run_in_double(
            [arm for arm in self._others if arm.name in gaps and not gaps[arm.name].is_identical]
        )
        looks, failures = [], []
        for run in others:
            arm = run.job.arm
            try:
                _recordings([run])
                own, both = gaps[arm.name], runs[arm.name]
                wanted = [] if own.is_identical else _recordings(controls[self._control_for(own)])
                control = Controls(
                    perturbed=[_measure_again(both[0], control) for control in wanted],
                    reruns=[] if rerun.is_identical else [_measure_again(both[0], again)],
                )
                looks.append(self._look_at(arm, both, own, control, doubles.get(arm.name)))
            except ArmFailedError as error:
                failures.append(Failure(arm=arm, error=error))
        return Looks(reference=self._reference, rerun=rerun, looks=looks, failures=failures)

    def _look_at(
        self,
        arm: Arm,
        runs: tuple[Recording, Recording],
        gaps: Gaps,
        controls: Controls,
        double: tuple[Recording, Recording, Gaps] | None,
    ) -> Look:
        gaps = self._with_numbers(arm, gaps)
        look = Look(arm=arm, runs=runs, gaps=gaps, double=double, reading=UNREAD, words=())
        return self._name(self._check_by_rerun(self._read(look, controls), runs[1], controls))

    def _read(self, look: Look, controls: Controls) -> Look:
        """Read a look. For a late difference, run again with all steps recorded, to find the step where it begins."""
        look = self._with_reading(look, controls)
        window = _window(look)
        if window is None:
            return look
        name = f"dense{window[0]}-{window[1]}"
        runs = self._run_both(look.arm, name, dense=window, numbers=_numbers_window(look))
        double = None
        if look.double is not None:
            one, other = self._run_both(look.arm, f"{name}-float64", dense=window, double=True)
            double = one, other, measure_gaps(one, other)
        dense = dataclasses.replace(look, runs=runs, gaps=measure_gaps(*runs), double=double)
        return self._with_reading(dense, controls)

    def _with_reading(self, look: Look, controls: Controls) -> Look:
        reading = read(look.gaps, controls.perturbed, look.double_gaps, controls.reruns, self._unseeded)
        return dataclasses.replace(look, reading=reading)

    def _check_by_rerun(self, look: Look, plain: Recording, controls: Controls) -> Look:
        """Run an arm again that seems to differ: an arm that differs from its own rerun can't be compared."""
        if look.reading.name not in ("real", "late", "unpaired"):
            return look
        (again,) = self._run([self._job(look.arm, "rerun")])
        rerun = _measure_again(plain, again)
        if read(rerun, controls.perturbed, unseeded=rerun.unseeded).name in ("identical", "round-off"):
            return look
        because = f"two equal runs of {look.arm.name} differ by more than round-off: it isn't deterministic"
        return dataclasses.replace(look, reading=dataclasses.replace(look.reading, name="unpaired", because=because))

    def _run_plainly(self) -> tuple[Recording, Recording, list[Ended]]:
        """Run each arm once and the first twice, and return the first's recordings and how the others ended."""
        reference = [self._job(self._reference, "plain"), self._job(self._reference, "rerun")]
        others = [self._job(arm, "plain") for arm in self._others]
        if self._options.shared is not None:
            ended = self._launcher.run(reference)
            self._asked = self._options.shared.asked(ended[0].folder / "watch")
            others = [self._job(arm, "plain") for arm in self._others]
            ended += [] if ended[0].exit_code else self._launcher.run(others)
            self._require_shared(ended[len(reference) :])
        else:
            ended = self._launcher.run([*reference, *others])
        first, again = _recordings(ended[:2])
        return first, again, ended[2:]

    def _require_shared(self, ended: Sequence[Ended]) -> None:
        """Raise a `ConfigError` where an arm didn't take the first arm's weights."""
        for run in ended:
            for refused in run.recording.of("refused"):
                raise ConfigError(
                    f"arm {run.job.arm.name} can't begin with the first arm's weights: {refused['reason']}"
                )

    def _run_controls(self, gaps: Sequence[Gaps]) -> dict[str, list[Ended]]:
        """Run those controls that are needed, and return by name how they ended."""
        wanted = sorted({self._control_for(own) for own in gaps if not own.is_identical} - {"rerun"})
        jobs = {
            name: [self._job(self._reference, f"{name}-{seed}", control=name, control_seed=seed) for seed in CONTROLS]
            for name in wanted
        }
        ended = iter(self._launcher.run([job for own in jobs.values() for job in own]))
        return {"rerun": [], **{name: [next(ended) for _ in own] for name, own in jobs.items()}}

    def _run_in_double(self, arms: Sequence[Arm]) -> dict[str, tuple[Recording, Recording, Gaps]]:
        """Run the first arm and others in float64, and return by name those that could be run."""
        if not arms:
            return {}
        jobs = [self._job(arm, "float64", double=True) for arm in (self._reference, *arms)]
        reference, *others = self._launcher.run(jobs)
        if not _can_be_read(reference):
            return {}
        one = reference.recording
        pairs = {
            arm.name: align(one, run.recording) for arm, run in zip(arms, others, strict=True) if _can_be_read(run)
        }
        return {name: (*both, measure_gaps(*both)) for name, both in pairs.items()}

    def _with_numbers(self, arm: Arm, gaps: Gaps) -> Gaps:
        """Return the gaps with the size of the first difference in the data, by a second run where that is needed."""
        if gaps.data is None or not _is_decisive(gaps) or all(map(_is_finite, gaps.data.sizes.values())):
            return gaps
        index = gaps.data.index
        return measure_gaps(*self._run_both(arm, f"record{index}", numbers=(index, index)))

    def _name(self, look: Look) -> Look:
        """Return a look with what differs in words, by the gradients and weights of the step that was read."""
        found = look.reading.beyond or look.reading.first
        if found is None or found.where not in ("gradient", "optimizer", "update") or look.gaps.pairs is None:
            return look
        pair = look.gaps.pairs[found.optimizer]
        wholes = self._wholes(look, found, pair)
        if wholes is None:
            return look
        at = found.step, found.optimizer
        settings = next((step.settings for step in look.followed.steps if (step.step, step.optimizer) == at), {})
        words = name_gradients(pair, *wholes) if found.where == "gradient" else name_update(pair, *wholes, settings)
        if found.where != "gradient" and len(look.gaps.pairs) > 1:
            words = [*words[:-1], f"{words[-1]}: {brief(pair.a.names)}"]
        return dataclasses.replace(look, words=words)

    def _wholes(self, look: Look, at: Difference, pair: Pair) -> tuple[Whole, Whole] | None:
        """Return both runs' gradients and weights at a step. The runs are repeated where those weren't kept."""
        in_double = look.is_read_in_double
        runs = look.double[:2] if in_double and look.double else look.runs
        if at.count not in WHOLE:
            name = f"whole{at.count}{'-float64' * in_double}"
            runs = self._run_both(look.arm, name, whole=[at.count], double=in_double)
        found = runs[0].whole(pair.a.number, at.count), runs[1].whole(pair.b.number, at.count)
        return (found[0], found[1]) if found[0] is not None and found[1] is not None else None

    def _run_both(self, arm: Arm, kind: str, **watch: Any) -> tuple[Recording, Recording]:
        one, other = self._run([self._job(own, kind, **watch) for own in (self._reference, arm)])
        return align(one, other)

    def _job(self, arm: Arm, kind: str, **watch: Any) -> Job:
        asked = {"stop": self._options.steps, **{name: value for name, value in watch.items() if value}}
        if arm != self._reference:
            asked |= self._asked
        return Job(arm=arm, seed=self._options.seed, kind=kind, watch=asked)

    def _run(self, jobs: Sequence[Job]) -> list[Recording]:
        return _recordings(self._launcher.run(jobs))

    def _control_for(self, gaps: Gaps) -> str:
        """Return the name of the control. If runs differ before the first step, it perturbs weights from the start."""
        first = find_first(gaps)
        early = first is not None and (first.where == "initial weights" or (first.where == "data" and first.step <= 1))
        return "initial" if self._options.control == "jitter" and early else self._options.control


def _measure_again(run: Recording, again: Recording) -> Gaps:
    """Return how far a run is apart from another of the same program, by the parts in which the first is read."""
    return measure_gaps(run, run.like(again) if isinstance(run, Parted) else again)


def _recordings(ended: Sequence[Ended]) -> list[Recording]:
    """Return the recordings of runs; raise an `ArmFailedError` for the first that failed."""
    for run in ended:
        if run.exit_code:
            raise ArmFailedError(
                f"arm {run.job.arm.name}, seed {run.job.seed} ({run.job.kind}): exit code {run.exit_code}: "
                f"{run.last_line}; its output is in {run.folder}",
                run.exit_code,
            )
    return [run.recording for run in ended]


UNREAD = Reading(name="unseen")


def _window(look: Look) -> tuple[int, int] | None:
    """Return the steps among which a late difference begins; None where that step is known."""
    beyond = look.reading.beyond
    if look.reading.name != "late" or beyond is None or look.gaps.pairs is None:
        return None
    steps = [step for step in look.followed.steps if beyond.where == "data" or step.optimizer == beyond.optimizer]
    before = max((step.count for step in steps if step.step < beyond.step), default=0)
    until = min((step.count for step in steps if step.step >= beyond.step), default=before)
    return (before, until) if until - before > 1 else None


def _numbers_window(look: Look) -> tuple[int, int] | None:
    return None if look.gaps.data is None else (look.gaps.data.index, look.gaps.data.index)


def _can_be_read(run: Ended) -> bool:
    return run.exit_code == 0 and bool(run.recording.steps)


def _is_decisive(gaps: Gaps) -> bool:
    first = find_first(gaps)
    return first is not None and first.where == "data"


def _is_finite(size: float) -> bool:
    return size < float("inf")
