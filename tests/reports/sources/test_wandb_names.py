"""Names that come from W&B, or that are given for it: none leads to a path outside the folder that it is for."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agents.conditions import CONDITIONS
from reports.sources import UnreadableSourceError, wandb
from reports.sources.wandb import WandbPath, download
from study.config.run_config import RunConfig
from study.tracking import elsewhere, runs
from study.tracking.runs import group_of


@pytest.mark.parametrize(
    "source",
    [
        "wandb:../../..",
        "wandb:a/..",
        "wandb:a/b/..",
        "wandb:a/b/../..",
        "wandb:a//b",
        "wandb:/a/b",
        "wandb://a/b",
        "wandb:a/b/",
        "wandb:./b",
        "wandb:a/b/.lock",
        "wandb:a\\b/c",
        "wandb:a/b\n",
        "wandb:a/b c",
        f"wandb:a/{'b' * 5000}",
        "wandb:",
    ],
)
def test_a_source_that_is_a_path_is_refused(source: str) -> None:
    with pytest.raises(UnreadableSourceError, match="a W&B source is wandb:entity/project or wandb:entity/project/"):
        WandbPath.parse(source)


def test_a_place_s_cache_is_below_the_cache() -> None:
    root = WandbPath("a", "b", None).cache.parents[2]
    for source in ("wandb:some-one/rl.study_2", "wandb:some-one/rl.study_2/x7y8z9", "wandb:a/-b"):
        cache = WandbPath.parse(source).cache
        assert cache.parents[2] == root
        assert ".." not in cache.parts


class File:
    """What W&B answers when it is asked for a run's files."""

    def __init__(self, name: str) -> None:
        self.name = name

    def download(self, root: str, replace: bool) -> Any:
        path = Path(root) / self.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
        assert replace
        return path.open()


def test_only_known_files_are_downloaded(tmp_path: Path) -> None:
    names = ["config.json", "../evil", str(tmp_path / "evil"), "a/config.json", ".bashrc", "summary.json"]
    asked: list[Sequence[str]] = []

    def files(names_: Sequence[str]) -> list[File]:
        asked.append(names_)
        return [File(name) for name in names]

    assert download(SimpleNamespace(files=lambda names: files(names))) == {"config.json": b"{}", "summary.json": b"{}"}
    assert asked == [["config.json", "history.jsonl", "summary.json", "cost.json"]]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("run_id", ["..", "../..", "", "a/b", "0" * 15, "0" * 17, "G" * 16, f"{'0' * 16}\n", None, 16])
def test_a_run_whose_id_is_none_is_left_out(run_id: object) -> None:
    run = SimpleNamespace(config={"run_id": run_id}, summary={"status": "finished"})
    assert wandb._chosen([run]) == {}


def test_runs_that_were_not_asked_for_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [SimpleNamespace(config={"run_id": name}) for name in ("../..", "0" * 16)] + [SimpleNamespace(config={})]
    monkeypatch.setattr("wandb.Api", lambda **_: SimpleNamespace(runs=lambda *_, **__: found))
    config: Any = SimpleNamespace(id="0" * 16)
    assert elsewhere._runs_of([config]) == [found[1]]


@pytest.mark.parametrize("run_id", ["*", "?", "..", "../../keep", "[a-z]*", ""])
def test_a_run_s_id_is_no_pattern_of_what_is_removed(tmp_path: Path, run_id: str) -> None:
    kept = [tmp_path / "wandb" / "offline-run-20260101_000000-mine", tmp_path / "keep"]
    for path in kept:
        path.mkdir(parents=True)
    runs._discard_interrupted(run_id, tmp_path)
    assert all(path.is_dir() for path in kept)
    runs._discard_interrupted("mine", tmp_path)
    assert [path.is_dir() for path in kept] == [False, True]


def test_a_group_s_runs_differ_in_their_seed_alone(small: Callable[..., RunConfig]) -> None:
    assert group_of(small(seed=0)) == group_of(small(seed=1))
    changes: list[dict[str, Any]] = [
        *({"condition": name} for name in CONDITIONS),
        {"precision": "float32"},
        {"replicate": 1},
        {"replicate": 1, "perturbation": "jitter"},
        {"gamma": 0.9},
    ]
    assert len({group_of(small(**change)) for change in changes}) == len(changes)


def test_a_group_ends_with_its_design(small: Callable[..., RunConfig]) -> None:
    ends = [group_of(small(condition=name, replicate=1)).rpartition(" ")[2] for name in CONDITIONS]
    assert len({*ends, group_of(small()).rpartition(" ")[2]}) == 1
    assert group_of(small(gamma=0.9)).rpartition(" ")[2] != ends[0]
