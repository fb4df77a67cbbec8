"""The report: `report.md` with its figures, and `verdict.json` beside it."""

import dataclasses
import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from reports import sources
from reports.analysis.across import Aggregate, aggregate, reference_sd
from reports.analysis.attribution import by_name
from reports.analysis.blocks import Goal
from reports.analysis.design import CURVES, GRADIENTS, Design, Question
from reports.analysis.dose import Dose, measure_doses
from reports.analysis.relations import amplifications, compensations
from reports.analysis.study import answer_designs
from reports.documents import figures, html, pictures, verdict, words
from reports.documents.pages import page
from reports.errors import UnreadableSourceError
from reports.sources import Reading
from reports.sources.published import TABLE, write_published
from reports.sources.runs import HASH, Published, Runs
from reports.statistics import Array

OUTCOMES = ("final_return", "auc_return", "eval_return", "final_std")
"""The default outcomes beside the primary one. `final_std` is the manipulation check."""
DETAILED = 12
"""The largest number of designs of which each has a section; more have a line each."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The options of a report.

    Attributes:
        outcome: The primary outcome; None for the usual one.
        also: Other outcomes; None for those of `OUTCOMES` that there are.
        margin: The equivalence margin.
        goal: Whether large outcomes are good; None for the published report's, or that they are.
        where: Only the runs for which each `key=value` holds.
        reading: How to read the runs.
        html: Write `report.html` too, which needs no other file.
        table: Write `table.parquet` too, from which the report can be made again without its runs.
        description: What the study asks, and how it was designed before its runs.
        command: The command that makes the report again, as the report names it; empty for the one that has these
            options.
    """

    outcome: str | None = None
    also: tuple[str, ...] | None = None
    margin: float | None = None
    goal: Goal | None = None
    where: tuple[str, ...] = ()
    reading: Reading = dataclasses.field(default_factory=Reading)
    html: bool = False
    table: bool = False
    description: str = ""
    command: tuple[str, ...] = ()


def write(
    source: str, output: Path | None, options: Options, expected: Mapping[str, Mapping[str, Any]] | None = None
) -> str:
    """Read runs, answer, and write the report.

    Args:
        source: As `sources.read` takes it, and so `expected`.
        output: The directory to write to; by default that of `sources.beside`.
        options: The options.
        expected: The configs that there should be, by run id.

    Returns:
        The headlines and the report's path, to print.

    Raises:
        UnreadableSourceError: The source can't be read so, or `output` can't be written to.
    """
    runs, designs = read(source, options, expected)
    doses = measure_doses(runs, designs[0].outcome)
    output = output or sources.beside(source)
    try:
        output.mkdir(parents=True, exist_ok=True)
        if options.table:
            _keep(output / TABLE, runs, designs, options.description)
            return write(str(output / TABLE), output, Options(html=options.html))
        _write(*_as_published(source, runs, options), output, designs, doses)
    except OSError as error:
        raise UnreadableSourceError(
            f"{output}: no report can be written there ({error.strerror or error}): give another directory"
        ) from error
    return "\n".join([*map(words.printable, _summary(designs)), f"{output / 'report.md'}"])


def read(
    source: str, options: Options, expected: Mapping[str, Mapping[str, Any]] | None = None
) -> tuple[Runs, list[Design]]:
    """Read runs, and return them with the answers for each design.

    Raises:
        UnreadableSourceError: The source can't be read so.
    """
    runs = sources.where(sources.read(source, expected, options.reading), options.where)
    outcome = options.outcome or runs.usual_outcome
    runs = runs.with_numbers(outcome)
    published = runs.published
    also, margin = options.also, options.margin
    if published is not None and outcome == published.outcome:
        also, margin = published.others if also is None else also, margin or published.margin
    goal = options.goal or (published.goal if published else "maximize")
    question = Question(outcome=outcome, others=_other_outcomes(runs, outcome, also), margin=margin, goal=goal)
    return runs, answer_designs(runs, question)


def _keep(path: Path, runs: Runs, designs: Sequence[Design], description: str) -> None:
    """Write the table of a report.

    Raises:
        UnreadableSourceError: pyarrow isn't installed.
        OSError: The file can't be written.
    """
    question = designs[0].question
    # The sizes of gradients are needed only for the open channels of a compensation.
    asking = {row.compensated for row in compensations(designs)}
    kept: dict[str, dict[str, Array]] = {}
    for design in designs:
        names = (*CURVES, *(GRADIENTS if design.name in asking else ()))
        for run, history in design.histories.items():
            kept[run] = {name: history[name] for name in names if name in history}
    published = Published(
        path=_within_here(path),
        outcome=question.outcome,
        others=question.others,
        margin=question.margin,
        goal=question.goal,
        description=description,
    )
    write_published(path, runs, published, kept, _last_hashes(runs, designs))


