"""Doses and responses, on runs of known truth."""

import json
from pathlib import Path

import numpy as np
import pytest

from reports import sources
from reports.analysis.dose import measure_doses
from reports.documents import report
from reports.documents.report import Options

SEEDS = 8
DOSES = (2.0**-40, 2.0**-20, 2.0**-4)


def write_run(folder: Path, name: str, seed: int, distance: float, response: float, **about: object) -> None:
    """A run of 12 updates, at a distance from the seed's base that grows tenfold an update."""
    path = folder / name
    path.mkdir(parents=True)
    config = {
        "condition": "normal_std",
        "seed": seed,
        "precision": "float64",
        "replicate": 0,
        "perturbation": "one_ulp",
    }
    path.joinpath("config.json").write_text(json.dumps({"id": name, **config, "gamma": 0.9, **about, "provenance": {}}))
    outcome = {"status": "finished", "error": None, "final_return": seed + response}
    path.joinpath("summary.json").write_text(json.dumps(outcome))
    gaps = np.minimum(distance * 10.0 ** np.arange(12), 1.0)
    lines = [
        {"global_step": update, "episodic_return": 0.0, "fingerprint": [1.0, float(gap)]}
        for update, gap in enumerate(gaps)
    ]
    path.joinpath("history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    folder = tmp_path / "runs"
    for seed in range(SEEDS):
        write_run(folder, f"base-{seed}", seed, 0.0, 0.0)
        write_run(folder, f"ulp-{seed}", seed, 2.0**-52, 2.0 * rng.choice([-1, 1]), replicate=1)
        write_run(folder, f"single-{seed}", seed, 2.0**-24, 4.0, precision="float32")
        for dose in DOSES:
            write_run(folder, f"{dose}-{seed}", seed, dose, 6.0 * rng.choice([-1, 1]), replicate=1, perturbation=dose)
        write_run(folder, f"jitter-{seed}", seed, 1.0, 1.0, replicate=1, perturbation="jitter")
    return folder


def test_a_dose_is_measured_against_the_run_that_was_given_none(runs: Path) -> None:
    found = {dose.label: dose for dose in measure_doses(sources.read(str(runs)), "final_return")}
    assert [*found] == [
        "one ULP in float64", "2^-40", "float32, every number", "2^-20", "2^-4", "jitter, after every step",
    ]  # fmt: skip
    assert {dose.seeds for dose in found.values()} == {SEEDS}
    for label, response in (("one ULP in float64", 2.0), ("2^-20", 6.0), ("float32, every number", 4.0)):
        assert found[label].sd.estimate == pytest.approx(response / 2**0.5)
    for label, size in (("2^-40", 2.0**-40), ("2^-20", 2.0**-20), ("2^-4", 2.0**-4)):
        apart = np.flatnonzero(size * 10.0 ** np.arange(12) > 0.01)
        assert found[label].onset.estimate == (apart[0] + 1 if len(apart) else np.inf)
    assert found["one ULP in float64"].apart == 0
    assert found["2^-20"].apart == SEEDS


def test_a_seed_is_one_pair_of_runs_of_one_design(runs: Path) -> None:
    for seed in range(SEEDS):
        write_run(runs, f"other-{seed}", seed, 0.0, 100.0, gamma=0.99)
        write_run(runs, f"dose-{seed}", seed, 0.0, 107.0, gamma=0.99, replicate=1, perturbation=2.0**-20)
    found = {dose.runs: dose for dose in measure_doses(sources.read(str(runs)), "final_return") if "-20" in dose.label}
    assert {name: dose.seeds for name, dose in found.items()} == {
        "normal_std, gamma 0.9": SEEDS, "normal_std, gamma 0.99": SEEDS,
    }  # fmt: skip
    assert found["normal_std, gamma 0.9"].sd.estimate == pytest.approx(6.0 / 2**0.5)
    assert found["normal_std, gamma 0.99"].sd.estimate == pytest.approx(7.0 / 2**0.5)


def test_one_ulp_of_a_weight_is_float32_s_under_bfloat16(runs: Path) -> None:
    for seed in range(SEEDS):
        write_run(runs, f"coarse-{seed}", seed, 2.0**-9, 3.0, precision="bfloat16")
        write_run(runs, f"nudged-{seed}", seed, 2.0**-8, 3.5, precision="bfloat16", replicate=1)
    found = {dose.label: dose.size for dose in measure_doses(sources.read(str(runs)), "final_return")}
    assert found["one ULP in bfloat16"] == 2.0**-23
    assert found["bfloat16, every number"] == 2.0**-9


def test_doses_are_no_ulp_controls(runs: Path) -> None:
    table = sources.read(str(runs)).table
    assert sorted(set(table["run"].str.split("-").str[0])) == ["base", "single", "ulp"]


def test_without_a_ulp_control_jitter_is_the_control(runs: Path) -> None:
    for path in runs.glob("ulp-*/config.json"):
        path.unlink()
        path.with_name("summary.json").unlink()
    table = sources.read(str(runs)).table
    assert set(table[table["replicate"] == 1]["run"].str.split("-").str[0]) == {"jitter"}


def test_a_report_draws_them(runs: Path, tmp_path: Path) -> None:
    report.write(str(runs), tmp_path / "out", Options())
    text = (tmp_path / "out" / "report.md").read_text()
    assert "## Dose and response" in text
    assert f"| 2^-20 | 4.24 [4.24, 4.24] | {SEEDS} of {SEEDS} | 6 [6, 6] | float64 |" in text
    doses = json.loads((tmp_path / "out" / "verdict.json").read_text())["doses"]
    (told,) = [dose for dose in doses if dose["dose"] == "2^-20"]
    assert (told["apart"], told["onset"]) == (SEEDS, {"estimate": 6.0, "ci": [6.0, 6.0]})
    assert told["sd"]["estimate"] == pytest.approx(4.24, abs=0.005)
    assert (tmp_path / "out" / "dose.png").exists()


def test_where_the_perturbation_is_the_subject_doses_come_first(runs: Path, tmp_path: Path) -> None:
    for seed in range(SEEDS):
        write_run(runs, f"other-{seed}", seed, 0.0, 100.0, gamma=0.99)
    printed = report.write(str(runs), tmp_path / "out", Options())
    text = (tmp_path / "out" / "report.md").read_text()
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings[0] == "# How soon does a perturbation set runs apart, and how far?"
    assert headings[1:3] == ["## Dose and response", "## gamma 0.9"]
    assert text.index("(dose.png)") < text.index("| 2^-20 |") < text.index("## gamma 0.9")
    assert text.count("All runs are of one condition, normal_std") == 2
    for said in ("Nothing could be compared", "one level", "conclusions", "### Other outcomes", "### Warnings"):
        assert said not in text
    assert "warning:" not in printed
    assert "All runs are of one condition, normal_std" in printed


def test_where_conditions_are_compared_doses_come_last(runs: Path, tmp_path: Path) -> None:
    for seed in range(SEEDS):
        write_run(runs, f"sqrt-{seed}", seed, 0.5, 3.0, condition="normal_sqrt")
    report.write(str(runs), tmp_path / "out", Options())
    text = (tmp_path / "out" / "report.md").read_text()
    assert text.count("## Dose and response") == 1
    assert text.index("### Effects") < text.index("## Dose and response") < text.index("## Again")


def test_a_study_without_doses_has_no_such_section(tmp_path: Path) -> None:
    for seed in range(SEEDS):
        write_run(tmp_path / "runs", f"base-{seed}", seed, 0.0, 0.0)
        write_run(tmp_path / "runs", f"ulp-{seed}", seed, 2.0**-52, 2.0, replicate=1)
    report.write(str(tmp_path / "runs"), tmp_path / "out", Options())
    assert "Dose" not in (tmp_path / "out" / "report.md").read_text()
