"""What is read of TensorBoard's event files, written by PyTorch's own writer."""

import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import pytest

from reports import attribute, sources
from reports.sources import Mapping, Reading, UnreadableSourceError
from reports.sources.reading import AS_IS
from reports.sources.runs import Runs

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    writing = pytest.importorskip("torch.utils.tensorboard")

SB3 = "rollout/ep_rew_mean"
CLEANRL = "charts/episodic_return"


def log(folder: Path, values: Sequence[float], tag: str = SB3, first_step: int = 0) -> None:
    with writing.SummaryWriter(str(folder)) as writer:
        for step, value in enumerate(values, start=first_step):
            writer.add_scalar(tag, value, step)


def read(folder: Path, mapping: str | None = None, **reading: object) -> Runs:
    mapped = Mapping.parse(mapping) if mapping else None
    return sources.read(f"tb:{folder}", reading=Reading(mapping=mapped, **reading))  # type: ignore[arg-type]


def refused(source: str, reading: Reading = AS_IS) -> str:
    with pytest.raises(UnreadableSourceError) as error:
        sources.read(source, reading=reading)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_each_folder_of_event_files_is_a_run(tmp_path: Path) -> None:
    for place, seed in (("ppo/PPO_1", 1), ("ppo/PPO_2", 2), ("sac/SAC_1", 1)):
        log(tmp_path / place, [0.0, float(seed)])
    runs = read(tmp_path)
    rows = runs.table[["run", "condition", "seed", SB3]].to_records(index=False).tolist()
    assert rows == [("ppo/PPO_1", "ppo", 1, 1.0), ("ppo/PPO_2", "ppo", 2, 2.0), ("sac/SAC_1", "sac", 1, 1.0)]
    assert runs.outcomes == [SB3]


def test_what_was_logged_is_the_outcome_if_nothing_else_is_named(tmp_path: Path) -> None:
    for arm in ("ppo", "sac"):
        for seed in range(8):
            log(tmp_path / arm / str(seed), [float(seed)])
    (design,) = attribute(read(tmp_path))
    assert design.outcome == SB3


@pytest.mark.parametrize(
    ("window", "outcome"),
    [("", 28.0), (":last10%", 28.0), (":last50%", 22.0), (":last", 29.0), (":mean", 14.5), (":max", 29.0)],
)
def test_a_window_makes_one_number_of_what_was_logged(tmp_path: Path, window: str, outcome: float) -> None:
    log(tmp_path / "ppo" / "0", range(30))
    (found,) = read(tmp_path, f"outcome={SB3}{window}").table[SB3]
    assert found == pytest.approx(outcome)


def test_no_value_is_left_out_of_a_long_run(tmp_path: Path) -> None:
    log(tmp_path / "ppo" / "0", range(12_000))
    (found,) = read(tmp_path, f"outcome={SB3}:mean").table[SB3]
    assert found == pytest.approx(5999.5)


def test_event_files_of_a_resumed_run_are_one_run(tmp_path: Path) -> None:
    log(tmp_path / "ppo" / "0", [1.0, 2.0])
    log(tmp_path / "ppo" / "0", [3.0, 6.0], first_step=2)
    assert read(tmp_path, f"outcome={SB3}:mean").table[SB3].tolist() == [3.0]


def test_cleanrl_s_tag_and_folders_are_read(tmp_path: Path) -> None:
    for name in ("Hopper-v4__ppo__1__1700000001", "Hopper-v4__ppo_fast__2__1700000002"):
        log(tmp_path / name, [5.0], CLEANRL)
    table = read(tmp_path, "path={env_id}__{condition}__{seed}__*").table
    rows = table[["condition", "seed", "env_id", CLEANRL]].to_records(index=False).tolist()
    assert rows == [("ppo", 1, "Hopper-v4", 5.0), ("ppo_fast", 2, "Hopper-v4", 5.0)]


def test_environments_in_the_path_are_a_design_column(tmp_path: Path) -> None:
    for env_id in ("Hopper", "Walker2d"):
        for condition in ("ppo", "sac"):
            log(tmp_path / condition / env_id / "seed_0", [1.0])
    mapping = "path={condition}/{env_id}/seed_{seed}"
    assert read(tmp_path, mapping, design=("env_id",)).hyperparameters == ["env_id"]
    with pytest.raises(UnreadableSourceError, match="'env_id' has 2 values in condition 'ppo'"):
        read(tmp_path, mapping)


def test_a_run_without_the_tag_has_an_empty_outcome(tmp_path: Path) -> None:
    log(tmp_path / "ppo" / "0", [1.0])
    log(tmp_path / "ppo" / "1", [1.0], "train/loss")
    assert read(tmp_path).table[SB3].isna().tolist() == [False, True]


def test_what_is_no_run_of_tensorboard_is_one_line(tmp_path: Path) -> None:
    assert "there are no event files" in refused(f"tb:{tmp_path}")
    log(tmp_path / "ppo" / "0", [1.0])
    wrong = Reading(mapping=Mapping.parse("outcome=rollout/ep_rew"))
    assert f"no run has logged 'rollout/ep_rew'. Did you mean '{SB3}'?" in refused(f"tb:{tmp_path}", wrong)
    wrong = Reading(mapping=Mapping.parse(f"outcome={SB3}:last10"))
    assert "window 'last10'" in refused(f"tb:{tmp_path}", wrong)


def test_what_to_install_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log(tmp_path / "ppo" / "0", [1.0])
    monkeypatch.setitem(sys.modules, "tensorboard.backend.event_processing.event_accumulator", None)
    assert refused(f"tb:{tmp_path}") == "reading event files needs TensorBoard: `pip install tensorboard`"


def test_a_pipe_in_a_file_s_place_is_not_waited_for(tmp_path: Path) -> None:
    folder = tmp_path / "ppo" / "1"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "events.out.tfevents.1")
    with pytest.raises(UnreadableSourceError, match=r"tfevents\.1 can't be read: it isn't a regular file"):
        sources.read(f"tb:{tmp_path}")
