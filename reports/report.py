"""The whole, written down: `report.md` with its figures, and `verdict.json` beside it."""

import dataclasses
import json
import math
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from reports import sources
from reports.layout import PRIMARY, REFERENCE
from reports.relations import amplifications, compensations
from reports.section import Section, make_section
from reports.sources.runs import PLACE, Runs, UnreadableSourceError
from reports.writing import html, pictures, words
from reports.writing.pages import page
from reports.writing.verdict import SHARES, design_verdict, relation_verdicts

OUTCOMES = ("final_return", "auc_return", "eval_return")
"""Those that are reported beside the primary one, if nobody says which."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What to report on."""

    outcome: str = "final_return"
    also: tuple[str, ...] | None = None
    """other outcomes; those of `OUTCOMES` that there are, if None"""
    margin: float | None = None
    where: tuple[str, ...] = ()
    sweep: Path | None = None
    mapped: sources.Mapped | None = None
    """what is what in runs that aren't a study's"""
    any_state: bool = False
    """whether those of them that haven't finished count"""
    html: bool = False
    """write `report.html` too, which needs no other file"""


def write(
    source: str, output: Path | None, options: Options, expected: Mapping[str, Mapping[str, Any]] | None = None
) -> str:
    """Read runs, answer, and write the report.

    **Arguments**: `source` and `expected`, as `sources.read` takes them; `output`, the directory to write to, by
    default what `sources.beside` says.

    **Returns**: the verdict, the effects and the report's path, to print.

    **Raises**: `UnreadableSourceError`.
    """
    runs, sections = read(source, options, expected)
    output = output or sources.beside(source)
    try:
        output.mkdir(parents=True, exist_ok=True)
        related = amplifications(sections), compensations(sections)
        verdict = {
            "outcome": options.outcome,
            "designs": [design_verdict(section) for section in sections],
            **relation_verdicts(*related),
        }
        drawn = [pictures.draw(section, output, index) for index, section in enumerate(sections)]
        text = page(
            "report.md.j2",
            factors=PRIMARY,
            REFERENCE=REFERENCE,
            shares=SHARES,
            source=source,
            options=options,
            sections=list(zip(sections, drawn, strict=True)),
            overview=pictures.draw_overview(sections, output),
            amplifications=related[0],
            compensations=related[1],
            commands=_commands(source, runs, options),
        )
        (output / "verdict.json").write_text(json.dumps(verdict, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        (output / "report.md").write_text(text, encoding="utf-8")
        if options.html:
            (output / "report.html").write_text(html.page(text, output), encoding="utf-8")
    except OSError as error:
        raise UnreadableSourceError(
            f"-o {output}: no report can be written there ({error.strerror or error}): give another directory"
        ) from error
    return "\n".join([*_summary(sections), f"{output / 'report.md'}"])


def read(
    source: str, options: Options, expected: Mapping[str, Mapping[str, Any]] | None = None
) -> tuple[Runs, list[Section]]:
    """Read runs and answer, a section a design. **Raises**: `UnreadableSourceError`."""
    if options.margin is not None and not 0 < options.margin < math.inf:
        raise UnreadableSourceError(f"--margin must be positive and finite, not {options.margin}")
    read = sources.read(source, expected, options.mapped, options.any_state)
    runs = sources.where(read, options.where).with_numbers(options.outcome)
    runs, others = _other_outcomes(runs, options)
    designs = _designs(runs)
    return runs, [make_section(runs, rows, options.outcome, others, options.margin) for rows in designs]


def _other_outcomes(runs: Runs, options: Options) -> tuple[Runs, list[str]]:
    """The runs with numbers for other outcomes too, and which those are.

    **Raises**: `UnreadableSourceError`, when one that was asked for is none.
    """
    others = []
    for name in dict.fromkeys(OUTCOMES if options.also is None else options.also):
        if name == options.outcome or (options.also is None and name not in runs.outcomes):
            continue
        try:
            runs = runs.with_numbers(name, option="--also")
        except UnreadableSourceError:
            if options.also is not None:
                raise
        else:
            others.append(name)
    return runs, others


def _designs(runs: Runs) -> list[pd.DataFrame]:
    """The runs of each design. **Raises**: `UnreadableSourceError`, where two of them are the same."""
    if runs.hyperparameters:
        designs = [rows for _, rows in runs.table.groupby(runs.hyperparameters, dropna=False)]
    else:
        designs = [runs.table]
    for rows in designs:
        for place, same in rows.groupby(list(PLACE))["run"]:
            if len(same) > 1:
                told = ", ".join(f"{name} {value}" for name, value in zip(PLACE, place, strict=True))
                raise UnreadableSourceError(
                    f"{same.iloc[1]} is there twice, first as {same.iloc[0]}: {told}; "
                    "remove one, or choose by another column with --where"
                )
    return designs


def _commands(source: str, runs: Runs, options: Options) -> list[str]:
    """What to type to have all this again."""
    report = ["study", "report", source, "--outcome", options.outcome]
    if options.also is not None:
        report += ["--also", *options.also]
    if options.margin is not None:
        report += ["--margin", str(options.margin)]
    if options.where:
        report += ["--where", *options.where]
    if options.mapped is not None:
        report += ["--map", str(options.mapped), *(["--any-state"] if options.any_state else [])]
    if options.html:
        report += ["--html"]
    if options.sweep is None:
        return [shlex.join(report)]
    here = ["--runs-dir", source] if runs.folder and Path(source).is_dir() else []
    sweep = shlex.join(["study", "sweep", str(options.sweep), *here])
    return [sweep, shlex.join([*report, "--sweep", str(options.sweep)])]


def _summary(sections: list[Section]) -> Iterator[str]:
    for section in sections:
        seeds = words.plural_seeds(len(section.answer.seeds))
        yield f"{section.name}: verdict: {section.answer.verdict} ({seeds})"
        for factor, effect in section.answer.effects.items():
            yield f"  {words.effect_sentence(factor, effect)}"
        for warning in section.warnings:
            yield f"  warning: {warning}"
