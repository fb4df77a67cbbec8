"""What is read of Stable-Baselines3's Monitor files."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest

from reports import sources
from reports.factors import Factor
from reports.sources import Mapping, Reading, UnreadableSourceError
from reports.sources.reading import AS_IS

Episode = tuple[float, int, float]
"""Return, length, and seconds since the file was begun."""


def write_monitor(path: Path, episodes: list[Episode], env_id: str = "Pendulum-v1", start: float = 1000.0) -> None:
    """Write a file as Monitor does: a JSON header behind a #, then CSV with CRLF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="\n", encoding="utf-8") as file:
        file.write(f"#{json.dumps({'t_start': start, 'env_id': env_id})}\n")
        writer = csv.writer(file)
        writer.writerows([("r", "l", "t"), *episodes])


def episodes(count: int, base: float = 0.0) -> list[Episode]:
    """Episodes of growing return and length."""
    return [(base + number, 10 + number, 0.5 * number) for number in range(count)]


def refused(source: str, reading: Reading = AS_IS) -> str:
    with pytest.raises(UnreadableSourceError) as error:
        sources.read(source, reading=reading)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_paths_are_conditions_and_seeds(tmp_path: Path) -> None:
    places = ["ppo/0", "ppo/Pendulum-v1_1", "sac/seed0", "sac/seed_1/train"]
    for place in places:
        write_monitor(tmp_path / place / "monitor.csv", episodes(3))
    runs = sources.read(f"sb3:{tmp_path}")
    rows = runs.table[["run", "condition", "seed"]].to_records(index=False).tolist()
    assert rows == [(place, place[:3], seed) for place, seed in zip(places, [0, 1, 0, 1], strict=True)]
    assert runs.factors == (Factor(name="condition", levels=("ppo", "sac")),)


def test_final_return_is_the_mean_of_the_last_tenth(tmp_path: Path) -> None:
    write_monitor(tmp_path / "ppo" / "0" / "monitor.csv", episodes(25))
    write_monitor(tmp_path / "ppo" / "1" / "monitor.csv", episodes(5))
    table = sources.read(f"sb3:{tmp_path}").table
    assert table["final_return"].tolist() == [(23 + 24) / 2, 4.0]
    assert table["episodes"].tolist() == [25, 5]


def test_auc_return_is_the_mean_over_environment_steps(tmp_path: Path) -> None:
    told = episodes(7)
    write_monitor(tmp_path / "ppo" / "0" / "monitor.csv", told)
    steps = np.concatenate([np.full(length, value) for value, length, _ in told])
    (found,) = sources.read(f"sb3:{tmp_path}").table["auc_return"]
    assert found == pytest.approx(steps.mean())


def test_workers_of_one_run_are_merged_by_time(tmp_path: Path) -> None:
    folder = tmp_path / "ppo" / "0"
    write_monitor(folder / "0.monitor.csv", [(1.0, 10, 1.0), (2.0, 10, 9.0)], start=1000.0)
    write_monitor(folder / "1.monitor.csv", [(3.0, 10, 1.0), (4.0, 10, 4.0)], start=1002.0)
    (row,) = sources.read(f"sb3:{tmp_path}").table.to_dict("records")
    assert (row["run"], row["episodes"], row["final_return"]) == ("ppo/0", 4, 2.0)


def test_other_files_of_a_folder_are_runs_of_their_own(tmp_path: Path) -> None:
    for seed in (3, 4):
        write_monitor(tmp_path / "ppo" / f"run_{seed}.monitor.csv", episodes(3))
    table = sources.read(f"sb3:{tmp_path}").table
    assert table["run"].tolist() == ["ppo/run_3", "ppo/run_4"]
    assert table["seed"].tolist() == [3, 4]


def test_environments_are_a_design_column(tmp_path: Path) -> None:
    for env_id in ("Hopper-v5", "Walker2d-v5"):
        for condition in ("ppo", "sac"):
            write_monitor(tmp_path / condition / env_id / "seed_0" / "monitor.csv", episodes(3), env_id)
    mapping = Mapping.parse("path={condition}/*/seed_{seed}")
    runs = sources.read(f"sb3:{tmp_path}", reading=Reading(mapping=mapping))
    assert runs.hyperparameters == ["env_id"]
    assert runs.table["env_id"].tolist() == ["Hopper-v5", "Walker2d-v5"] * 2


