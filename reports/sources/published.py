"""The table of a published report: its runs, in one Parquet file from which the report can be made again.

A row is a run, with its outcomes and its config. Numbers are exact, so that the report is the same byte for byte. Some
columns are lists, with a number for each update: `history/episodic_return`, `history/global_step`, and, where the
report needs them, the norms of gradients. `gaps` has the distances of a run from others of its seed. They replace the
parameters' fingerprints, which are 40 times as large. `params_sha256` is the hash of all parameters after the last
update, where the run's history has it. Older tables have no such column.

What isn't of a single run is in the file's metadata, as JSON: the report's outcome and margin, factors, and so on.
"""

import dataclasses
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports.errors import UnreadableSourceError, in_one_line
from reports.factors import Factor
from reports.files import Json, read_file
from reports.sources.reading import AS_IS, Reading
from reports.sources.runs import COLUMNS, COST, HASH, Distance, InterimAnalyses, Observed, Published, Runs

TABLE = "table.parquet"
"""The file's name."""
SCHEMA = 1
METADATA = b"rl-roundoff-report"
"""The key of the metadata that isn't of a single run."""

HISTORY = "history/"
GAPS, PROVENANCE, DOSE = "gaps", "provenance", "is_dose"
STEPS = f"{HISTORY}global_step"
PERTURBATION = "perturbation"

History = Mapping[str, NDArray[Any]]


def write_published(
    path: Path, runs: Runs, published: Published, histories: Mapping[str, History], hashes: Mapping[str, str]
) -> None:
    """Write the table of a report.

    Args:
        path: The file to write.
        runs: Those of the report, with the distances that it measured.
        published: The report.
        histories: By finished run, the columns of its updates that the report needs.
        hashes: By finished run, the hash of its parameters after the last update, where it is known.

    Raises:
        UnreadableSourceError: pyarrow isn't installed.
        OSError: The file can't be written.
    """
    pyarrow, parquet = _arrow(path)
    doses = runs.doses if runs.doses is not None else runs.table.iloc[:0]
    wanted = {*COLUMNS, *(factor.name for factor in runs.factors), *runs.hyperparameters, *runs.outcomes, COST}
    wanted |= {published.outcome, *published.others} | ({PERTURBATION} if len(doses) else set())
    table = runs.table[[name for name in runs.table.columns if name in wanted]]
    everything = pd.concat([table.astype(object), doses.reindex(columns=table.columns).astype(object)])
    ids = [str(run) for run in everything["run"]]
    columns = {name: _encoded(pyarrow, everything[name], str(table[name].dtype)) for name in table.columns}
    arrays = {name: array for name, (array, _) in columns.items()}
    told = [json.dumps(runs.provenance[run]) if run in runs.provenance else None for run in ids]
    arrays[PROVENANCE] = pyarrow.array(told, pyarrow.string())
    if len(doses):
        arrays[DOSE] = pyarrow.array([False] * len(table) + [True] * len(doses))
    if hashes:
        arrays[HASH] = pyarrow.array([hashes.get(run) for run in ids], pyarrow.string())
    numbers = pyarrow.list_(pyarrow.float64())
    for name in dict.fromkeys(name for history in histories.values() for name in history):
        arrays[HISTORY + name] = pyarrow.array([histories.get(run, {}).get(name) for run in ids], numbers)
    gaps: dict[str, list[Json]] = {}
    for (other, run), distance in runs.distances.items():
        gaps.setdefault(run, []).append({"of": other, "gap": distance.gap, "first_tensor": distance.first_tensor})
    gap = [("of", pyarrow.string()), ("first_tensor", pyarrow.string()), ("gap", numbers)]
    arrays[GAPS] = pyarrow.array([gaps.get(run) for run in ids], pyarrow.list_(pyarrow.struct(gap)))
    taken = [name for name in columns if name in (PROVENANCE, DOSE, HASH, GAPS) or name.startswith(HISTORY)]
    if taken:
        raise UnreadableSourceError(f"{path}: a report's table has a column {taken[0]!r} of its own: rename the runs'")
    found = pyarrow.table(arrays).replace_schema_metadata(
        {METADATA: json.dumps(_metadata(runs, published, {name: kind for name, (_, kind) in columns.items()}))}
    )
    # Numbers that have little in common are smaller where their first bytes stand together, and then their second ones.
    split = [f"{name}.list.element" for name in arrays if name.startswith(HISTORY) and name != STEPS]
    split.append(f"{GAPS}.list.element.gap.list.element")
    repeated = [*columns, PROVENANCE, f"{STEPS}.list.element", *(f"{GAPS}.list.element.{name}" for name, _ in gap[:2])]
    content = io.BytesIO()
    parquet.write_table(
        found,
        content,
        compression="zstd",
        compression_level=19,
        use_dictionary=repeated,
        use_byte_stream_split=split,
        write_statistics=False,
        write_page_checksum=True,
    )
    path.write_bytes(content.getvalue())


