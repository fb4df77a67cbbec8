"""The whole, written down: `report.md` with its figures, and `verdict.json` beside it."""

import dataclasses
import json
import math
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from reports import figures, sources
from reports.attribution import PRIMARY, REFERENCE, Attribution, Estimate, Factor, Pair, attribute
from reports.divergence import Mechanism, gaps, mechanism
from reports.sources import Runs, UnreadableSourceError
from reports.statistics import Array

History = dict[str, Array]

PHRASES: dict[Factor, tuple[str, str]] = {
    "parameterization": ("what theta means", "theta as a {b} instead of a {a}"),
    "implementation": ("which class computes", "{b} instead of {a}"),
}
"""A factor in words, and its contrast."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What to report on."""

    outcome: str = "final_return"
    margin: float | None = None
    where: tuple[str, ...] = ()
    sweep: Path | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
    """One design: the runs that agree in everything but condition, seed, precision and replicate."""

    name: str
    design: dict[str, Any]
    """env_id, and the hyperparameters in which the designs differ"""
    hyperparameters: dict[str, Any]
    """all of them"""
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
    default `report` in a runs directory or `NAME-report` beside a table.

    **Returns**: the verdict, the effects and the report's path, to print.

    **Raises**: `UnreadableSourceError`.
    """
    if options.margin is not None and not 0 < options.margin < math.inf:
        raise UnreadableSourceError(f"--margin must be positive and finite, not {options.margin}")
    runs = sources.where(sources.read(source, expected), options.where)
    if options.outcome not in runs.table or not pd.api.types.is_numeric_dtype(runs.table[options.outcome]):
        numbers = sorted(
            set(map(str, runs.table.select_dtypes("number"))) - {"seed", "replicate", *runs.hyperparameters}
        )
        raise UnreadableSourceError(
            f"{source} has no outcome {options.outcome!r} in numbers; it has {', '.join(numbers)}"
        )
    path = Path(source)
    output = output or (path / "report" if path.is_dir() else path.with_name(f"{path.stem}-report"))
    output.mkdir(parents=True, exist_ok=True)

    sections = [_section(runs, rows, options, output, index) for index, rows in enumerate(_designs(runs))]
    (output / "verdict.json").write_text(json.dumps(_verdict(sections, options), indent=2) + "\n", encoding="utf-8")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("reports"),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # it is Markdown
    )
    environment.filters |= {"number": number, "interval": interval, "p": p_value}
    text = environment.get_template("report.md.j2").render(
        source=source,
        options=options,
        sections=sections,
        provenance=runs.provenance,
        sentence=sentence,
        commands=_commands(source, runs, options),
        seed_word=plural_seeds,
    )
    (output / "report.md").write_text(text, encoding="utf-8")
    return "\n".join([*_summary(sections), f"{output / 'report.md'}"])


def sentence(section: Section, outcome: str) -> str:
    """The verdict, in one sentence."""
    effects = section.answer.effects
    match section.answer.verdict:
        case "parameterization":
            return (
                f"The difference in `{outcome}` comes from the parameterization: "
                f"{_in_words('parameterization', effects)}; {_rest('implementation', section)}."
            )
        case "implementation":
            return (
                f"Alarm: which class computes makes a difference in `{outcome}` where there should be none: "
                f"{_in_words('implementation', effects)}; {_rest('parameterization', section)}."
            )
        case "both":
            return (
                f"Both make a difference in `{outcome}`: {_in_words('parameterization', effects)}, and, where there "
                f"should be none, {_in_words('implementation', effects)}."
            )
        case "round-off":
            return (
                f"Round-off explains every difference in `{outcome}`: none is beyond the margin, and none scatters "
                "more than a nudge by one ulp makes runs scatter."
            )
        case "undecided":
            return (
                f"The differences in `{outcome}` are undecided at {plural_seeds(len(section.answer.seeds))}: "
                + ("; ".join(_in_words(factor, effects) for factor in effects) or "no effect can be estimated")
                + "."
            )


def effect_sentence(factor: Factor, estimate: Estimate) -> str:
    """An effect, in a line for the terminal."""
    return (
        f"{factor} ({estimate.b} - {estimate.a}): {number(estimate.estimate)} {interval(estimate.ci)}, "
        f"{estimate.conclusion}, p {p_value(estimate.p_adjusted)} (Holm)"
    )


def number(value: float | None) -> str:
    """Three significant digits; a dash for what there is not."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def interval(ends: tuple[float, float]) -> str:
    """In square brackets; a dash where an end is infinite."""
    return f"[{number(ends[0])}, {number(ends[1])}]"


def p_value(p: float | None) -> str:
    """Two significant digits, never zero."""
    if p is None:
        return "-"
    return "< 0.0001" if p < 0.0001 else f"{p:.2g}"


def plural_seeds(count: int) -> str:
    """As in "10 seeds"."""
    return f"{count} seed" + "s" * (count != 1)


def _in_words(factor: Factor, effects: Mapping[Factor, Estimate]) -> str:
    estimate = effects[factor]
    contrast = PHRASES[factor][1].format(a=estimate.a, b=estimate.b)
    return f"{contrast} changes it by {number(estimate.estimate)} {interval(estimate.ci)}"


def _rest(factor: Factor, section: Section) -> str:
    """What the factor that isn't to blame contributes."""
    answer = section.answer
    if factor not in answer.effects:
        return f"{PHRASES[factor][0]} wasn't varied by itself"
    estimate = answer.effects[factor]
    words = {"equivalent": f"is as good as none, within ±{number(answer.margin)}", "undecided": "is undecided"}
    text = (
        f"the effect of {PHRASES[factor][0]}, {number(estimate.estimate)} {interval(estimate.ci)}, "
        f"{words[estimate.conclusion]}"
    )
    if factor == "implementation":
        causes = {pair.explained_by for pair in answer.pairs if pair.kind == "implementation"}
        if causes == {"round-off"}:
            text += ", and its runs scatter no more than after a nudge by one ulp: round-off"
    return text


