"""What was cut off goes on, with the same bits; what is damaged is named, and kept."""

import hashlib
import io
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.envs.classic_control.pendulum import PendulumEnv

from agents.cohort import Cohort
from agents.records import Run
from study.cli import main
from study.config.run_config import RunConfig
from study.errors import ConfigError
from study.store import checkpoints
from study.store.run_store import RunStore
from study.store.run_writer import RunWriter
from study.training import provenance
from study.training.cohort import train
from tests.helpers.quick import each
from tests.helpers.small import SMALL

MakeConfig = Callable[..., RunConfig]


class InterruptedTrainingError(Exception):
    """Whatever may end a process."""


def interrupt(configs: list[RunConfig], runs_dir: Path, after: int, checkpoint_seconds: float = 0.0) -> None:
    """Train, with a checkpoint after each update, and stop in the middle of what comes after the `after`-th."""
    made = []

    def stop(_: int) -> None:
        made.append(1)
        if len(made) > after:
            raise InterruptedTrainingError

    with pytest.raises(InterruptedTrainingError):
        train(configs, runs_dir, "disabled", stop, checkpoint_seconds)


def history(runs_dir: Path, config: RunConfig) -> str:
    return (RunStore(runs_dir).path(config) / "history.jsonl").read_text()


def assert_refused_and_kept(runs_dir: Path, configs: list[RunConfig], words: str) -> None:
    """Neither a sweep's first look nor training goes on from what the first run left, and both leave it as it is."""
    folder = RunStore(runs_dir).path(configs[0])
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    for attempt in (
        lambda: RunStore(runs_dir).waiting(configs),
        lambda: train(configs[:1], runs_dir, "disabled"),
    ):
        with pytest.raises(ConfigError, match=words):
            attempt()
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


@pytest.fixture
def longer(small: MakeConfig) -> list[RunConfig]:
    return [small(seed=seed, total_timesteps=4096) for seed in (0, 1, 2)]


def test_a_state_is_read_as_it_was_written(tmp_path: Path, small: MakeConfig) -> None:
    cohort = Cohort([Run(condition="normal_std", seed=0)], small(env_id="Hopper-v5"), "float32")
    next(cohort.train())
    state = cohort.state(0)
    assert state is not None
    checkpoints.write(tmp_path / "checkpoint", state)
    np.testing.assert_equal(checkpoints.read(tmp_path / "checkpoint"), state)
    assert checkpoints.read(tmp_path / "none") is None


