"""The whole, written down: `report.md` with its figures, and `verdict.json` beside it."""

import dataclasses
import json
import math
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from reports import figures, sources
from reports.attribution import PRIMARY, REFERENCE, SHARES, Attribution, Pair, attribute
from reports.divergence import Mechanism, gaps, mechanism
from reports.runs import LARGEST, PLACE, Runs, UnreadableSourceError, plain
from reports.statistics import Array
from reports.verdict import design_verdict
from reports.words import effect_sentence, interval, number, p_value, plural_seeds, sentence

History = dict[str, Array]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What to report on."""

    outcome: str = "final_return"
    margin: float | None = None
    where: tuple[str, ...] = ()
    sweep: Path | None = None
    mapped: sources.Mapped | None = None
    """what is what in runs that aren't a study's"""
    any_state: bool = False
    """whether those of them that haven't finished count"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
    """One design: the runs that agree in everything but condition, seed, precision and replicate."""

    name: str
    design: dict[str, Any]
    """env_id, and the hyperparameters in which the designs differ"""
    hyperparameters: dict[str, Any]
    """all of them"""
    provenance: list[tuple[int, dict[str, Any]]]
    """how many of its finished runs were made in what circumstances"""
    extent: dict[str, list[Any]]
    """conditions, seeds, precisions and replicates that there are"""
    statuses: dict[str, int]
    """runs by status"""
    runs: list[dict[str, Any]]
    """a line a run, for the appendix"""
    answer: Attribution
    mechanism: list[Mechanism]
    pictures: dict[str, str]
    """file names of the figures, by what they show"""


