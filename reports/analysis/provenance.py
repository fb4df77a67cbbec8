"""Provenance: how runs were made, and what in that a reader should doubt."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from reports.sources.runs import Runs


def origins(runs: Runs, finished: pd.DataFrame) -> list[tuple[int, dict[str, Any]]]:
    """Return how many runs were made with which versions, on which machine."""
    places = [runs.provenance[run] for run in finished["run"] if runs.provenance.get(run)]
    different: list[dict[str, Any]] = []
    for place in places:
        if place not in different:
            different.append(place)
    return [(places.count(place), place) for place in different]


def doubts(runs: Runs, finished: pd.DataFrame) -> Iterator[str]:
    """Warnings about runs that nobody knows, and about how a design's others were made."""
    for run, error in list(runs.unknown.items())[:1]:
        number = len(runs.unknown)
        yield f"{number} run{'s' * (number != 1)} damaged, such as {run}: {error}"
    yield from _looked_at(runs, finished)
    places = [place for _, place in origins(runs, finished)]
    if len({(str(place.get("cpu")), str(place.get("cpu_capability"))) for place in places}) > 1:
        yield "runs were made on different processors, whose round-off differs: see provenance"
    if len({tuple(sorted(_versions(place).items())) for place in places}) > 1:
        yield "runs were made with different versions: see provenance"
    double = origins(runs, finished[finished["precision"] == "float64"])
    leaks = sorted({name for _, place in double for name in _leaks(place.get("leaks_precision"))})
    if leaks:
        yield (
            f"precision leaks ({', '.join(leaks)}): float32 holds every number that comes from there, so float64 runs "
            "learn from quantised numbers, and may seem more stable than they are"
        )


def _looked_at(runs: Runs, finished: pd.DataFrame) -> Iterator[str]:
    """Where seeds were added as results came in, an ordinary analysis errs more often than it says."""
    for analyses in runs.analyses:
        if len(analyses.seeds) > 1 and not analyses.runs.isdisjoint(finished["run"]):
            seeds = ", ".join(map(str, analyses.seeds))
            yield (
                f"interim analyses of these runs were made after {seeds} seeds, and more were trained until they "
                "decided: p-values and intervals here are for a number of seeds fixed in advance; those with alpha "
                f"spending are in {analyses.path.parent.name}/{analyses.path.name}"
            )


def _leaks(told: Any) -> list[str]:
    """The arrays that leak. Older run stores say only whether the observations do."""
    match told:
        case list():
            return [str(name) for name in told]
        case True:
            return ["observations"]
    return []


def _versions(provenance: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in provenance.items() if name.startswith(("version_", "git_commit"))}