def _designs(runs: Runs) -> Iterator[pd.DataFrame]:
    """The runs of each design. Runs too damaged to tell their design are with every one, to be counted there."""
    known = runs.table[runs.table["condition"].notna()]
    if known.empty:
        raise UnreadableSourceError("every run is damaged: no cell.json can be read")
    damaged = runs.table[runs.table["condition"].isna()]
    if not runs.hyperparameters:
        yield runs.table
        return
    for _, rows in known.groupby(runs.hyperparameters, dropna=False):
        yield pd.concat([rows, damaged]) if len(damaged) else rows


def _section(runs: Runs, rows: pd.DataFrame, options: Options, output: Path, index: int) -> Section:
    answer = attribute(rows, options.outcome, options.margin)
    places = ["condition", "precision", "replicate", "seed"]
    known = rows[rows["condition"].notna()].astype({"seed": int, "replicate": int})
    hyperparameters = {name: known[name].iloc[0] for name in runs.hyperparameters}
    differing = [name for name in runs.hyperparameters if runs.table[name].nunique() > 1]
    design = {name: hyperparameters[name] for name in dict.fromkeys(["env_id", *differing]) if name in hyperparameters}
    finished = known[known["status"] == "finished"]
    histories = {
        run: runs.history(run, "fingerprint", "episodic_return", "global_step")
        for run in finished["run"] if runs.folder is not None
    }  # fmt: skip
    answer.warnings.extend(_circumstances(runs, finished))
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
        design={name: _plain(value) for name, value in design.items()},
        hyperparameters=hyperparameters,
        extent={name: sorted(_plain(value) for value in known[name].unique()) for name in places},
        statuses={str(status): int(count) for status, count in known["status"].value_counts().sort_index().items()},
        runs=[
            {name: _plain(run[name]) for name in ("run", *places, "status", options.outcome)}
            for run in known.sort_values(places).to_dict("records")
        ],
        answer=answer,
        mechanism=table,
        pictures=_draw(finished, answer, histories, options, output, index),
    )


def _circumstances(runs: Runs, finished: pd.DataFrame) -> Iterator[str]:
    """Warnings about how the runs were made."""
    if len({(place.get("cpu"), place.get("cpu_capability")) for place in runs.provenance}) > 1:
        yield "runs were made on different processors, whose round-off differs: see provenance"
    if len({tuple(sorted(_versions(place).items())) for place in runs.provenance}) > 1:
        yield "runs were made with different versions: see provenance"
    if any(place.get("leaks_precision") for place in runs.provenance) and "float64" in set(finished["precision"]):
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

    whole = finished[finished["seed"].isin(answer.seeds)]
    if histories and answer.seeds:
        by_comparison = {
            precision: comparisons
            for precision in sorted(set(whole["precision"]))
            if (comparisons := dict(_comparisons(whole, precision, answer.pairs, histories)))
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
    if options.sweep is None:
        return [shlex.join(report)]
    sweep = shlex.join(["study", "sweep", str(options.sweep), *(["--runs-dir", source] if runs.folder else [])])
    return [sweep, shlex.join([*report, "--sweep", str(options.sweep)])]


def _summary(sections: list[Section]) -> Iterator[str]:
    for section in sections:
        yield f"{section.name}: verdict: {section.answer.verdict} ({plural_seeds(len(section.answer.seeds))})"
        for factor, estimate in section.answer.effects.items():
            yield f"  {effect_sentence(factor, estimate)}"
        for warning in section.answer.warnings:
            yield f"  warning: {warning}"


def _verdict(sections: list[Section], options: Options) -> dict[str, Any]:
    """`verdict.json`; an infinite end of an interval is null."""
    return {"outcome": options.outcome, "designs": [_verdict_of(section) for section in sections]}


def _verdict_of(section: Section) -> dict[str, Any]:
    answer = section.answer
    return {
        "design": section.design,
        "n_seeds": len(answer.seeds),
        "effects": {
            factor: {
                **_numbers(estimate),
                "p_equivalent": estimate.p_equivalent,
                "margin": answer.margin,
                "conclusion": estimate.conclusion,
                "seeds_needed": estimate.seeds_needed,
            }
            for factor, estimate in answer.effects.items()
        },
        "pairs": [
            {
                "a": pair.difference.a,
                "b": pair.difference.b,
                "kind": pair.kind,
                **_numbers(pair.difference),
                "spread": pair.spread and pair.spread.spread,
                "control_spread": pair.spread and pair.spread.control_spread,
                "spread_p": pair.spread and pair.spread.p,
                "explained_by": pair.explained_by,
            }
            for pair in answer.pairs
        ],
        "mechanism": [
            {"a": row.a, "b": row.b, "gap": row.gap, "ratio": row.ratio,
             "scales_with_precision": row.scales_with_precision}
            for row in section.mechanism
        ],
        "variance_share": answer.variance_share,
        "verdict": answer.verdict,
        "warnings": answer.warnings,
    }  # fmt: skip


def _numbers(estimate: Estimate) -> dict[str, Any]:
    ends = [end if math.isfinite(end) else None for end in estimate.ci]
    return {"estimate": estimate.estimate, "ci": ends, "p": estimate.p, "p_adjusted": estimate.p_adjusted}


def _plain(value: Any) -> Any:
    """A NumPy scalar as JSON has it."""
    return value.item() if hasattr(value, "item") else value
