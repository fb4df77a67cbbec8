"""The bench measures what it says, in what is really trained."""

import dataclasses
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from study.benchmarks import speed as bench
from study.benchmarks.speed import Measurement
from study.cli import main


def one(contestant: str, steps_per_cpu_second: float) -> Measurement:
    return Measurement(
        env_id="Hopper-v5",
        contestant=contestant,
        steps_per_cpu_second=steps_per_cpu_second,
        steps_per_second=steps_per_cpu_second / 2,
        peak_memory_mb=300.0,
    )


def test_the_table_has_the_ratios_of_cpu_time() -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    measurements = [one("env alone", 9000), one("cohort of 32", 6000), one("SB3", 1200)]
    console.print(*bench.tables(measurements))
    (row,) = [line for line in console.export_text().splitlines() if "cohort of 32" in line]
    assert row.split("cohort of 32")[1].split()[:2] == ["6,000", "50%"]
    assert "67%" in row
    assert "5x" in row


def test_without_a_peer_there_is_no_ratio_to_it() -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(*bench.tables([one("env alone", 9000), one("one run", 900)]))
    text = console.export_text()
    assert text.split("one run")[1].split()[:4] == ["900", "50%", "10%", "-"]
    assert "of SB3" not in text


def test_the_table_has_shares_of_mj_step_where_there_is_one() -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    measurements = [one("env alone", 9000), one("mj_step alone", 20000), one("cohort of 32", 6000)]
    console.print(*bench.tables(measurements))
    text = console.export_text()
    assert "of mj_step" in text
    (row,) = [line for line in text.splitlines() if "cohort of 32" in line]
    assert row.split("cohort of 32")[1].split()[:4] == ["6,000", "50%", "67%", "30%"]


def test_mj_step_alone_is_faster_than_the_environment() -> None:
    physics, env = (
        measured(bench.SETTINGS["Hopper-v5"], 0.2) for measured in (bench._bare_physics, bench._bare_environment)
    )
    assert physics.steps_per_cpu_second > 1.1 * env.steps_per_cpu_second


@pytest.mark.slow
def test_everything_is_measured_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    short = dataclasses.replace(bench.SETTINGS["Pendulum-v1"], num_steps=64, update_epochs=2)
    monkeypatch.setitem(bench.SETTINGS, "Pendulum-v1", short)
    path = tmp_path / "bench.json"
    main(["bench", "--env-ids", "Pendulum-v1", "--rounds", "1", "--seconds", "0.01", "-o", str(path)])
    out = capsys.readouterr().out
    assert "cohort of 128" in out
    assert "envs of 32 runs" in out
    assert "mj_step" not in out
    measured = {one["contestant"]: one for one in json.loads(path.read_text())["measurements"]}
    assert {"env alone", "one run", "cohort of 8", "cohort of 32", "cohort of 128"} <= set(measured)
    for contestant in ("one run", "cohort of 128"):
        parts = [measured[contestant][part] for part in ("environment", "policy", "update")]
        assert sum(parts) == pytest.approx(1)
        assert min(parts) > 0
        assert measured[contestant]["steps_per_cpu_second"] > measured[contestant]["steps_per_second"] / 1.1
    speed = {contestant: one["steps_per_cpu_second"] for contestant, one in measured.items()}
    assert speed["cohort of 32"] > speed["one run"]
