"""The result of a look, in words and for `look.json`."""

import math
from typing import Any

from study.compare.gaps import Gaps
from study.compare.look import Failure, Look, Looks
from study.compare.naming import brief
from study.compare.parts import Parted
from study.compare.reading import Difference, Reading, find_first


def describe_looks(looks: Looks) -> list[str]:
    """Return what was found, in lines of text."""
    read = (line for look in looks.looks for line in ("", *describe_look(look, looks)))
    failed = (line for failure in looks.failures for line in ("", describe_failure(failure, looks)))
    return [*_describe_rerun(looks), *read, *failed]


def describe_look(look: Look, looks: Looks) -> list[str]:
    """Return what was found of one arm, in lines of text."""
    rows = [
        ("versions", _versions(look)),
        ("optimizers", _parts(look)),
        ("initial weights", _initial(look.gaps)),
        ("environments", _data(look.gaps)),
        ("first difference", _difference(look.reading.first, look)),
        ("beyond round-off", _beyond(look)),
        ("control", _control(look.reading)),
        ("float64", look.reading.because if look.reading.name == "round-off" else ""),
        ("not seen", _not_seen(look)),
    ]
    width = max(len(name) for name, _ in rows)
    lines = [f"  {name:{width}}  {text}" for name, text in rows if text]
    return [f"{look.arm.name} against {looks.reference.name}: {look.reading.name}{_since(look.reading)}", *lines]


def describe_failure(failure: Failure, looks: Looks) -> str:
    """Return a line of text about an arm of which nothing can be told."""
    return f"{failure.arm.name} against {looks.reference.name}: failed: {failure.error}"


def plain_looks(looks: Looks) -> dict[str, Any]:
    """Return what was found, as the content of `look.json`."""
    return {
        "schema": 1,
        "reference": looks.reference.name,
        "deterministic": looks.is_deterministic,
        "steps": looks.rerun.last_step,
        "arms": {
            **{look.arm.name: _plain(look, looks) for look in looks.looks},
            **{failure.arm.name: _plain_failure(failure, looks) for failure in looks.failures},
        },
    }


def _plain(look: Look, looks: Looks) -> dict[str, Any]:
    reading = look.reading
    return {
        "reading": reading.name,
        "because": reading.because or None,
        "steps": reading.steps,
        "first_difference": _plain_difference(reading.first),
        "first_gap_in_float64": _first_gap_in_double(look),
        "beyond_round_off": _plain_difference(reading.beyond),
        "over_control": reading.over_control,
        "threshold": reading.threshold,
        "in_float64": reading.in_double,
        "what": list(look.words),
        "lines": describe_look(look, looks),
    }


def _plain_failure(failure: Failure, looks: Looks) -> dict[str, Any]:
    """Return a failure with the keys of a look."""
    return {
        "reading": "failed",
        "because": str(failure.error),
        "exit_code": failure.error.exit_code,
        "steps": 0,
        "first_difference": None,
        "first_gap_in_float64": None,
        "beyond_round_off": None,
        "over_control": None,
        "threshold": None,
        "in_float64": False,
        "what": [],
        "lines": [describe_failure(failure, looks)],
    }


def _plain_difference(difference: Difference | None) -> dict[str, Any] | None:
    if difference is None:
        return None
    sizes = {name: size if math.isfinite(size) else None for name, size in difference.sizes.items()}
    known = {name: size for name, size in sizes.items() if size is not None}
    largest = max(known, key=lambda name: known[name], default=None)
    return {
        "where": difference.where,
        "step": difference.step,
        "sizes": sizes,
        "largest": None if largest is None else known[largest],
        "largest_in": largest,
    }


def _first_gap_in_double(look: Look) -> float | None:
    """Return the size of the first difference in any bit in float64; None without one, or where it is infinite."""
    first = None if look.double_gaps is None else find_first(look.double_gaps)
    return first.size if first is not None and math.isfinite(first.size) else None


def _describe_rerun(looks: Looks) -> list[str]:
    steps = looks.rerun.last_step
    if looks.is_deterministic:
        return [f"{looks.reference.name} twice: the same bits in {_count(steps, 'optimizer step')}."]
    first = next((step.step for step in looks.rerun.steps if not step.is_same), None)
    when = f"from optimizer step {first} on" if first else "in what its environments answered"
    return [
        f"{looks.reference.name} twice: other bits {when}. It isn't deterministic: its rerun is a control from here on."
    ]


