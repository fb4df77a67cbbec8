"""What policies cost, by the number of action dimensions."""

from pathlib import Path

import pandas as pd
import pytest

from agents.conditions import CONDITIONS
from study.cli import main
from study.policies import cost


def test_every_condition_is_measured_in_every_round_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cost, "WIDTHS", (1, 8))
    path = tmp_path / "cost.csv"
    main(["bench", "--policies", "--rounds", "2", "--seconds", "0.001", "-o", str(path)])
    table = pd.read_csv(path)
    assert len(table) == 2 * 2 * 2 * len(CONDITIONS)
    assert (table["microseconds"] > 0).all()
    assert set(table["condition"]) == set(CONDITIONS)
    assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert "forward, 64 actions" in capsys.readouterr().out


@pytest.mark.parametrize(("option", "value"), [("--rounds", "0"), ("--seconds", "-1")])
def test_a_mistake_is_one_line(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", "--policies", option, value])
    assert ended.value.code == 2
    assert f"{option} must be" in capsys.readouterr().err
