"""What is decided before the first run stays so."""

from pathlib import Path

import pytest

from study.errors import ConfigError
from study.plans.planfile import keep_plan

PLAN = {"kind": "seeds", "interim": (8, 10), "margin": 4.0}


def test_the_same_plan_is_taken_and_another_refused(tmp_path: Path) -> None:
    for _ in range(2):
        keep_plan(tmp_path, "seeds", PLAN)
    path = tmp_path / "plans" / "seeds.json"
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="the study 'seeds' was planned with another margin: give this one another"):
        keep_plan(tmp_path, "seeds", {**PLAN, "margin": 5.0})
    with pytest.raises(ConfigError, match="planned with another budget"):
        keep_plan(tmp_path, "seeds", {**PLAN, "budget": 5})
    assert path.read_bytes() == before
    keep_plan(tmp_path, "other", {**PLAN, "margin": 5.0})


def test_a_name_is_no_path(tmp_path: Path) -> None:
    keep_plan(tmp_path / "runs", "../../escaped", PLAN)
    assert [path.name for path in tmp_path.rglob("*.json")] == ["..%2F..%2Fescaped.json"]


def test_a_damaged_plan_is_one_line(tmp_path: Path) -> None:
    keep_plan(tmp_path, "seeds", PLAN)
    (tmp_path / "plans" / "seeds.json").write_text("[")
    with pytest.raises(ConfigError, match=r"seeds\.json is damaged"):
        keep_plan(tmp_path, "seeds", PLAN)