def _versions(look: Look) -> str:
    one, other = (run.versions for run in look.runs)
    differing = [name for name in sorted({*one, *other}) if one.get(name) != other.get(name)]
    pairs = [f"{name} {one.get(name, 'none')} against {other.get(name, 'none')}" for name in differing]
    threads = [next((own.threads for own in run.optimizers.values()), None) for run in look.runs]
    if threads[0] != threads[1]:
        pairs.append(f"{threads[0]} against {threads[1]} threads")
    return ", ".join(pairs)


def _parts(look: Look) -> str:
    both = [run for run in look.runs if isinstance(run, Parted)]
    if len(both) < 2:
        return ""
    one, other = (run.made for run in both)
    return f"{other} against {one}, with the same tensors: compared part by part, turn by turn"


def _initial(gaps: Gaps) -> str:
    differing = {name: gap for name, gap in gaps.initial.items() if gap}
    if gaps.pairs is None:
        return ""
    if not gaps.initial:
        return ""
    if not differing:
        return "the same bits"
    return f"{len(differing)} of {len(gaps.initial)} tensors differ, by {_size(max(differing.values()))}: " + brief(
        list(differing)
    )


def _data(gaps: Gaps) -> str:
    if not gaps.steps:
        return ""
    before = gaps.steps[0].records
    if not before:
        return "none stepped in the process that learns: gradients may be of other data"
    if gaps.steps[0].same_data:
        return f"the same bits in {_count(before, 'record')} before the first optimizer step"
    assert gaps.data is not None
    sizes = {part: size for part, size in gaps.data.sizes.items() if math.isfinite(size)}
    parts = [f"{part} by {_size(sizes[part])}" if part in sizes else part for part in gaps.data.parts]
    return (
        f"record {gaps.data.index} of environment {gaps.data.environment} is the first that differs, in "
        + ", ".join(parts)
    )


def _difference(difference: Difference | None, look: Look) -> str:
    if difference is None:
        return ""
    if difference.where in ("gradient", "optimizer", "update"):
        largest = max(difference.sizes, key=lambda name: difference.sizes[name])
        what = {"gradient": "gradients", "optimizer": "the update", "update": "the update"}[difference.where]
        return f"{what} of optimizer step {difference.step}: {_size(difference.size)}, the largest in {largest}"
    if difference.where == "steps":
        return f"one arm made no optimizer step {difference.step}"
    if difference.where == "data" and difference.step > 1:
        return f"the environments' data, before optimizer step {difference.step}: {_data_parts(look.gaps)}"
    return ""


def _data_parts(gaps: Gaps) -> str:
    return "" if gaps.data is None else f"{', '.join(gaps.data.parts)} of record {gaps.data.index}"


def _beyond(look: Look) -> str:
    reading = look.reading
    if reading.beyond is None:
        return ""
    words = "; ".join(look.words) or _difference(reading.beyond, look)
    at = f"optimizer step {reading.beyond.step}: " if reading.beyond.step else ""
    because = f" ({reading.because})" if reading.because else ""
    return f"{at}{words}{because}" if words else reading.because


def _control(reading: Reading) -> str:
    if reading.over_control is None or reading.threshold is None:
        return ""
    where = "in float64" if reading.in_double else "in float32"
    return (
        f"gaps {where} are at most {reading.over_control:.2g} times those that one ULP makes; "
        f"up to {reading.threshold:.2g} times is round-off's size"
    )


def _not_seen(look: Look) -> str:
    errors = [error for run in look.runs for error in run.errors]
    unseen = [event["what"] for run in look.runs for event in run.of("unseen")]
    return "; ".join(dict.fromkeys([*unseen, *errors]))


def _since(reading: Reading) -> str:
    if reading.name == "late" and reading.beyond is not None:
        return f", from optimizer step {reading.beyond.step} on"
    if reading.name in ("identical", "round-off"):
        return f" in {_count(reading.steps, 'optimizer step')}"
    return ""


def _size(gap: float) -> str:
    return f"{gap:.1e}" if math.isfinite(gap) else "all of it"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
