"""What people see of commands that take long."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from study import progress
from study.cli import main
from study.config.run_config import RunConfig
from study.pool.progress import PoolProgress
from study.progress import Progress, counted, duration
from study.training.cohort import Interrupted, train
from tests.helpers.small import SMALL


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a clock's time, in seconds, which a test sets."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def console(said: io.StringIO) -> Console:
    return Console(file=said, width=40)


def test_without_a_terminal_a_line_comes_every_20_seconds(clock: list[float]) -> None:
    said = io.StringIO()
    with Progress(console(said), "updates", "training 2 runs", 100) as shown:
        for _ in range(50):
            clock[0] += 1
            shown.advance()
    assert len(said.getvalue().splitlines()) == 2
    assert "training 2 runs: 20 of 100 updates" in said.getvalue()


def test_a_command_that_ends_soon_is_silent(clock: list[float]) -> None:
    said = io.StringIO()
    for _ in counted(range(19), console(said), "rows", "simulating"):
        clock[0] += 1
    assert said.getvalue() == ""


def test_a_line_has_the_rate_and_the_time_that_is_left(clock: list[float]) -> None:
    said = io.StringIO()
    shown = Progress(console(said), "rows", "simulating", 100)
    shown._bar.get_time = lambda: clock[0]
    for _ in range(40):
        clock[0] += 4
        shown.advance()
    assert said.getvalue().splitlines()[-1] == "simulating: 40 of 100 rows, 15 rows/min, about 4 minutes left"


def test_a_terminal_has_a_bar(clock: list[float]) -> None:
    said = io.StringIO()
    with Progress(Console(file=said, width=120, force_terminal=True), "rows", "simulating", 2) as shown:
        clock[0] += 60
        shown.advance()
    assert "1/2" in said.getvalue()
    assert "simulating:" not in said.getvalue()


def test_a_pool_s_line_counts_runs_and_workers(
    small: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    said = io.StringIO()
    shown = PoolProgress(console(said))
    configs = [small(seed=seed) for seed in range(3)]  # of two updates each
    shown.update(wanted=configs)
    shown.update(workers=2)
    shown.begin("a", [config.id for config in configs])
    shown.report("a", 3)
    shown.report("unknown", 100)
    shown.end("a", {configs[0].id: "finished", configs[1].id: "failed"})
    shown.begin("b", [configs[2].id])
    shown.report("b", 1)
    lines = said.getvalue().splitlines()
    assert lines[0] == "0 of 3 runs ended, 0 failed, 0 workers: 0 of 6 updates"
    assert lines[2].startswith("0 of 3 runs ended, 0 failed, 2 workers: 3 of 6 updates")
    assert lines[3].startswith("2 of 3 runs ended, 1 failed, 2 workers: 4 of 6 updates")
    assert lines[-1].startswith("2 of 3 runs ended, 1 failed, 2 workers: 5 of 6 updates")


def test_an_interrupted_pool_s_last_line_has_its_updates(
    small: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    said = io.StringIO()
    shown = PoolProgress(console(said))
    configs = [small(seed=seed) for seed in range(3)]
    shown.update(wanted=configs)
    shown.begin("a", [config.id for config in configs])
    shown.report("a", 5)
    shown.end("a", {configs[0].id: "finished"})
    assert said.getvalue().splitlines()[-1].startswith("1 of 3 runs ended, 0 failed, 0 workers: 5 of 6 updates")
    shown.begin("b", [config.id for config in configs[1:]])  # another worker starts over, until it says otherwise
    shown.report("b", 2)
    assert said.getvalue().splitlines()[-1].startswith("1 of 3 runs ended, 0 failed, 0 workers: 4 of 6 updates")


def test_train_shows_its_updates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    options = [f"--{name}={value}" for name, value in SMALL.items() if name != "seed"]
    main(["train", *options, "--seeds=0-1", f"--runs-dir={tmp_path}"])
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("training")]
    assert lines[0].startswith("training 2 runs: 2 of 4 updates")
    assert lines[-1].startswith("training 2 runs: 4 of 4 updates")


def test_an_interrupted_train_says_last_what_is_kept(
    tmp_path: Path, small: Callable[..., RunConfig], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    def interrupted(seeds: str) -> str:
        options = [f"--{name}={value}" for name, value in SMALL.items() if name != "seed"]
        with pytest.raises(SystemExit) as end:
            main(["train", *options, f"--seeds={seeds}", f"--runs-dir={tmp_path}"])
        assert end.value.code == 130
        return capsys.readouterr().err.splitlines()[-1]

    monkeypatch.setenv("WANDB_MODE", "disabled")
    train([small(seed=0)], tmp_path, "disabled")
    with pytest.raises(Interrupted):
        train([small(seed=1)], tmp_path, "disabled", should_end=lambda: True)
    monkeypatch.setattr(Progress, "advance", interrupt)
    assert (
        interrupted("0-2")
        == "study: interrupted: 1 of 3 runs have ended, and 3 of 6 updates are kept; the same command continues"
    )
    assert interrupted("2").startswith("study: interrupted: 0 of 1 run has ended, and 0 of 2 updates are kept;")


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.5, "0.5 seconds"), (89, "89 seconds"), (90, "1.5 minutes"), (7200, "2 hours")]
)
def test_a_duration_is_said_to_two_digits(seconds: float, words: str) -> None:
    assert duration(seconds) == words