def _last_hashes(runs: Runs, designs: Sequence[Design]) -> dict[str, str]:
    """Return the hash of the parameters after the last update, by finished run, where its history has it."""
    hashes = {run: history[HASH] for design in designs for run, history in design.histories.items() if HASH in history}
    if runs.folder is not None and runs.doses is not None:
        finished = runs.doses["run"][runs.doses["status"] == "finished"]
        hashes |= {run: runs.history(run, others=[HASH])[HASH] for run in finished}
    last = {run: of_updates[-1] for run, of_updates in hashes.items() if len(of_updates)}
    return {**runs.hashes, **{run: told for run, told in last.items() if isinstance(told, str)}}


def _within_here(path: Path) -> str:
    """Return a path relative to this directory, or only its name where it is elsewhere: no machine's own paths."""
    path, here = path.resolve(), Path.cwd()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else path.name


def _as_published(source: str, runs: Runs, options: Options) -> tuple[str, Options]:
    """Return source and options as a published report names them, which is the same wherever it is made again."""
    asked = dataclasses.replace(options, html=False, command=())
    if runs.published is None or asked != Options():
        return source, options
    command = ("study", "report", runs.published.path)
    return runs.published.path, dataclasses.replace(options, description=runs.published.description, command=command)


def _other_outcomes(runs: Runs, outcome: str, also: tuple[str, ...] | None) -> tuple[str, ...]:
    if also is not None:
        return tuple(name for name in dict.fromkeys(also) if name != outcome)
    return tuple(name for name in OUTCOMES if name != outcome and name in runs.outcomes)


def _write(source: str, options: Options, output: Path, designs: Sequence[Design], doses: Sequence[Dose]) -> None:
    outcome = designs[0].outcome
    related = amplifications(designs), compensations(designs)
    # A design that intervenes in another's mechanism is no further sample of where a factor matters.
    across = [] if any(related) else aggregate([design.answer for design in designs])
    found = verdict.verdict(outcome, designs, [dataclasses.asdict(each) for each in across])
    found |= verdict.relations(*related) | verdict.responses(doses)
    command = shlex.join(options.command or _command(source, outcome, options))
    is_detailed = len(designs) <= DETAILED
    is_compared = any(len(design.answer.arms) > 1 for design in designs)
    drawn = [pictures.draw(design, output, index) if is_detailed else {} for index, design in enumerate(designs)]
    text = page(
        "report.md.j2",
        source=source,
        options=options,
        designs=list(zip(designs, drawn, strict=True)),
        is_detailed=is_detailed,
        is_compared=is_compared,
        is_of_doses=bool(doses) and not is_compared,
        by_name=by_name,
        across=across,
        overview=_draw_overview(designs, across, output),
        amplifications=related[0],
        compensations=related[1],
        doses=doses,
        dose_picture=pictures.draw_doses(doses, outcome, output),
        description=options.description,
        command=command,
        fence="`" * max(3, 1 + max(map(len, re.findall("`+", command)), default=0)),
    )
    written = json.dumps(verdict.rounded(found), indent=2, allow_nan=False)
    (output / "verdict.json").write_text(f"{written}\n", encoding="utf-8")
    (output / "report.md").write_text(text, encoding="utf-8", errors="backslashreplace")
    if options.html:
        (output / "report.html").write_text(html.page(text, output), encoding="utf-8", errors="backslashreplace")


def _draw_overview(designs: Sequence[Design], across: Sequence[Aggregate], output: Path) -> str | None:
    """Draw all effects of several designs in one figure, and return its file name without suffix; None without any."""
    rows = []
    for number, name in enumerate(row.name for row in across):
        style = figures.STYLES[number % len(figures.STYLES)]
        for design in designs:
            effect = by_name(design.answer).get(name)
            unit = reference_sd(design.answer, effect) if effect else None
            if effect and unit:
                shown = effect.mean.shown
                low, high = shown.ci_adjusted
                label = f"{design.name}: {name} {shown.place}".rstrip()
                rows.append((label, style, shown.estimate / unit, (low / unit, high / unit)))
    if not rows or len(rows) > 60:
        return None
    figures.effect_sizes(rows, output / "effects")
    return "effects"


def _command(source: str, outcome: str, options: Options) -> list[str]:
    """Return the command that makes the report again."""
    command = ["study", "report", source, "--outcome", outcome]
    if options.also is not None:
        command += ["--also", *options.also]
    if options.margin is not None:
        command += ["--margin", str(options.margin)]
    if options.where:
        command += ["--where", *options.where]
    if options.html:
        command += ["--html"]
    return command


def _summary(designs: Sequence[Design]) -> Iterator[str]:
    if len(designs) > DETAILED:
        yield f"{len(designs)} designs, a line each in the report: choose at most {DETAILED} for a section each"
        return
    for design in designs:
        answer = design.answer
        said = words.verdict(answer, design.outcome)
        yield f"{design.name}{f': {said}' if said else ''} ({words.sample_size(answer, answer.smallest)})"
        for effect in answer.effects:
            yield f"  {words.effect_line(effect)}"
        if not answer.effects:
            yield f"  {words.nothing_compared(answer, str)}"
        placebo = words.placebo(answer)
        if placebo:
            yield f"  {placebo}"
        for warning in design.warnings:
            yield f"  warning: {warning}"
