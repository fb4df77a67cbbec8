"""The test of the tests, in short, and the command that continues where it was."""

import dataclasses
import json
import math
from pathlib import Path

import pytest

from reports.analysis.attribution import by_name, judge
from reports.analysis.design import Question
from reports.analysis.mechanism import FEWEST_SEEDS
from reports.analysis.study import answer_designs
from reports.calibration import mechanisms, subsets
from reports.calibration.labels import RIGHT, Row, is_line_wrong, is_true, simulate, true_effects
from reports.calibration.studies import MARGIN, STUDIES, Study, Truth
from reports.sources import read
from reports.statistics import Margin
from study.cli import main
from tests.helpers.paths import ROOT

NUMBER = 200
LIMIT = 0.05 + 3 * math.sqrt(0.05 * 0.95 / NUMBER)
RARE = ("collapses", "grows with the seed")
"""Studies on which no test at these sizes keeps its promise, as docs/statistics.md says."""


@pytest.mark.slow
@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name.replace(" ", "-"))
def test_wrong_labels_are_rare(study: Study) -> None:
    row = simulate(study, "normal", 10, NUMBER)
    for label, share in row.wrong.items():
        if share is not None and not any(name in study.name for name in RARE):
            assert share <= LIMIT, label


@pytest.mark.slow
def test_levels_that_vary_unequally_are_seldom_different() -> None:
    """Ten seeds of a cell often have no run that is far worse, and look different: cells aren't tested."""
    (study,) = [study for study in STUDIES if study.name == "2 times the chaos"]
    share = simulate(study, "bimodal", 10, 400).wrong["different"]
    assert share is not None
    assert share < 0.1


@pytest.mark.parametrize("seeds", [5, 6])
def test_with_so_few_seeds_no_label_is_wrong(seeds: int) -> None:
    (study,) = [study for study in STUDIES if study.name == "implementation at the margin"]
    row = simulate(study, "normal", seeds, 40)
    assert (row.wrong["round-off"], row.wrong["equivalent"], row.right["different"]) == (0.0, 0.0, 0.0)


def test_labels_are_given_where_they_are_right() -> None:
    named = {study.name: study for study in STUDIES}
    assert (simulate(named["no effect"], "normal", 40, 30).right["round-off"] or 0) > 0.25
    assert (simulate(named["1 in 3 fails"], "normal", 20, 30).right["failures"] or 0) > 0.8
    assert (simulate(named["2 times the chaos"], "normal", 20, 30).right["larger"] or 0) > 0.8
    assert (simulate(named["crossover by level"], "normal", 20, 30).right["different"] or 0) > 0.3
    assert (simulate(named["crossover by cell"], "normal", 20, 30).right["different"] or 0) > 0.3


@pytest.mark.parametrize(
    ("truth", "true"),
    [
        (Truth(), {"equivalent", "round-off", "bounded"}),
        (Truth(effects=(0.0, MARGIN, -MARGIN)), {"different", "bounded"}),
        (Truth(effects=(MARGIN / 2,)), {"different", "equivalent", "round-off", "bounded"}),
        (Truth(sensitivity=2.0), {"equivalent", "larger"}),
        (Truth(seeds=1.5), {"equivalent", "seeds differ"}),
        (Truth(fails=True), {"different", "failures", "bounded"}),
    ],
)
def test_what_is_true_of_a_factor(truth: Truth, true: set[str]) -> None:
    assert {label for label in RIGHT if is_true(label, truth)} == true


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name.replace(" ", "-"))
def test_the_true_effects_of_lines_are_those_that_are_declared(study: Study) -> None:
    must_agree = {factor.name for factor in study.factors if factor.must_agree}
    for name, truth in study.truths.items():
        lines = {where: round(effect, 9) for (own, where), effect in true_effects(study).items() if own == name}
        declared = {round(effect, 9) for effect in truth.effects}
        if name.partition("=")[0] in must_agree:
            assert set(lines.values()) == declared
        else:
            assert lines[""] == round(truth.effects[0], 9)


@pytest.mark.parametrize(
    ("conclusion", "effect", "truth", "wrong"),
    [
        ("different", 0.0, Truth(), True),
        ("different", 0.0, Truth(fails=True), False),
        ("different", 0.1, Truth(), False),
        ("equivalent", MARGIN / 2, Truth(), False),
        ("equivalent", -MARGIN, Truth(), True),
        ("equivalent", 0.0, Truth(fails=True), True),
        ("undecided", MARGIN, Truth(), False),
    ],
)
def test_a_line_is_wrong_by_its_own_effect(conclusion: str, effect: float, truth: Truth, wrong: bool) -> None:
    answer = judge(STUDIES[0].expected(), STUDIES[0].factors, Margin(MARGIN))
    line = next(iter(by_name(answer).values())).mean.main
    line = dataclasses.replace(line, p_adjusted=0.01 if conclusion == "different" else 1.0)
    line.__dict__["is_equivalent"] = conclusion == "equivalent"
    assert line.conclusion == conclusion
    assert is_line_wrong(line, effect, truth) == wrong


def test_a_row_is_the_same_whatever_others_there_are() -> None:
    row = simulate(STUDIES[1], "skewed", 6, 3)
    assert simulate(STUDIES[1], "skewed", 6, 3) == row
    assert Row.from_json(json.loads(json.dumps(vars(row)))) == row


def test_calibrate_continues_where_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "rows.jsonl"
    arguments = ["calibrate", "--studies", "1", "--seeds", "5", "--only", "no effect", "-o", str(output)]
    main(arguments)
    printed = capsys.readouterr().out
    assert printed.startswith("study,shape,seeds,studies,wrong: different,")
    lines = output.read_text().splitlines()
    assert len(lines) == 4
    output.write_text("\n".join([*lines[:2], lines[2][:20]]) + "\n")
    main(arguments)
    assert capsys.readouterr().out == printed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--studies", "0"], "--studies must be at least 1, not 0"),
        (["--seeds", "1"], "--seeds must be at least 2, not 1"),
        (["--only", "fame"], "--only fame: no kind of study has it in its name; choose from no effect"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["calibrate", *arguments, "-o", str(tmp_path / "rows")])
    assert exit_.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("seeds", [2, 3, 10])
@pytest.mark.parametrize("truth", mechanisms.TRUTHS, ids=lambda truth: truth.name)
def test_mechanisms_are_rarely_misread(truth: mechanisms.Truth, seeds: int) -> None:
    needs_more = truth.name == "late, round-off before" and seeds < FEWEST_SEEDS
    assert mechanisms.wrong(truth, seeds, NUMBER) <= (1.0 if needs_more else LIMIT)


def test_real_gaps_of_the_same_mathematics_are_rarely_misread_and_a_planted_difference_always() -> None:
    runs = read(ROOT / "reports" / "published" / "state_dependent" / "table.parquet")
    gaps = [
        found
        for found in answer_designs(runs, Question(outcome="auc_return"))[0].gaps
        if {found.a, found.b} <= {"mvn_std", "normal_sqrt"}
    ]
    assert subsets.wrong(gaps, seeds=10, share=0.5, studies=50) <= 0.05
    planted = [found if found.is_control else dataclasses.replace(found, gaps=found.gaps + 1e-3) for found in gaps]
    assert subsets.wrong(planted, seeds=10, share=0.5, studies=5) == 1.0
