"""Provenance: with which versions and on which machine runs were made, and warnings about that."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from reports.sources.runs import Runs


def origins(runs: Runs, finished: pd.DataFrame) -> list[tuple[int, dict[str, Any]]]:
    """Return the number of runs of each provenance: versions and machine."""
    found = [runs.provenance[run] for run in finished["run"] if runs.provenance.get(run)]
    different: list[dict[str, Any]] = []
    for origin in found:
        if origin not in different:
            different.append(origin)
    return [(found.count(origin), origin) for origin in different]


def provenance_warnings(runs: Runs, finished: pd.DataFrame) -> Iterator[str]:
    """Yield warnings about damaged runs, and about the provenance of a design's finished runs."""
    for run, error in list(runs.unknown.items())[:1]:
        number = len(runs.unknown)
        yield f"{number} run{'s' * (number != 1)} damaged, such as {run}: {error}"
    yield from _interim_warnings(runs, finished)
    found = [origin for _, origin in origins(runs, finished)]
    if len({(str(origin.get("cpu")), str(origin.get("cpu_capability"))) for origin in found}) > 1:
        yield "runs were made on different processors, whose round-off differs: see provenance"
    if len({tuple(sorted(_versions(origin).items())) for origin in found}) > 1:
        yield "runs were made with different versions: see provenance"
    double = origins(runs, finished[finished["precision"] == "float64"])
    leaks = sorted({name for _, origin in double for name in _leaks(origin.get("leaks_precision"))})
    if leaks:
        yield (
            f"precision leaks ({', '.join(leaks)}): float32 holds every number that comes from there, so float64 runs "
            "learn from quantised numbers, and may seem more stable than they are"
        )


def _interim_warnings(runs: Runs, finished: pd.DataFrame) -> Iterator[str]:
    """Yield a warning where seeds were added as results came in: a fixed-size analysis then errs more than stated."""
    for analyses in runs.analyses:
        if len(analyses.seeds) > 1 and not analyses.runs.isdisjoint(finished["run"]):
            seeds = ", ".join(map(str, analyses.seeds))
            yield (
                f"interim analyses of these runs were made after {seeds} seeds, and more were trained until they "
                "decided: p-values and intervals here are for a number of seeds fixed in advance; those with alpha "
                f"spending are in {analyses.path.parent.name}/{analyses.path.name}"
            )


def _leaks(told: Any) -> list[str]:
    """Return the arrays that leak. Older run stores record only whether the observations do."""
    match told:
        case list():
            return [str(name) for name in told]
        case True:
            return ["observations"]
    return []


def _versions(provenance: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in provenance.items() if name.startswith(("version_", "git_commit"))}
