"""The test of the tests, in short, and the command that goes on where it was."""

import json
from pathlib import Path

import pytest

from reports.calibration import SHAPES, TRUTHS, Row, error, simulate, table
from study.cli import main

STUDIES = 300


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("truth", TRUTHS, ids=lambda truth: truth.name.replace(" ", "-"))
def test_false_answers_are_rare(truth: str, shape: str) -> None:
    row = simulate(truth, shape, 10, STUDIES)  # type: ignore[arg-type]
    limit = 0.05 + 3 * error(0.05, STUDIES)
    assert row.false_different <= limit
    assert row.false_equivalent <= limit
    assert 1 - row.covered <= limit
    if row.truth.parameterization == row.truth.scatter == 0:
        assert row.verdicts["parameterization"] + row.verdicts["both"] <= limit
    if row.truth.scatter:
        assert row.verdicts["round-off"] <= limit
    if row.truth.name == "parameterization":
        assert row.verdicts["parameterization"] > 0.5
        assert row.power["sign flip"] > row.power["t"] - 0.05


@pytest.mark.slow
def test_an_estimated_margin_taken_for_exact_would_not_do() -> None:
    (calm,) = [truth for truth in TRUTHS if truth.name == "at the margin, calm"]
    row = simulate(calm, "normal", 10, 100)
    assert row.false_equivalent_as_if_exact > 0.2


def test_a_row_is_the_same_whatever_others_there_are_and_comes_back_from_json() -> None:
    row = simulate(TRUTHS[1], "skewed", 6, 3)
    assert row == simulate(TRUTHS[1], "skewed", 6, 3)
    import dataclasses

    assert Row.from_json(json.loads(json.dumps(dataclasses.asdict(row)))) == row
    assert table([row]).splitlines()[2].startswith("| parameterization | skewed | 6 |")


def test_calibration_goes_on_where_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.jsonl"
    command = ["calibrate", "--studies", "1", "--seeds", "5", "-o", str(path)]
    main(command)
    printed, lines = capsys.readouterr().out, path.read_text().splitlines()
    assert len(lines) == len(TRUTHS) * len(SHAPES)
    path.write_text("\n".join(lines[:-1]) + "\n" + lines[-1][:20] + "\n")
    main(command)
    assert capsys.readouterr().out == printed
    assert path.read_text().splitlines()[-1] == lines[-1]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--studies", "0"], "--studies must be at least 1, not 0"),
        (["--seeds", "1", "5"], "--seeds must be at least 2, not 1 5"),
        (["-o", "/nowhere/at/all"], "-o /nowhere/at/all: it can't be written (No such file or directory)"),
    ],
)
def test_what_cannot_be_calibrated_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["calibrate", *arguments])
    assert exit_.value.code == 2
    assert complaint in capsys.readouterr().err