def write(
    source: str, output: Path | None, options: Options, expected: Mapping[str, Mapping[str, Any]] | None = None
) -> str:
    """Read runs, answer, and write the report.

    **Arguments**: `source` and `expected`, as `sources.read` takes them; `output`, the directory to write to, by
    default what `sources.beside` says.

    **Returns**: the verdict, the effects and the report's path, to print.

    **Raises**: `UnreadableSourceError`.
    """
    if options.margin is not None and not 0 < options.margin < math.inf:
        raise UnreadableSourceError(f"--margin must be positive and finite, not {options.margin}")
    read = sources.read(source, expected, options.mapped, options.any_state)
    runs = sources.where(read, options.where).with_numbers(options.outcome)
    designs = _designs(runs)
    output = output or sources.beside(source)
    try:
        output.mkdir(parents=True, exist_ok=True)
        sections = [_section(runs, rows, options, output, index) for index, rows in enumerate(designs)]
        verdict = {
            "outcome": options.outcome,
            "designs": [design_verdict(section.design, section.answer, section.mechanism) for section in sections],
        }
        (output / "verdict.json").write_text(json.dumps(verdict, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        (output / "report.md").write_text(_render(source, runs, sections, options), encoding="utf-8")
    except OSError as error:
        raise UnreadableSourceError(
            f"-o {output}: no report can be written there ({error.strerror or error}): give another directory"
        ) from error
    return "\n".join([*_summary(sections), f"{output / 'report.md'}"])


def _render(source: str, runs: Runs, sections: list[Section], options: Options) -> str:
    """`report.md`."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("reports"),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # it is Markdown
    )
    environment.filters |= {"number": number, "interval": interval, "p": p_value}
    return environment.get_template("report.md.j2").render(
        source=source,
        options=options,
        sections=sections,
        factors=PRIMARY,
        shares=SHARES,
        sentence=sentence,
        commands=_commands(source, runs, options),
        seed_word=plural_seeds,
    )


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


def _section(runs: Runs, rows: pd.DataFrame, options: Options, output: Path, index: int) -> Section:
    answer = attribute(rows, options.outcome, options.margin)
    hyperparameters = {name: plain(rows[name].iloc[0]) for name in runs.hyperparameters}
    differing = [name for name in runs.hyperparameters if runs.table[name].nunique(dropna=False) > 1]
    design = {name: hyperparameters[name] for name in dict.fromkeys(["env_id", *differing]) if name in hyperparameters}
    finished = rows[rows["status"] == "finished"]
    histories = _histories(runs, finished)
    answer.warnings.extend(_doubts(runs, finished))
    conditions = sorted(set(finished["condition"]))
    table = mechanism(finished, conditions, lambda run: histories[run]["fingerprint"]) if histories else []
    answer.warnings.extend(
        f"suspicious: the first update's gap of {row.a} and {row.b} neither scales with precision nor stays"
        for row in table
        if row.reading == "suspicious"
    )
    return Section(
        name=", ".join(str(value) if name == "env_id" else f"{name} {value}" for name, value in design.items())
        or "all",
        design=design,
        hyperparameters=hyperparameters,
        provenance=_circumstances(runs, finished),
        extent={name: sorted(plain(value) for value in rows[name].unique()) for name in PLACE},
        statuses=dict(sorted(Counter([*rows["status"], *("damaged" for _ in runs.unknown)]).items())),
        runs=plain(rows.sort_values(list(PLACE))[["run", *PLACE, "status", options.outcome]].to_dict("records")),
        answer=answer,
        mechanism=table,
        pictures=_draw(finished, answer, histories, options, output, index),
    )


def _histories(runs: Runs, finished: pd.DataFrame) -> dict[str, History]:
    """What a ledger has of a design's runs. **Raises**: `UnreadableSourceError`."""
    if runs.folder is None:
        return {}
    histories = {run: runs.history(run, "fingerprint", "episodic_return", "global_step") for run in finished["run"]}
    shapes = {run: tuple(column.shape for column in history.values()) for run, history in histories.items()}
    usual = Counter(shapes.values()).most_common(1)
    for run, shape in shapes.items():
        if shape != usual[0][0] or [len(axes) for axes in shape] != [2, 1, 1]:
            raise UnreadableSourceError(
                f"{runs.folder / run / 'updates.jsonl'} is damaged, since others of its design have more or other "
                "updates: delete its folder, and train the cell again"
            )
    return histories


def _circumstances(runs: Runs, finished: pd.DataFrame) -> list[tuple[int, dict[str, Any]]]:
    """The different circumstances in which runs were made, and how many were."""
    places = [runs.provenance[run] for run in finished["run"] if runs.provenance.get(run)]
    different: list[dict[str, Any]] = []
    for place in places:
        if place not in different:
            different.append(place)
    return [(places.count(place), place) for place in different]


def _doubts(runs: Runs, finished: pd.DataFrame) -> Iterator[str]:
    """Warnings about runs that nobody knows, and about how the others were made."""
    for run, error in list(runs.unknown.items())[:1]:
        yield f"{len(runs.unknown)} runs are damaged, such as {run}: {error}"
    circumstances = [place for _, place in _circumstances(runs, finished)]
    if len({(str(place.get("cpu")), str(place.get("cpu_capability"))) for place in circumstances}) > 1:
        yield "runs were made on different processors, whose round-off differs: see provenance"
    if len({tuple(sorted(_versions(place).items())) for place in circumstances}) > 1:
        yield "runs were made with different versions: see provenance"
    double = finished[finished["precision"] == "float64"]
    if any(place.get("leaks_precision") for _, place in _circumstances(runs, double)):
        yield "an environment hands out float32 observations: its float64 runs learn from quantised numbers"


def _versions(provenance: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in provenance.items() if name.startswith(("version_", "git_commit"))}


def _draw(
    finished: pd.DataFrame,
    answer: Attribution,
    histories: Mapping[str, History],
    options: Options,
    output: Path,
    index: int,
) -> dict[str, str]:
    """Draw what can be drawn. **Returns**: file names by what they show."""
    names = {}

    def path(name: str) -> Path:
        names[name] = f"{name}-{index + 1}.png"
        return output / f"{name}-{index + 1}"

    whole = finished[finished["seed"].isin(answer.seeds) & (finished[options.outcome].abs() < LARGEST)]
    if histories and answer.seeds:
        by_comparison = {
            precision: comparisons
            for precision in sorted(set(whole["precision"]))
            if (comparisons := dict(_comparisons(whole, precision, answer.pairs, histories)))
            and any((gap > 0).any() for gap in comparisons.values())
        }
        if by_comparison:
            figures.divergence(by_comparison, path("divergence"))
        figures.learning_curves(dict(_curves(whole, histories)), "episodic return", path("learning"))
    if answer.seeds:
        means = whole.groupby(["condition", "seed"])[options.outcome].mean()
        strips = {condition: means[condition].to_numpy() for condition in sorted(set(whole["condition"]))}
        figures.outcome_strips(strips, answer.seeds, options.outcome, path("outcomes"))
    return names


def _comparisons(
    runs: pd.DataFrame, precision: str, pairs: list[Pair], histories: Mapping[str, History]
) -> Iterator[tuple[str, Array]]:
    """Gaps over updates of a parameterization pair, an implementation pair and the one-ulp control."""

    def cell(condition: str, replicate: int) -> dict[str, object]:
        return {"condition": condition, "precision": precision, "replicate": replicate}

    compared = {}
    for kind in PRIMARY:
        alike = [pair.difference for pair in pairs if pair.kind == kind]
        with_reference = [pair for pair in alike if REFERENCE in (pair.a, pair.b)]
        for pair in (with_reference or alike)[:1]:
            compared[f"{kind}: {pair.a}, {pair.b}"] = cell(pair.a, 0), cell(pair.b, 0)
    conditions = sorted(set(runs["condition"]))
    control = REFERENCE if REFERENCE in conditions else conditions[0]
    for nudged in sorted(set(runs[runs["condition"] == control]["replicate"]) - {0})[:1]:
        compared[f"one ulp: {control}"] = cell(control, 0), cell(control, nudged)
    for name, (a, b) in compared.items():
        gap = gaps(runs, a, b, lambda run: histories[run]["fingerprint"])
        if gap.size:
            yield name, gap


def _curves(runs: pd.DataFrame, histories: Mapping[str, History]) -> Iterator[tuple[str, figures.Curve]]:
    """Each seed's learning curve by condition, the mean over its precisions and replicates."""
    for condition, own in runs.groupby("condition"):
        by_seed = [
            pd.DataFrame([histories[run]["episodic_return"] for run in block["run"]]).mean(axis=0)
            for _, block in own.groupby("seed")
        ]
        yield str(condition), (histories[own["run"].iloc[0]]["global_step"], pd.DataFrame(by_seed).to_numpy())


def _commands(source: str, runs: Runs, options: Options) -> list[str]:
    """What to type to have all this again."""
    report = ["study", "report", source, "--outcome", options.outcome]
    if options.margin is not None:
        report += ["--margin", str(options.margin)]
    if options.where:
        report += ["--where", *options.where]
    if options.mapped is not None:
        report += ["--map", str(options.mapped), *(["--any-state"] if options.any_state else [])]
    if options.sweep is None:
        return [shlex.join(report)]
    here = ["--runs-dir", source] if runs.folder and Path(source).is_dir() else []
    sweep = shlex.join(["study", "sweep", str(options.sweep), *here])
    return [sweep, shlex.join([*report, "--sweep", str(options.sweep)])]


def _summary(sections: list[Section]) -> Iterator[str]:
    for section in sections:
        yield f"{section.name}: verdict: {section.answer.verdict} ({plural_seeds(len(section.answer.seeds))})"
        for factor, estimate in section.answer.effects.items():
            yield f"  {effect_sentence(factor, estimate)}"
        for warning in section.answer.warnings:
            yield f"  warning: {warning}"
