"""The ledger: whole or not at all, and each cell for one process alone."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from study.cells import Cell, MistakeError
from study.files import DRAFT
from study.ledger import Ledger, dump

MakeCell = Callable[..., Cell]


def test_a_cell_has_ended_when_its_outcome_is_there(tmp_path: Path, small: MakeCell) -> None:
    ledger, cell = Ledger(tmp_path / "runs"), small()
    entry = ledger.begin(cell, {"cpu": "z80"})
    assert entry is not None
    with entry:
        entry.append({"update": 1, "std": 0.1 + 0.2, "episodic_return": float("nan")})
        assert ledger.outcome(cell) is None
        written = (ledger.path(cell) / "updates.jsonl").read_text()
        assert json.loads(written) == {"update": 1, "std": 0.1 + 0.2, "episodic_return": None}
        entry.finish({"status": "finished", "error": None})
    assert ledger.outcome(cell) == {"status": "finished", "error": None}
    assert ledger.begin(cell, {}) is None
    description = json.loads((ledger.path(cell) / "cell.json").read_text())
    assert description["id"] == cell.id == ledger.path(cell).name
    assert {name: description[name] for name in ("condition", "seed", "precision", "gamma", "parameterization")} == {
        "condition": "normal_std", "seed": 0, "precision": "float64", "gamma": 0.99, "parameterization": "std",
    }  # fmt: skip
    assert description["provenance"] == {"cpu": "z80"}
    assert sorted(path.name for path in ledger.path(cell).iterdir()) == ["cell.json", "outcome.json", "updates.jsonl"]


def test_a_cell_is_one_process_own_until_it_lets_go(tmp_path: Path, small: MakeCell) -> None:
    cell = small()
    entry = Ledger(tmp_path).begin(cell, {})
    assert entry is not None
    with entry:
        entry.append({"update": 1})
        assert Ledger(tmp_path).begin(cell, {}) is None
        assert (entry.path / "updates.jsonl").read_text() == '{"update": 1}\n'
    again = Ledger(tmp_path).begin(cell, {})
    assert again is not None
    with again:
        assert (entry.path / "updates.jsonl").read_text() == ""


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
def test_a_damaged_outcome_is_named_and_kept(tmp_path: Path, small: MakeCell, damage: str) -> None:
    cell = small()
    path = Ledger(tmp_path).path(cell) / "outcome.json"
    path.parent.mkdir()
    path.write_text(damage)
    with pytest.raises(MistakeError, match=r"outcome\.json is damaged: delete its folder"):
        Ledger(tmp_path).outcome(cell)
    assert path.read_text() == damage


@pytest.mark.parametrize("name", ["outcome.json", "checkpoint"])
def test_what_cannot_be_read_is_named(tmp_path: Path, small: MakeCell, name: str) -> None:
    (Ledger(tmp_path).path(small()) / name).mkdir(parents=True)
    with pytest.raises(MistakeError, match=f"{name} can't be read: Is a directory"):
        Ledger(tmp_path).waiting([small()])


@pytest.mark.parametrize("damage", ["", "[]\n", "{", "[" * 100_000, "\xff"], ids=lambda text: text[:50])
def test_a_damaged_history_is_named(tmp_path: Path, small: MakeCell, damage: str) -> None:
    path = Ledger(tmp_path).path(small()) / "updates.jsonl"
    path.parent.mkdir()
    if damage:
        path.write_text(damage, encoding="latin-1")
    with pytest.raises(MistakeError, match=r"updates\.jsonl is damaged: delete its folder"):
        Ledger(tmp_path).updates(small())


def forbid(path: Path) -> None:
    """Put a folder, which nobody can read as a file, in a file's place: a test may run as root, who may read all."""
    path.unlink(missing_ok=True)
    path.mkdir(parents=True)


@pytest.mark.parametrize("make", [forbid, os.mkfifo])
@pytest.mark.parametrize("name", ["cell.json", "updates.jsonl", "outcome.json", "checkpoint"])
def test_what_cannot_be_read_is_never_called_damaged(
    tmp_path: Path, small: MakeCell, name: str, make: Callable[[Path], None]
) -> None:
    path = Ledger(tmp_path).path(small()) / name
    path.parent.mkdir()
    make(path)
    ledger, cell = Ledger(tmp_path), small()
    reads: dict[str, Callable[[], object]] = {
        "updates.jsonl": lambda: ledger.updates(cell),
        "checkpoint": lambda: ledger.waiting([cell]),
    }
    with pytest.raises(MistakeError, match=rf"{name} can't be read: (Is a directory|it isn't a regular file)"):
        reads.get(name, lambda: ledger.begin(cell, {}))()


