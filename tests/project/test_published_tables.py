"""A published report is made again from its table alone, byte for byte."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reports import sources
from reports.documents import report
from reports.documents.report import Options
from reports.sources import Reading, UnreadableSourceError
from reports.sources.published import METADATA, TABLE
from reports.thread import CONDITIONS
from study.cli import main
from study.config.run_config import make_config
from study.training import cohort as training
from tests.helpers.paths import ROOT
from tests.helpers.shared import made_once
from tests.helpers.small import SMALL
from tests.helpers.synthetic import study, write_run_store

PUBLISHED = sorted((ROOT / "reports/published").glob(f"*/{TABLE}"))
LARGE = 1_000_000
"""Bytes of a table whose report takes long."""
LARGEST_FIGURE = 300_000
"""Bytes."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run store of four conditions, two seeds, two precisions, ULP controls, doses, and compensated runs."""
    return made_once(tmp_path_factory, "published tables", train)


def train(folder: Path) -> None:
    plain: list[dict[str, Any]] = [
        {"condition": condition, "seed": seed, "replicate": replicate}
        for condition in CONDITIONS
        for seed in (0, 1)
        for replicate in (0, 1)
    ]
    doses: list[dict[str, Any]] = [
        {"condition": "mvn_std", "seed": seed, "replicate": 1, "perturbation": 2.0**-20} for seed in (0, 1)
    ]
    for precision in ("float32", "float64"):
        for compensated in (False, True):
            wanted = [*plain, *([] if compensated else doses)]
            values = {**SMALL, "precision": precision, "compensated": compensated}
            training.train([make_config({**values, **changes}) for changes in wanted], folder, "disabled")