def test_a_run_resumes_alone_or_in_a_batch_with_the_same_bits(
    tmp_path: Path, longer: list[RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    train(longer, tmp_path / "whole", "disabled")
    interrupt(longer, tmp_path / "cut", after=4)
    seen: list[int] = []
    train(longer[:1], tmp_path / "cut", "disabled", seen.append)
    assert seen == [4, 1, 1, 1, 1]
    # The other two are at different updates, as if killed between their checkpoints.
    keep = RunWriter.keep
    monkeypatch.setattr(
        RunWriter, "keep", lambda writer, state: keep(writer, state) if writer.config == longer[1] else None
    )
    interrupt(longer[1:], tmp_path / "cut", after=2)
    train(longer[1:], tmp_path / "cut", "disabled")
    for config in longer:
        assert history(tmp_path / "cut", config) == history(tmp_path / "whole", config)
        assert RunStore(tmp_path / "cut").summary(config) == RunStore(tmp_path / "whole").summary(config)
        assert not (RunStore(tmp_path / "cut").path(config) / "checkpoint").exists()


@pytest.mark.parametrize("other", ["circumstances", "history"])
def test_a_checkpoint_that_no_longer_fits_starts_its_run_over(
    tmp_path: Path,
    longer: list[RunConfig],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    other: str,
) -> None:
    interrupt(longer[:1], tmp_path, after=4)
    if other == "circumstances":
        monkeypatch.setattr(provenance, "describe", lambda: {"cpu": "z80"})
    else:
        (RunStore(tmp_path).path(longer[0]) / "history.jsonl").write_text("")
    seen: list[int] = []
    train(longer[:1], tmp_path, "disabled", seen.append)
    assert seen == [1] * 8
    assert capsys.readouterr().err.startswith("1 interrupted runs start over")


@pytest.mark.parametrize("damage", [b"\0" * 40, b'{"update": 1, "std": 0.', b"\xff"], ids=["zeros", "cut", "no text"])
def test_a_damaged_history_is_named_and_nothing_is_lost(tmp_path: Path, longer: list[RunConfig], damage: bytes) -> None:
    interrupt(longer[:1], tmp_path, after=4)
    path = RunStore(tmp_path).path(longer[0]) / "history.jsonl"
    first, second, *others = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join((first, damage, second, *others)))
    assert_refused_and_kept(tmp_path, longer, r"history.jsonl is damaged: delete it, and its run starts over")
    path.unlink()
    train(longer[:1], tmp_path, "disabled")
    assert len(history(tmp_path, longer[0]).splitlines()) == 8


@pytest.mark.parametrize("damage", ["cut", "changed", "version"])
def test_a_damaged_checkpoint_is_named_and_nothing_is_lost(
    tmp_path: Path, longer: list[RunConfig], monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    interrupt(longer[:1], tmp_path, after=2)
    path = RunStore(tmp_path).path(longer[0]) / "checkpoint"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "version":
        monkeypatch.setattr(checkpoints, "VERSION", 99)
    else:
        path.write_bytes(content if damage == "changed" else content[:-1])
    assert_refused_and_kept(tmp_path, longer, r"checkpoint is .*: delete it, and its run starts over")


def saved(content: object) -> bytes:
    """A checkpoint's file with a right checksum, whatever is in it."""
    file = io.BytesIO()
    torch.save(content, file)
    return hashlib.sha256(file.getvalue()).hexdigest().encode() + b"\n" + file.getvalue()


def state_of(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(io.BytesIO(path.read_bytes().partition(b"\n")[2]), weights_only=True)["state"]
    return content


@pytest.mark.parametrize(
    "content",
    [
        [1, 2],
        {"state": {}},
        {"version": checkpoints.VERSION},
        {"version": checkpoints.VERSION, "state": []},
        {"version": checkpoints.VERSION, "state": {"update": 1}},
        {"version": torch.zeros(2), "state": {}},
        {"version": checkpoints.VERSION, "state": torch.ones(3)},
        {"version": checkpoints.VERSION, "state": Path("x")},
    ],
    ids=str,
)
def test_a_checkpoint_of_other_content_is_damaged(tmp_path: Path, longer: list[RunConfig], content: object) -> None:
    interrupt(longer[:1], tmp_path, after=2)
    (RunStore(tmp_path).path(longer[0]) / "checkpoint").write_bytes(saved(content))
    assert_refused_and_kept(tmp_path, longer, r"checkpoint is damaged: delete it, and its run starts over")


def test_what_is_no_checkpoint_at_all_is_damaged(tmp_path: Path, longer: list[RunConfig]) -> None:
    interrupt(longer[:1], tmp_path, after=2)
    path, content = RunStore(tmp_path).path(longer[0]) / "checkpoint", b"dear diary"
    path.write_bytes(hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
    assert_refused_and_kept(tmp_path, longer, r"checkpoint is damaged: delete it, and its run starts over")


@pytest.mark.parametrize(
    ("keys", "value"),
    each([
        (("learner",), None),
        (("learner", "weights"), torch.zeros(3)),
        (("learner", "weights"), torch.zeros(1)),
        (("learner", "weights"), "heavy"),
        (("learner", "optimizer"), {}),
        (("learner", "optimizer", 0, "exp_avg"), torch.zeros(2, 2)),
        (("learner", "shuffling"), {"bit_generator": "MT19937"}),
        (("behaviour",), {}),
        (("actor",), []),
        (("actor", "noise"), {}),
        (("actor", "environments"), []),
        (("actor", "environments"), 7),
        (("actor", "normaliser", "observations", "mean"), torch.zeros(5)),
        (("actor", "observations"), torch.zeros(1)),
        (("episodic_returns",), 3),
    ], every=3),
    ids=str,
)  # fmt: skip
def test_a_checkpoint_that_does_not_fit_its_run_is_damaged(
    tmp_path: Path, longer: list[RunConfig], keys: tuple[Any, ...], value: object
) -> None:
    interrupt(longer[:1], tmp_path, after=2)
    path = RunStore(tmp_path).path(longer[0]) / "checkpoint"
    whole = path.read_bytes()
    state = state_of(path)
    inner = state
    for key in keys[:-1]:
        inner = inner[key]
    assert keys[-1] in inner
    inner[keys[-1]] = value
    path.write_bytes(saved({"version": checkpoints.VERSION, "state": state}))
    with pytest.raises(ConfigError, match=r"checkpoint is damaged: delete it, and its run starts over"):
        train(longer[:1], tmp_path, "disabled")
    path.write_bytes(whole)
    train(longer[:1], tmp_path, "disabled")
    assert len(history(tmp_path, longer[0]).splitlines()) == 8


@pytest.mark.parametrize("env_id", ["Hopper-v5", "HalfCheetah-v5"])
def test_a_checkpoint_of_mujoco_fits_its_run(tmp_path: Path, small: MakeConfig, env_id: str) -> None:
    config = small(env_id=env_id, total_timesteps=2048, rollouts="shared", replicate=1)
    interrupt([config], tmp_path, after=2)
    seen: list[int] = []
    train([config], tmp_path, "disabled", seen.append)
    assert seen == [2, 1, 1]


def test_a_failed_run_has_ended_at_once(tmp_path: Path, small: MakeConfig) -> None:
    configs = [small(seed=seed, precision="float32", learning_rate=1e30) for seed in (0, 1)]
    with pytest.raises(InterruptedTrainingError):
        train(configs, tmp_path, "disabled", lambda _: (_ for _ in ()).throw(InterruptedTrainingError))
    outcomes = [RunStore(tmp_path).summary(config) for config in configs]
    assert [outcome is not None and outcome["status"] for outcome in outcomes] == ["failed", "failed"]


TRAIN = """
import json, sys
from pathlib import Path
from typing import Any
from study.config.run_config import make_config
from study.training.cohort import train
train([make_config(run) for run in json.loads(sys.argv[1])], Path(sys.argv[2]), "disabled", checkpoint_seconds=0.0)
"""


@pytest.mark.slow
@pytest.mark.parametrize("env_id", ["Pendulum-v1", "HalfCheetah-v5"])
def test_a_run_that_is_killed_and_resumed_has_the_same_bits(tmp_path: Path, small: MakeConfig, env_id: str) -> None:
    shape = {
        "seed": 3, "precision": "float32", "env_id": env_id, "num_envs": 2, "num_steps": 64, "num_minibatches": 2,
        "update_epochs": 2, "total_timesteps": 128 * 80, "hidden_size": 16, "eval_episodes": 1,
    }  # fmt: skip
    parameters = [{"condition": condition, **shape} for condition in ("mvn_std", "normal_std")]
    configs = [small(**one) for one in parameters]
    train(configs, tmp_path / "whole", "disabled")

    rng = random.Random(0)
    checkpoints = [RunStore(tmp_path / "cut").path(config) / "checkpoint" for config in configs]

    def written_at() -> list[int]:
        return [path.stat().st_mtime_ns for path in checkpoints if path.exists()]

    for _ in range(3):
        started = written_at()
        process = subprocess.Popen([sys.executable, "-c", TRAIN, json.dumps(parameters), str(tmp_path / "cut")])
        while process.poll() is None and written_at() == started:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        process.wait()
    # A kill between the checkpoints of the two parts them: then one may have ended, before the other goes on.
    assert RunStore(tmp_path / "cut").waiting(configs), "killed too late to show anything"
    train(configs, tmp_path / "cut", "disabled")
    for config in configs:
        assert history(tmp_path / "cut", config) == history(tmp_path / "whole", config)
        assert RunStore(tmp_path / "cut").summary(config) == RunStore(tmp_path / "whole").summary(config)
        left = sorted(path.name for path in RunStore(tmp_path / "cut").path(config).iterdir())
        assert left == ["config.json", "history.jsonl", "policy.pt", "summary.json"]


class Stranger(PendulumEnv):
    """An environment of which nobody knows where it keeps its state."""


def test_where_no_state_is_known_a_run_says_so_and_starts_over(
    tmp_path: Path, small: MakeConfig, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gym.register("Stranger-v0", Stranger, max_episode_steps=50)  # type: ignore[arg-type]
    config = small(env_id="Stranger-v0", total_timesteps=2048)
    interrupt([config], tmp_path / "interrupted", after=2)
    assert not (RunStore(tmp_path / "interrupted").path(config) / "checkpoint").exists()
    monkeypatch.setenv("WANDB_MODE", "disabled")
    changed = {"env_id": "Stranger-v0", "total_timesteps": 2048}
    options = [f"--{name}={value}" for name, value in {**SMALL, **changed}.items()]
    for runs in ("interrupted", "undisturbed"):
        main(["train", *options, "--runs-dir", str(tmp_path / runs)])
        assert "Stranger-v0 doesn't tell where it keeps its state" in capsys.readouterr().err
    assert history(tmp_path / "interrupted", config) == history(tmp_path / "undisturbed", config)
    described = json.loads((RunStore(tmp_path / "interrupted").path(config) / "config.json").read_text())
    assert described["provenance"]["can_be_checkpointed"] is False