def is_published(path: Path) -> bool:
    """Return whether a file is a report's table, whole or damaged behind its metadata."""
    if path.suffix != ".parquet":
        return False
    try:
        import pyarrow.parquet

        return METADATA in (pyarrow.parquet.read_schema(io.BytesIO(read_file(path))).metadata or {})
    except (ImportError, OSError, ValueError):  # `table` raises an error about it
        return False


def read_published(path: Path, reading: Reading = AS_IS) -> Runs:
    """Return the runs of a report's table.

    Args:
        path: The file.
        reading: Which outcome is studied; all else is in the file.

    Raises:
        UnreadableSourceError: The file is damaged, or `reading` has more than an outcome.
    """
    if dataclasses.replace(reading, outcome=None) != AS_IS:
        raise UnreadableSourceError(
            f"{path}: the table of a report has its own factors, designs and reference: leave yours out"
        )
    _, parquet = _arrow(path)
    try:
        found = parquet.read_table(io.BytesIO(read_file(path)), page_checksum_verification=True)
        metadata = json.loads(found.schema.metadata[METADATA])
        if metadata["schema"] != SCHEMA:
            raise UnreadableSourceError(
                f"{path}: the report's table is of schema {metadata['schema']}, and {SCHEMA} is read here: "
                "use the version of this program that wrote it"
            )
        return _decoded(found, metadata)
    except UnreadableSourceError:
        raise
    except OSError as error:
        raise UnreadableSourceError(f"{path} can't be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise UnreadableSourceError(
            f"{path}: the report's table is damaged ({type(error).__name__}: {in_one_line(error)[:200]}): "
            "take it from where it was published"
        ) from error


def _arrow(path: Path) -> tuple[Any, Any]:
    """Return pyarrow, and its module for Parquet.

    Raises:
        UnreadableSourceError: It isn't installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise UnreadableSourceError(f"{path}: Parquet needs pyarrow: `pip install pyarrow`") from error
    return pyarrow, pyarrow.parquet


def _encoded(pyarrow: Any, column: "pd.Series[Any]", dtype: str) -> tuple[Any, str]:
    """Return a column as an Arrow array, and its type here: `json` for values of several types."""
    missing = (lambda value: value is None) if dtype in ("object", "float64") else pd.isna
    values = [None if missing(value) else value for value in column]
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {bool} or kinds <= {float} or kinds <= {str} or (kinds <= {int} and max(map(_size, values)) < 2**63):
        return pyarrow.array(values, from_pandas=False), dtype
    text = [None if value is None else json.dumps(value, default=_plain) for value in values]
    return pyarrow.array(text, pyarrow.string()), "json"


def _size(value: int | None) -> int:
    return abs(value or 0)


def _plain(value: Any) -> Any:
    """Return a value that JSON can't encode as one that it can."""
    return value.item() if isinstance(value, np.generic) else str(value)