@pytest.fixture(scope="module")
def published(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published report."""
    output = tmp_path_factory.mktemp("published")
    options = Options(outcome="auc_return", margin=5.0, goal="minimize", description="Is it *so*?", table=True)
    report.write(str(runs), output, options)
    assert "\n## The design, as its file has it\n\nIs it \\*so\\*?\n" in (output / "report.md").read_text()
    return output


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in (TABLE, "report.html")}


def remade(table: Path, tmp_path: Path) -> dict[str, bytes]:
    report.write(str(table), tmp_path / "again", Options())
    return files(tmp_path / "again")


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(table, id=table.parent.name, marks=[pytest.mark.slow] if table.stat().st_size > LARGE else [])
        for table in PUBLISHED
    ],
)
def test_a_published_report_is_remade_byte_for_byte(table: Path, tmp_path: Path) -> None:
    assert remade(table, tmp_path) == files(table.parent)
    sizes = {name: len(content) for name, content in files(table.parent).items() if name.endswith((".png", ".svg"))}
    assert sizes
    assert max(sizes.values()) <= LARGEST_FIGURE


def test_a_report_is_remade_wherever_its_table_is(published: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(published / TABLE, elsewhere / TABLE)
    report.write(str(elsewhere / TABLE), None, Options())  # in place
    assert files(elsewhere) == files(published)
    assert b"\nstudy report table.parquet\n" in files(published)["report.md"]
    assert str(published).encode() not in b"".join(files(published).values())


@pytest.mark.slow
def test_the_table_says_all_that_the_run_store_does(runs: Path, published: Path, tmp_path: Path) -> None:
    options = Options(outcome="auc_return", margin=5.0, goal="minimize", description="Is it *so*?")
    report.write(str(runs), tmp_path, options)
    own, kept = files(tmp_path), files(published)
    assert own.keys() == kept.keys()
    assert "dose" in own["report.md"].decode()
    assert json.loads(own["verdict.json"])["compensation"]
    for name in own.keys() - {"report.md"}:
        assert own[name] == kept[name], name
    before, _, _ = own["report.md"].partition(b"## Again")
    assert before == kept["report.md"].partition(b"## Again")[0]


@pytest.mark.slow
def test_a_table_within_here_is_named_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    study(seeds=6).drop(columns=["run", "error"]).to_csv("runs.csv", index=False)
    main(["report", "runs.csv", "-o", "reports/published/thread", "--table"])
    text = Path("reports/published/thread/report.md").read_text()
    assert "\nstudy report reports/published/thread/table.parquet\n" in text
    before = files(Path("reports/published/thread"))
    main(["report", "reports/published/thread/table.parquet"])
    assert files(Path("reports/published/thread")) == before


@pytest.mark.slow
def test_another_question_can_be_asked_of_the_table(published: Path, tmp_path: Path) -> None:
    report.write(str(published / TABLE), tmp_path, Options(outcome="eval_return"))
    text = (tmp_path / "report.md").read_text()
    assert json.loads((tmp_path / "verdict.json").read_text())["outcome"] == "eval_return"
    assert f"{published / TABLE} --outcome eval_return" in text


def test_runs_without_histories_are_kept_too(tmp_path: Path) -> None:
    source = str(ROOT / "tests/data/adastop_walker.csv")
    options = Options(outcome="mean_return", margin=500.0, reading=Reading(unpaired=True, outcome="mean_return"))
    report.write(source, tmp_path / "plain", options)
    report.write(source, tmp_path / "kept", Options(**{**vars(options), "table": True}))
    verdicts = [(tmp_path / name / "verdict.json").read_bytes() for name in ("plain", "kept")]
    assert verdicts[0] == verdicts[1]
    assert remade(tmp_path / "kept" / TABLE, tmp_path) == files(tmp_path / "kept")


def test_values_keep_their_types(tmp_path: Path) -> None:
    runs = study(seeds=2)
    write_run_store(tmp_path / "runs", runs, none=None, text="a", flag=True, number=0.1 + 0.2)
    first = next((tmp_path / "runs").glob("*/config.json"))
    first.write_text(json.dumps({**json.loads(first.read_text()), "none": "1", "number": 2}))
    report.write(str(tmp_path / "runs"), tmp_path / "out", Options(table=True))
    own, kept = sources.read(str(tmp_path / "runs")), sources.read(str(tmp_path / "out" / TABLE))
    pd.testing.assert_frame_equal(kept.table, own.table, check_exact=True)
    for name in own.table.columns:
        assert [*map(type, kept.table[name])] == [*map(type, own.table[name])], name
    assert (kept.factors, kept.outcomes, kept.hyperparameters) == (own.factors, own.outcomes, own.hyperparameters)
    assert kept.provenance == own.provenance


def cut(content: bytes) -> bytes:
    return content[:-100]


def flip(content: bytes) -> bytes:
    """In the pages of the first column."""
    return content[:60] + bytes([content[60] ^ 255]) + content[61:]


@pytest.mark.parametrize("damage", [cut, flip])
def test_a_damaged_table_is_one_line_and_exit_code_2(
    damage: Callable[[bytes], bytes], published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / TABLE
    table.write_bytes(damage((published / TABLE).read_bytes()))
    with pytest.raises(SystemExit) as ended:
        main(["report", str(table)])
    said = capsys.readouterr().err
    assert (ended.value.code, said.count("\n")) == (2, 1)
    assert str(table) in said
    assert [*tmp_path.iterdir()] == [table]


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"schema": 99}, "of schema 99"), ({"factors": [{"name": "a"}]}, "is damaged"), ({"columns": {"x": "str"}}, "is")],
)
def test_foreign_metadata_is_refused(changes: dict[str, Any], words: str, published: Path, tmp_path: Path) -> None:
    found = pq.read_table(published / TABLE)
    metadata = {**json.loads(found.schema.metadata[METADATA]), **changes}
    pq.write_table(found.replace_schema_metadata({METADATA: json.dumps(metadata)}), tmp_path / TABLE)
    with pytest.raises(UnreadableSourceError, match=words):
        sources.read(str(tmp_path / TABLE))


def test_a_user_s_own_parquet_table_is_none_of_these(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pandas(study(seeds=2)), tmp_path / "own.parquet")
    assert sources.read(str(tmp_path / "own.parquet")).published is None
    assert sources.beside(str(tmp_path / "own.parquet")) == tmp_path / "own-report"


def test_the_columns_of_a_report_s_table_are_its_own(published: Path) -> None:
    with pytest.raises(UnreadableSourceError, match="has its own factors"):
        sources.read(str(published / TABLE), reading=Reading(reference="mvn_var"))


def test_gaps_that_the_report_did_not_need_are_missed(published: Path, tmp_path: Path) -> None:
    found = pq.read_table(published / TABLE)
    none = pa.nulls(len(found), found.schema.field("gaps").type)
    without = found.set_column(found.schema.get_field_index("gaps"), "gaps", none)
    pq.write_table(without, tmp_path / TABLE)
    with pytest.raises(UnreadableSourceError, match="has no gaps of runs"):
        report.write(str(tmp_path / TABLE), tmp_path, Options())
