"""The run store: whole or not at all, and each run for one process alone."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from reports.errors import UnreadableSourceError
from reports.sources.run_store import read_run_store
from study.config.run_config import RunConfig
from study.errors import ConfigError
from study.store.convert import NAMES, convert
from study.store.files import DRAFT
from study.store.records import dump
from study.store.run_store import RunStore

MakeConfig = Callable[..., RunConfig]


def test_a_run_has_ended_when_its_outcome_is_there(tmp_path: Path, small: MakeConfig) -> None:
    store, config = RunStore(tmp_path / "runs"), small()
    writer = store.begin(config, {"cpu": "z80"})
    assert writer is not None
    with writer:
        writer.append({"update": 1, "std": 0.1 + 0.2, "episodic_return": float("nan")})
        assert store.summary(config) is None
        written = (store.path(config) / "history.jsonl").read_text()
        assert json.loads(written) == {"update": 1, "std": 0.1 + 0.2, "episodic_return": None}
        writer.finish({"status": "finished", "error": None})
    assert store.summary(config) == {"status": "finished", "error": None}
    assert store.begin(config, {}) is None
    description = json.loads((store.path(config) / "config.json").read_text())
    assert description["id"] == config.id == store.path(config).name
    assert {name: description[name] for name in ("condition", "seed", "precision", "gamma", "parameterization")} == {
        "condition": "normal_std", "seed": 0, "precision": "float64", "gamma": 0.99, "parameterization": "std",
    }  # fmt: skip
    assert description["provenance"] == {"cpu": "z80"}
    assert sorted(path.name for path in store.path(config).iterdir()) == [
        "config.json",
        "history.jsonl",
        "summary.json",
    ]


def test_a_run_is_one_process_own_until_it_lets_go(tmp_path: Path, small: MakeConfig) -> None:
    config = small()
    writer = RunStore(tmp_path).begin(config, {})
    assert writer is not None
    with writer:
        writer.append({"update": 1})
        assert RunStore(tmp_path).begin(config, {}) is None
        assert (writer.path / "history.jsonl").read_text() == '{"update": 1}\n'
    again = RunStore(tmp_path).begin(config, {})
    assert again is not None
    with again:
        assert (writer.path / "history.jsonl").read_text() == ""


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "{",
        '{"status": "perhaps"}',
        "[]",
        "[" * 100_000,
        '{"status": "finished", "final_return": null}',
        '{"status": "finished", "final_return": "good"}',
        '{"status": "finished", "final_return": NaN}',
        '{"status": "failed", "error": {"at": "home"}}',
    ],
    ids=lambda text: text[:50],
)
def test_a_damaged_outcome_is_named_and_kept(tmp_path: Path, small: MakeConfig, damage: str) -> None:
    config = small()
    path = RunStore(tmp_path).path(config) / "summary.json"
    path.parent.mkdir()
    path.write_text(damage)
    with pytest.raises(ConfigError, match=r"summary\.json is damaged: delete its folder"):
        RunStore(tmp_path).summary(config)
    assert path.read_text() == damage


@pytest.mark.parametrize("name", ["summary.json", "checkpoint"])
def test_what_cannot_be_read_is_named(tmp_path: Path, small: MakeConfig, name: str) -> None:
    (RunStore(tmp_path).path(small()) / name).mkdir(parents=True)
    with pytest.raises(ConfigError, match=f"{name} can't be read: Is a directory"):
        RunStore(tmp_path).waiting([small()])


@pytest.mark.parametrize("damage", ["", "[]\n", "{", "[" * 100_000, "\xff"], ids=lambda text: text[:50])
def test_a_damaged_history_is_named(tmp_path: Path, small: MakeConfig, damage: str) -> None:
    path = RunStore(tmp_path).path(small()) / "history.jsonl"
    path.parent.mkdir()
    if damage:
        path.write_text(damage, encoding="latin-1")
    with pytest.raises(ConfigError, match=r"history\.jsonl is damaged: delete its folder"):
        RunStore(tmp_path).history(small())


def forbid(path: Path) -> None:
    """Put a folder, which nobody can read as a file, in a file's place: a test may run as root, who may read all."""
    path.unlink(missing_ok=True)
    path.mkdir(parents=True)


@pytest.mark.parametrize("make", [forbid, os.mkfifo])
@pytest.mark.parametrize("name", ["config.json", "history.jsonl", "summary.json", "checkpoint"])
def test_what_cannot_be_read_is_never_called_damaged(
    tmp_path: Path, small: MakeConfig, name: str, make: Callable[[Path], None]
) -> None:
    path = RunStore(tmp_path).path(small()) / name
    path.parent.mkdir()
    make(path)
    store, config = RunStore(tmp_path), small()
    reads: dict[str, Callable[[], object]] = {
        "history.jsonl": lambda: store.history(config),
        "checkpoint": lambda: store.waiting([config]),
    }
    with pytest.raises(ConfigError, match=rf"{name} can't be read: (Is a directory|it isn't a regular file)"):
        reads.get(name, lambda: store.begin(config, {}))()