def _metadata(runs: Runs, published: Published, columns: Mapping[str, str]) -> Json:
    return {
        "schema": SCHEMA,
        "report": dataclasses.asdict(published),
        "columns": columns,
        "outcomes": runs.outcomes,
        "factors": [dataclasses.asdict(factor) for factor in runs.factors],
        "paired": runs.paired,
        "hyperparameters": runs.hyperparameters,
        "unknown": runs.unknown,
        "interim": [
            {"path": f"{each.path.parent.name}/{each.path.name}", "seeds": each.seeds, "runs": sorted(each.runs)}
            for each in runs.analyses
        ],
        "observed": [{"conditions": sorted(pair), **dataclasses.asdict(seen)} for pair, seen in runs.observed.items()],
    }


def _decoded(found: Any, metadata: Json) -> Runs:
    table = pd.DataFrame({name: _column(found[name].to_pylist(), kind) for name, kind in metadata["columns"].items()})
    ids = [str(run) for run in table["run"]]
    is_dose = np.array(found[DOSE].to_pylist() if DOSE in found.column_names else [False] * len(ids), dtype=bool)
    provenance = dict(zip(ids, found[PROVENANCE].to_pylist(), strict=True))
    report = metadata["report"]
    histories = _histories(ids, found)
    finished = table["run"][(table["status"] == "finished") & ~is_dose]
    if histories and not histories.keys() >= {*finished}:
        raise ValueError("finished runs have no history")
    return Runs(
        table=table[~is_dose].reset_index(drop=True),
        outcomes=[str(name) for name in metadata["outcomes"]],
        factors=tuple(Factor(**{**factor, "levels": tuple(factor["levels"])}) for factor in metadata["factors"]),
        paired=bool(metadata["paired"]),
        hyperparameters=[str(name) for name in metadata["hyperparameters"]],
        unknown=dict(metadata["unknown"]),
        provenance={run: json.loads(told) for run, told in provenance.items() if told is not None},
        analyses=[
            InterimAnalyses(Path(each["path"]), each["seeds"], frozenset(each["runs"])) for each in metadata["interim"]
        ],
        doses=table[is_dose].reset_index(drop=True) if is_dose.any() else None,
        observed={frozenset(seen.pop("conditions")): Observed(**seen) for seen in metadata["observed"]},
        distances=_distances(ids, found[GAPS].to_pylist()),
        histories=histories,
        hashes=_hashes(ids, found),
        published=Published(**{**report, "others": tuple(report["others"])}),
    )


def _column(values: Sequence[Any], kind: str) -> "pd.Series[Any]":
    if kind == "json":
        return pd.Series([None if value is None else json.loads(value) for value in values], dtype=object)
    return pd.Series(values, dtype=kind)


def _histories(ids: Sequence[str], found: Any) -> dict[str, dict[str, NDArray[Any]]]:
    histories: dict[str, dict[str, NDArray[Any]]] = {}
    for column in found.column_names:
        if column.startswith(HISTORY):
            for run, values in zip(ids, found[column].to_pylist(), strict=True):
                if values is not None:
                    histories.setdefault(run, {})[column.removeprefix(HISTORY)] = np.array(values, dtype=np.float64)
    for run, history in histories.items():
        if len({len(values) for values in history.values()}) != 1:
            raise ValueError(f"the history of run {run} has columns of different lengths")
    return histories


def _hashes(ids: Sequence[str], found: Any) -> dict[str, str]:
    if HASH not in found.column_names:
        return {}
    return {run: str(told) for run, told in zip(ids, found[HASH].to_pylist(), strict=True) if told is not None}


def _distances(ids: Sequence[str], gaps: Sequence[Sequence[Json] | None]) -> dict[tuple[str, str], Distance]:
    return {
        (str(each["of"]), run): Distance(np.array(each["gap"], dtype=np.float64), each["first_tensor"])
        for run, own in zip(ids, gaps, strict=True)
        for each in own or ()
    }