def test_a_template_names_what_a_path_has(tmp_path: Path) -> None:
    for condition, library in (("ppo-a", "sb3"), ("ppo-b", "own")):
        write_monitor(tmp_path / f"{library}__{condition}" / "s7" / "x" / "0.monitor.csv", episodes(3), "None")
    mapping = Mapping.parse("path={library}__{condition}/s{seed},precision='float32'")
    runs = sources.read(f"sb3:{tmp_path}", reading=Reading(mapping=mapping, must_agree=("library",)))
    assert runs.factors == (Factor(name="library", levels=("own", "sb3"), must_agree=True),)
    assert set(runs.table["seed"]) == {7}
    assert set(runs.table["precision"]) == {"float32"}
    assert runs.hyperparameters == []


def test_a_run_without_an_episode_is_unfinished(tmp_path: Path) -> None:
    write_monitor(tmp_path / "ppo" / "0" / "monitor.csv", [])
    write_monitor(tmp_path / "ppo" / "1" / "monitor.csv", episodes(3))
    table = sources.read(f"sb3:{tmp_path}").table
    assert table["status"].tolist() == ["unfinished", "finished"]
    assert table["error"].tolist() == ["no episode has ended", ""]
    assert table["final_return"].isna().tolist() == [True, False]


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "ppo" / "0" / "monitor.csv"
    write_monitor(path, episodes(3))
    path.write_text(path.read_text() + "-12")
    assert sources.read(f"sb3:{tmp_path}").table["episodes"].tolist() == [3]


def test_unpaired_runs_have_the_seeds_of_their_paths(tmp_path: Path) -> None:
    for seed in (5, 6):
        write_monitor(tmp_path / "ppo" / str(seed) / "monitor.csv", episodes(3))
    runs = sources.read(f"sb3:{tmp_path}", reading=Reading(unpaired=True))
    assert (runs.paired, runs.table["seed"].tolist()) == (False, [5, 6])


@pytest.mark.parametrize(
    ("place", "content", "mapping", "words"),
    [
        ("ppo/0/progress.csv", "", None, "there is no monitor.csv in it, nor any *.monitor.csv"),
        ("monitor.csv", "#{}\nr,l,t\n", None, ". is not like CONDITION/SEED or CONDITION/anything_SEED"),
        ("ppo/Pendulum-v1/monitor.csv", "#{}\nr,l,t\n", None, "ppo/Pendulum-v1 is not like CONDITION/SEED"),
        ("ppo/0/monitor.csv", "r,l,t\n", None, "ppo/0/monitor.csv is no Monitor file"),
        ("ppo/0/monitor.csv", "#{}\nr,l\n", None, "ppo/0/monitor.csv is no Monitor file"),
        ("ppo/0/monitor.csv", "#{\nr,l,t\n", None, "ppo/0/monitor.csv is no Monitor file"),
        ("ppo/0/monitor.csv", "", None, "ppo/0/monitor.csv is no Monitor file"),
        ("ppo/0/monitor.csv", "#{}\nr,l,t\n", "path={condition}/s{seed}", "ppo/0 is not like {condition}/s{seed}"),
        ("ppo/0/monitor.csv", "#{}\nr,l,t\n", "path={seed}/{seed}", "path={seed}/{seed} is no template"),
        ("ppo/0/monitor.csv", "#{}\nr,l,t\n", "seed=config.seed", "seed=config.seed must be a constant in quotes"),
        ("ppo/0/monitor.csv", "#{}\nr,l,t\n", "path={condition}", "every row needs a 'seed'"),
    ],
)
def test_what_is_no_run_of_sb3_is_one_line(
    tmp_path: Path, place: str, content: str, mapping: str | None, words: str
) -> None:
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_text(content)
    line = refused(f"sb3:{tmp_path}", Reading(mapping=Mapping.parse(mapping) if mapping else None))
    assert line.startswith(f"sb3:{tmp_path}: ")
    assert words in line


@pytest.mark.parametrize("scheme", ["sb3:", "tb:"])
def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path, scheme: str) -> None:
    assert refused(f"{scheme}{tmp_path}/none") == f"{scheme}{tmp_path}/none: there is no such directory"
    assert refused(scheme) == f"{scheme}: there is no such directory"


def test_a_pipe_in_a_file_s_place_is_not_waited_for(tmp_path: Path) -> None:
    folder = tmp_path / "ppo" / "1"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "monitor.csv")
    with pytest.raises(UnreadableSourceError, match=r"monitor\.csv can't be read: it isn't a regular file"):
        sources.read(f"sb3:{tmp_path}")


def test_a_folder_whose_name_is_no_text_is_one_line(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"\xff") / "1"
    folder.mkdir(parents=True)
    (folder / "monitor.csv").write_text('#{"t_start": 0}\nr,l,t\n1,2,3\n')
    with pytest.raises(UnreadableSourceError, match=r"the name of '\\udcff/1' isn't text: rename it"):
        sources.read(f"sb3:{tmp_path}")