def test_permissions_are_named(tmp_path: Path, small: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    path = RunStore(tmp_path).path(small()) / "summary.json"
    path.parent.mkdir()
    path.write_text("{}")
    monkeypatch.setattr("study.store.files.read_file", denied)
    with pytest.raises(ConfigError, match=r"summary\.json can't be read: Permission denied$"):
        RunStore(tmp_path).waiting([small()])
    with pytest.raises(ConfigError, match=r"summary\.json can't be read: Permission denied$"):
        RunStore(tmp_path).begin(small(), {})


def test_only_drafts_of_this_program_are_deleted(tmp_path: Path, small: MakeConfig) -> None:
    folder = RunStore(tmp_path).path(small())
    folder.mkdir()
    kept = {folder / ".gitignore", folder / ".summary.json.1", folder / ".notes.draft", folder / ".cache"}
    for path in kept:
        path.mkdir() if path.name == ".cache" else path.write_text("mine")
    draft = folder / f".summary.json.1{DRAFT}"
    draft.write_text("{")
    writer = RunStore(tmp_path).begin(small(), {})
    assert writer is not None
    with writer:
        assert kept == set(folder.glob(".*"))


ENDED = {
    "config.json": b"{}",
    "history.jsonl": b"{}",
    "policy.pt": b"learned",
    "cost.json": b"{}",
    "summary.json": b'{"status": "finished", "error": null}',
}
"""What a run that has ended leaves."""


def test_no_name_from_elsewhere_becomes_a_path(tmp_path: Path, small: MakeConfig) -> None:
    store = RunStore(tmp_path / "a" / "runs")
    strange = dict.fromkeys(["checkpoint", "../../../evil", str(tmp_path / "evil"), "x.sh"], b"{}")
    assert store.adopt(small(), {**strange, **ENDED})
    assert {path.name: path.read_bytes() for path in store.path(small()).iterdir()} == ENDED
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("damage", [{"summary.json": b"{}"}, {"summary.json": b"["}, {"checkpoint": b"x"}])
def test_what_comes_back_damaged_is_not_taken_over(tmp_path: Path, small: MakeConfig, damage: dict[str, bytes]) -> None:
    store, files = RunStore(tmp_path), {name: ENDED[name] for name in ("config.json", "history.jsonl")}
    with pytest.raises(ConfigError, match=f"what run {small().id} has left elsewhere is damaged"):
        store.adopt(small(), files | damage)
    with pytest.raises(ConfigError, match="files are missing"):
        store.adopt(small(), {"summary.json": ENDED["summary.json"]})
    assert not store.path(small()).exists()


def test_what_another_process_trains_is_not_taken_over(tmp_path: Path, small: MakeConfig) -> None:
    store, config, other = RunStore(tmp_path), small(), small(seed=1)
    writer = store.begin(config, {})
    assert writer is not None
    with writer:
        writer.append({"update": 1})
        assert store.held([config, other]) == [config]
        assert not store.adopt(config, ENDED)
        assert (writer.path / "history.jsonl").read_text() == '{"update": 1}\n'
    assert store.held([config, other]) == []
    assert store.adopt(config, ENDED)
    assert not store.adopt(config, ENDED)  # it has ended


@pytest.mark.parametrize("runs_dir", ["file", "file/runs"])
def test_what_can_hold_no_runs_is_named_and_kept(tmp_path: Path, small: MakeConfig, runs_dir: str) -> None:
    (tmp_path / "file").write_text("dear")
    store = RunStore(tmp_path / runs_dir)
    assert store.waiting([small()]) == [small()]
    attempts: list[Callable[[], object]] = [store.prepare, lambda: store.begin(small(), {})]
    for attempt in attempts:
        with pytest.raises(ConfigError, match=r"file.* can hold no runs: Not a directory.*choose another run store"):
            attempt()
    assert (tmp_path / "file").read_text() == "dear"


def test_floats_keep_every_bit() -> None:
    values = [0.1, 1e-310, 1.7976931348623157e308, -0.0, 1 / 3]
    assert [value.hex() for value in json.loads(dump({"values": values}))["values"]] == [v.hex() for v in values]


def as_an_earlier_version_left_it(folder: Path) -> None:
    for before, after in NAMES.items():
        (folder / after).rename(folder / before)


def test_an_old_run_store_is_refused_and_converted(tmp_path: Path, small: MakeConfig) -> None:
    store, config = RunStore(tmp_path / "runs"), small()
    writer = store.begin(config, {})
    assert writer is not None
    with writer:
        writer.append({"update": 1})
        writer.finish({"status": "finished", "error": None})
    written = {path.name: path.read_bytes() for path in store.path(config).iterdir()}
    as_an_earlier_version_left_it(store.path(config))
    with pytest.raises(ConfigError, match=r"runs is of an earlier version: `study convert .*runs` renames its files$"):
        store.waiting([config])
    with pytest.raises(UnreadableSourceError, match="is of an earlier version: `study convert"):
        read_run_store(store.runs_dir, None)
    assert convert(store.runs_dir) == 1
    assert convert(store.runs_dir) == 0
    assert {path.name: path.read_bytes() for path in store.path(config).iterdir()} == written
    assert store.waiting([config]) == []


def test_a_conversion_replaces_no_file(tmp_path: Path, small: MakeConfig) -> None:
    folder = RunStore(tmp_path).path(small())
    folder.mkdir()
    for name in ("cell.json", "outcome.json", "summary.json"):
        (folder / name).write_text(name)
    with pytest.raises(ConfigError, match=r"outcome\.json would replace .*summary\.json: delete one of them"):
        convert(tmp_path)
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        name: name for name in ("cell.json", "outcome.json", "summary.json")
    }
