"""`study reproduce`."""

import dataclasses
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from tyro.conf import OmitArgPrefixes, Positional

from study.commands.shared import check_pool, train_all
from study.config.run_config import RunConfig, read_seeds
from study.errors import ConfigError
from study.pool.options import PoolOptions

if TYPE_CHECKING:
    from reports.sources.runs import Runs
    from study.reproduction import Difference, Record

Row = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reproduce:
    """Train runs of a published report again, and compare them with its table, bit for bit."""

    table: Positional[Path]
    """the report's table, such as reports/published/pendulum/table.parquet"""
    seeds: str
    """whose runs, such as 1000, 1000-1009 or 1000-1008:2"""
    pool: OmitArgPrefixes[PoolOptions] = dataclasses.field(default_factory=PoolOptions)

    def run(self) -> None:
        """Train those of the runs that haven't ended, and print which have the published bits.

        Raises:
            ConfigError: The table, a seed or an option can't be used.
            UnreadableSourceError: The table or a run can't be read.
            WorkerError: Runs have no outcome.
            SystemExit: With exit code 0 if all have the published bits, and 1 if not.
        """
        check_pool(self.pool)
        from reports import sources
        from study import reproduction

        runs = reproduction.read_table(self.table)
        rows = self._choose(reproduction.ended_rows(runs))
        configs = [self._require(row, reproduction.find_config(row), runs) for row in rows]
        train_all(self.pool, {self.table: configs})
        published = reproduction.published_records(runs, rows)
        expected = {config.id: dataclasses.asdict(config) for config in configs}
        here = reproduction.trained_records(sources.read(self.pool.runs_dir, expected), published)
        found = {run: reproduction.compare(published[run], here[run]) for run in published}
        differing = {run: difference for run, difference in found.items() if difference is not None}
        print(_conclusion(len(differing), len(found)))
        outcome = runs.usual_outcome
        for row, name in zip(rows, _names(rows, runs), strict=True):
            run = row["run"]
            if run in differing:
                print(f"  {name}: {_describe(differing[run], published[run], here[run], outcome)}")
        print(*_tell_compared(published.values()), sep="\n")
        pairs = [(published[run].provenance, here[run].provenance) for run in published]
        print(*_tell_provenance(*reproduction.compare_provenance(pairs)), sep="\n")
        sys.exit(1 if differing else 0)

    def _choose(self, rows: Sequence[Row]) -> list[Row]:
        """Return the rows of the seeds.

        Raises:
            ConfigError: The table hasn't one of them.
        """
        from reports.documents.words import ranges

        wanted = read_seeds(self.seeds)
        there = {int(row["seed"]) for row in rows}
        missing = [seed for seed in wanted if seed not in there]
        if missing:
            has = f"choose from {ranges(sorted(there))}" if there else "no run there has ended"
            raise ConfigError(f"{self.table} has no run of seed {missing[0]}: {has} (--seeds)")
        keys = ("seed", "condition", "precision", "replicate")
        return sorted((row for row in rows if row["seed"] in wanted), key=lambda row: [row[key] for key in keys])

    def _require(self, row: Row, config: RunConfig | None, runs: "Runs") -> RunConfig:
        if config is None:
            commit = runs.provenance.get(row["run"], {}).get("git_commit")
            version = f", git commit {commit}" if commit else ""
            raise ConfigError(
                f"{self.table} is of another version of the configs: none here has the id of its run {row['run']}, of "
                f"seed {row['seed']}: use the version that trained it{version}"
            )
        return config


def _conclusion(differing: int, number: int) -> str:
    if differing:
        return f"{differing} of {number} runs {'differs' if differing == 1 else 'differ'} from the published ones"
    return f"{number} of {number} runs {'has' if number == 1 else 'have'} the published bits"


def _names(rows: Sequence[Row], runs: "Runs") -> Iterator[str]:
    """Yield what tells each run apart: arm, precision, replicate and seed, and the values in which designs differ."""
    possible = [*runs.hyperparameters, "perturbation"]
    differing = [name for name in possible if len({str(row.get(name)) for row in rows}) > 1]
    for row in rows:
        design = [f"{name} {row.get(name)}" for name in differing]
        where = f"{row['precision']}, replicate {row['replicate']}, seed {row['seed']}"
        yield ", ".join([row["condition"], *design, where])


def _describe(difference: "Difference", published: "Record", here: "Record", outcome: str) -> str:
    """Return where a run begins to differ, and the primary outcome, or those that differ where it doesn't."""
    if difference.is_ending:
        return f"{_ending(published)} in the table, {_ending(here)} here"
    update = difference.update
    if update is not None:
        at = slice(update - 1, update)
        first = [_numbers(name, published.history[name][at], here.history[name][at]) for name in difference.columns]
        where = f"from update {update} on ({', '.join(first)})"
    elif difference.is_parameters:
        where = "the parameters after the last update, and no recorded number of an update"
    else:
        where = "no recorded number of an update"
    is_shown = outcome in difference.outcomes or not difference.outcomes
    shown = [outcome] if is_shown else difference.outcomes
    return "; ".join([where, *(_numbers(name, published.outcomes[name], here.outcomes[name]) for name in shown)])


def _ending(record: "Record") -> str:
    return f"{record.status} ({record.error})" if record.error else record.status


def _numbers(name: str, published: ArrayLike, here: ArrayLike) -> str:
    """Return the only number of each in words; one may have none."""
    one, other = (", ".join(map(repr, np.ravel(values).tolist())) or "none" for values in (published, here))
    return f"{name} {one} in both" if one == other else f"{name} {one} in the table and {other} here"


def _tell_compared(published: Iterable["Record"]) -> Iterator[str]:
    """Yield what was compared of finished runs, and what couldn't be."""
    finished = [record for record in published if record.status == "finished"]
    hashes = Counter("params_sha256" for record in finished if record.params_sha256)
    kept = hashes + Counter(name for record in finished for name in (*record.outcomes, *record.history))
    compared = [name if runs == len(finished) else f"{name} ({runs} runs)" for name, runs in kept.items()]
    yield f"compared: {', '.join(compared) or 'errors of failed runs'}"
    if kept["params_sha256"] < len(finished):
        missing = f"{len(finished) - kept['params_sha256']} of {len(finished)} runs"
        yield f"not compared: the parameters of {missing}, since the table has no params_sha256 of them"


def _tell_provenance(differing: Mapping[str, Sequence[tuple[Any, Any]]], alone: Sequence[str]) -> Iterator[str]:
    yield "provenance that differs:" if differing else "provenance: nothing that is recorded differs"
    for name, pairs in differing.items():
        for published, here in pairs:
            yield f"  {name}: {published} in the table, {here} here"
    if alone:
        yield f"provenance recorded on one side alone: {', '.join(alone)}"
