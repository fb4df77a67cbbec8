"""What people see of many cohorts."""

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from study.config.run_config import RunConfig
from study.pool import progress
from study.pool.progress import Bar


def test_without_a_terminal_there_are_lines(small: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    said = io.StringIO()
    bar = Bar(Console(file=said, width=200))
    configs = [small(seed=seed) for seed in range(3)]  # of two updates each
    bar.update(wanted=configs)
    bar.update(workers=2)
    bar.begin("a")
    bar.report("a", 3)
    bar.report("unknown", 100)
    bar.end("a", {configs[0].id: "finished", configs[1].id: "failed"})
    bar.begin("b")
    bar.report("b", 1)
    lines = said.getvalue().splitlines()
    assert lines[0] == "0 of 3 runs ended, 0 failed, 0 workers, 0 of 6 updates"
    assert "0 of 3 runs ended, 0 failed, 2 workers, 3 of 6 updates" in lines[2]
    assert "2 of 3 runs ended, 1 failed, 2 workers, 4 of 6 updates" in lines[3]
    assert "2 of 3 runs ended, 1 failed, 2 workers, 5 of 6 updates" in lines[-1]