def test_permissions_are_named(tmp_path: Path, small: MakeCell, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    path = Ledger(tmp_path).path(small()) / "outcome.json"
    path.parent.mkdir()
    path.write_text("{}")
    monkeypatch.setattr("study.files.read_file", denied)
    with pytest.raises(MistakeError, match=r"outcome\.json can't be read: Permission denied$"):
        Ledger(tmp_path).waiting([small()])
    with pytest.raises(MistakeError, match=r"outcome\.json can't be read: Permission denied$"):
        Ledger(tmp_path).begin(small(), {})


def test_only_drafts_of_this_program_are_deleted(tmp_path: Path, small: MakeCell) -> None:
    folder = Ledger(tmp_path).path(small())
    folder.mkdir()
    kept = {folder / ".gitignore", folder / ".outcome.json.1", folder / ".notes.draft", folder / ".cache"}
    for path in kept:
        path.mkdir() if path.name == ".cache" else path.write_text("mine")
    draft = folder / f".outcome.json.1{DRAFT}"
    draft.write_text("{")
    entry = Ledger(tmp_path).begin(small(), {})
    assert entry is not None
    with entry:
        assert kept == set(folder.glob(".*"))


ENDED = {
    "cell.json": b"{}",
    "updates.jsonl": b"{}",
    "policy.pt": b"learned",
    "cost.json": b"{}",
    "outcome.json": b'{"status": "finished", "error": null}',
}
"""What a run that has ended leaves."""


def test_no_name_from_elsewhere_becomes_a_path(tmp_path: Path, small: MakeCell) -> None:
    ledger = Ledger(tmp_path / "a" / "runs")
    strange = dict.fromkeys(["checkpoint", "../../../evil", str(tmp_path / "evil"), "x.sh"], b"{}")
    assert ledger.adopt(small(), {**strange, **ENDED})
    assert {path.name: path.read_bytes() for path in ledger.path(small()).iterdir()} == ENDED
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("damage", [{"outcome.json": b"{}"}, {"outcome.json": b"["}, {"checkpoint": b"x"}])
def test_what_comes_back_damaged_is_not_taken_over(tmp_path: Path, small: MakeCell, damage: dict[str, bytes]) -> None:
    ledger, files = Ledger(tmp_path), {name: ENDED[name] for name in ("cell.json", "updates.jsonl")}
    with pytest.raises(MistakeError, match=f"what run {small().id} has left elsewhere is damaged"):
        ledger.adopt(small(), files | damage)
    with pytest.raises(MistakeError, match="files are missing"):
        ledger.adopt(small(), {"outcome.json": ENDED["outcome.json"]})
    assert not ledger.path(small()).exists()


def test_what_another_process_trains_is_not_taken_over(tmp_path: Path, small: MakeCell) -> None:
    ledger, cell, other = Ledger(tmp_path), small(), small(seed=1)
    entry = ledger.begin(cell, {})
    assert entry is not None
    with entry:
        entry.append({"update": 1})
        assert ledger.held([cell, other]) == [cell]
        assert not ledger.adopt(cell, ENDED)
        assert (entry.path / "updates.jsonl").read_text() == '{"update": 1}\n'
    assert ledger.held([cell, other]) == []
    assert ledger.adopt(cell, ENDED)
    assert not ledger.adopt(cell, ENDED)  # it has ended


@pytest.mark.parametrize("runs_dir", ["file", "file/runs"])
def test_what_can_hold_no_runs_is_named_and_kept(tmp_path: Path, small: MakeCell, runs_dir: str) -> None:
    (tmp_path / "file").write_text("dear")
    ledger = Ledger(tmp_path / runs_dir)
    assert ledger.waiting([small()]) == [small()]
    attempts: list[Callable[[], object]] = [ledger.prepare, lambda: ledger.begin(small(), {})]
    for attempt in attempts:
        with pytest.raises(MistakeError, match=r"file.* can hold no runs: Not a directory.*choose another --runs-dir"):
            attempt()
    assert (tmp_path / "file").read_text() == "dear"


def test_floats_keep_every_bit() -> None:
    values = [0.1, 1e-310, 1.7976931348623157e308, -0.0, 1 / 3]
    assert [value.hex() for value in json.loads(dump({"values": values}))["values"]] == [v.hex() for v in values]
