"""The command line, as it is typed."""

import asyncio
import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
import torch
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

import study
from agents.cohort.networks import ActorCritic
from study.commands import Command
from study.config.run_config import RunConfig, require_trainable
from study.config.shipped import SHIPPED
from study.store.run_store import RunStore
from tests.helpers.command_line import SMALL_OPTIONS, run
from tests.helpers.small import SMALL
from tests.helpers.sweeps import write_sweep
from tests.helpers.synthetic import study as synthetic_study
from tests.helpers.synthetic import write_run_store

LONG = "x" * 4000
NO_TEXT = os.fsdecode(b"\xff")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Expected one of {probe, check, train, sweep, "),
        (["brew"], "Unrecognized options: brew"),
        (["train", "--seed", "0"], "--condition"),
        (["train", *SMALL_OPTIONS, "--condition", "mvn"], "invalid choice 'mvn'"),
        (["train", *SMALL_OPTIONS, "--precision", "float16"], "invalid choice 'float16'"),
        (["train", *SMALL_OPTIONS, "--lerning-rate", "1"], "--learning-rate"),
        (["train", *SMALL_OPTIONS, "--learning-rate", "-1"], "learning_rate must be positive"),
        (["train", *SMALL_OPTIONS, "--seed", "one"], "--seed"),
        (["train", *SMALL_OPTIONS, "--compile"], "compile can't be True with engine cohort"),
        (["train", *SMALL_OPTIONS, "--compile=True"], "compile can't be True with engine cohort"),
        (["train", *SMALL_OPTIONS, "--compile=no"], "invalid choice 'no' for argument '--compile'"),
        (["train", *SMALL_OPTIONS, "--allow-tf32", "--engine", "reference"], "allow_tf32 must be off on device cpu"),
        (["train", *SMALL_OPTIONS, "--seed", str(2**70)], "seed must be at most 2**53"),
        (["train", *SMALL_OPTIONS, "--ppo={'gama': 0.9}"], "--gama=0.9"),
        (["train", *SMALL_OPTIONS, "--ppo={'gamma': 0.9"], "isn't a group of parameters"),
        (["train", *SMALL_OPTIONS, "--ppo={1, 2}"], "isn't a group of parameters"),
        (["train", *SMALL_OPTIONS, "--env-id", "CartPole-v1"], "a vector of continuous actions is needed"),
        (["train", *SMALL_OPTIONS, "--env-id", "Nowhere-v0"], "environment 'Nowhere-v0' can't be made"),
        (["train", *SMALL_OPTIONS, "--env-id", "Pendulum"], "environment 'Pendulum' is 'Pendulum-v1'"),
        (["train", *SMALL_OPTIONS, "--replicate", "49"], "replicate must be at most 48, not 49"),
        (["train", *SMALL_OPTIONS, "--seeds", "0-9"], "--seed and --seeds exclude each other"),
        (
            ["train", *SMALL_OPTIONS, "--step-timeout", "-1"],
            "--step-timeout must be between 0 and 86400 seconds, not -1",
        ),
        (["train", "--condition=mvn_std", "--precision=float64", "--seeds", "9-0"], "between 1 and 10,000 seeds"),
        (["train", *SMALL_OPTIONS, "--hidden-size", "160000"], "choose a smaller hidden_size"),
        (["train", *SMALL_OPTIONS, "--hidden-size", f"16{'0' * 400}"], "choose a smaller hidden_size"),
        (
            ["train", *SMALL_OPTIONS, "--num-envs", str(10**9), "--total-timesteps", str(10**12)],
            "num_envs 1000000000 is too large: a run needs 1",
        ),
        (["train", *SMALL_OPTIONS, "--eval-episodes", str(10**9)], "choose a smaller eval_episodes"),
        (
            ["train", "--condition=mvn_std", "--precision=float64", "--num-envs=100", "--seeds=0-9999"],
            "10000 seeds together need",
        ),
        (["check", "nothing.yaml"], "nothing.yaml: there is no such file"),
        (["sweep", "nothing.yaml"], "nothing.yaml: there is no such file"),
        (
            ["sweep", "thread", "thraed"],
            "thraed: there is no such file, nor a sweep of that name. Did you mean 'thread'?",
        ),
        (["check", "thraed"], "thraed: there is no such file, nor a sweep of that name. Did you mean 'thread'?"),
        (["sweep"], "no sweep file is given"),
        (["check"], "no sweep file is given"),
        (["--version", "train"], "--version"),
        (["report", "nothing"], "nothing: there is no such directory or table"),
        (["report", ".", "--margin", "-1"], "--margin must be positive"),
        (["report", "wandb:someone"], "a W&B source is wandb:entity/project"),
        (["report", "wandb:../../.."], "a W&B source is wandb:entity/project"),
        (["report", "wandb:a/b/../.."], "a W&B source is wandb:entity/project"),
        (["report", "wandb:someone/a/b/c"], "a W&B source is wandb:entity/project"),
        (["report", "wandb:someone/a", "--map", "condition"], "must be NAME=VALUE, such as seed=config.seed (--map)"),
        (["report", "wandb:someone/a", "--map", "condition=config.a"], "the mapping must say where seed is"),
        (
            ["report", ".", "--map", "condition=config.a,seed=config.b,outcome=config.c"],
            "a study's runs need no mapping",
        ),
        (["report", LONG], "can't be a file: File name too long"),
        (["report", f"sb3:{LONG}"], "can't be a file: File name too long"),
        (
            ["play", "0", "--runs-dir", LONG],
            # Python 3.13's glob finds nothing where earlier ones raise an error.
            "has no run 0" if sys.version_info >= (3, 13) else "can't be a file: File name too long",
        ),
        (["train", *SMALL_OPTIONS, "--runs-dir", LONG], "can't be read: File name too long"),
        (["check", LONG], "can't be read: File name too long"),
        (["report", NO_TEXT], "there is no such directory or table"),
        (["check", NO_TEXT], "there is no such file"),
        (["play", NO_TEXT], "has no run \\udcff"),
        (["report", "[/red]"], "[/red]: there is no such directory or table"),
        (["train", "--condition", "[/red]"], "invalid choice '[/red]'"),
        (["[/red]"], "Unrecognized options: [/red]"),
        (
            ["bench", "-o", "nowhere/x.json"],
            "nowhere/x.json can't be written: No such file or directory. Choose another",
        ),
        (["bench", "-o", "."], ". can't be written: Is a directory"),
        (["bench", "--env-ids", "Ant-v5"], "--env-ids must be of Pendulum-v1"),
        (["bench", "--rounds", "0"], "--rounds must be at least 1"),
        (["probe", "--n", "0"], "--n must be between 1 and 1000"),
        (["probe", "--n", "100000000000"], "--n must be between 1 and 1000"),
        (["probe", "--seed", str(2**70)], "--seed must be between 0 and 2**53"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments, capsys=capsys)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1
    assert err.startswith("study: ")
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_beyond_the_last_replicate_is_refused_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], small: Callable[..., RunConfig]
) -> None:
    first_weights = ActorCritic([0], 3, 1, small(), torch.float32).actor(0)[0][0].size
    require_trainable([small(replicate=first_weights)])
    sweep = write_sweep(tmp_path, replicate=first_weights + 1)
    code, _, err = run("sweep", str(sweep), "--runs-dir", str(tmp_path / "runs"), capsys=capsys)
    assert code == 2
    assert err.startswith(f"study: replicate must be at most {first_weights}, not {first_weights + 1}")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--where", "gamma", "gamma: give key=value, of a column such as env_id or seed"),
        ("--outcome", "fame", "fame: there is no such outcome; choose from final_return"),
        ("--also", "fame", "fame: there is no such outcome; choose from final_return"),
        ("--factor", "gama", "factor 'gama' is unknown"),
        ("--must-agree", "gama", "factor 'gama' is unknown"),
        ("--design", "gama", "design 'gama' is not a hyperparameter"),
        ("--reference", "sac", "reference 'sac' is not a condition"),
        ("--map", "seed=seed", "a study's runs need no mapping"),
    ],
)
def test_an_error_of_a_report_ends_with_its_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str, words: str
) -> None:
    write_run_store(tmp_path, synthetic_study(seeds=2))
    code, _, err = run("report", str(tmp_path), option, value, capsys=capsys)
    assert code == 2
    assert words in err
    assert err.endswith(f" ({option})\n")


def test_a_value_that_is_no_text_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run_store(tmp_path / "runs", synthetic_study(seeds=2))
    code, _, err = run("report", str(tmp_path / "runs"), "--where", f"condition={NO_TEXT}", capsys=capsys)
    assert (code, err) == (2, "study: '\\udcff' isn't text: give it in UTF-8\n")


def test_a_store_and_a_report_may_have_names_that_are_no_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / NO_TEXT
    write_run_store(runs, synthetic_study(seeds=2))
    code, out, err = run("report", str(runs), "--html", capsys=capsys)
    assert (code, err) == (0, "")
    assert out.endswith("\\udcff/report/report.md\n")
    assert "\\udcff" in (runs / "report" / "report.md").read_text()


@pytest.mark.parametrize(
    "command", [re.sub(r"(?<!^)(?=[A-Z])", "-", each.__name__).lower() for each in get_args(Command)]
)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(command, "--help", capsys=capsys)
    assert code == 0
    assert f"usage: study {command}" in out
    assert "None" not in out
    assert "(default: )" not in out


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    study = [sys.executable, "-m", "study", "train", "--help"]
    said = subprocess.run(study, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (said.returncode, said.stderr) == (1, "")


@pytest.mark.parametrize("mode", ["nonsense", ""])
def test_a_wandb_mode_that_there_is_not_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setenv("WANDB_MODE", mode)
    code, _, err = run("train", *SMALL_OPTIONS, "--runs-dir", str(tmp_path / "runs"), capsys=capsys)
    assert (code, err) == (2, f"study: WANDB_MODE must be online, offline or disabled, not {mode!r}\n")
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_without_a_valid_key_wandb_stays_offline_and_says_why(tmp_path: Path, small: Callable[..., RunConfig]) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "study", "train", *SMALL_OPTIONS, "--runs-dir", str(tmp_path)],
        env={name: value for name, value in os.environ.items() if name != "WANDB_MODE"} | {"WANDB_API_KEY": "short"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "W&B runs offline, since WANDB_API_KEY invalid" in finished.stderr
    assert list((tmp_path / "wandb").glob(f"offline-run-*-{small().id}"))


def test_train_trains_once(
    tmp_path: Path, small: Callable[..., RunConfig], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    arguments = ["train", *SMALL_OPTIONS, "--runs-dir", str(tmp_path), "--anneal_lr=True"]
    code, out, _ = run(*arguments, capsys=capsys)
    outcome = RunStore(tmp_path).summary(small())
    assert code == 0
    assert outcome is not None
    assert f"finished: final_return {outcome['final_return']:.6g}" in out
    assert "had finished before" in run(*arguments, capsys=capsys)[1]


def test_nested_parameters_are_read_as_an_agent_passes_them(
    tmp_path: Path, small: Callable[..., RunConfig], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    ppo = {"clip_coef": 0.3, "deeper": {"learning_rate": "1e-3", "anneal_lr": False}}
    queued = {"args": {name: {"value": value} for name, value in {**SMALL, "ppo": ppo}.items()}}
    arguments = create_sweep_command_args(queued)["args"]
    assert run("train", "--runs-dir", str(tmp_path), *arguments, capsys=capsys)[0] == 0
    assert RunStore(tmp_path).summary(small(clip_coef=0.3, learning_rate=0.001, anneal_lr=False))


@pytest.mark.parametrize("engine", ["cohort", "reference"])
def test_one_call_trains_several_seeds(
    engine: str,
    tmp_path: Path,
    small: Callable[..., RunConfig],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    options = [option for option in SMALL_OPTIONS if not option.startswith("--seed=")]
    asked = [*options, "--engine", engine, "--seeds", "0-1,3", "--runs-dir", str(tmp_path)]
    assert run("train", *asked, capsys=capsys)[0] == 0
    assert all(RunStore(tmp_path).summary(small(seed=seed, engine=engine)) for seed in (0, 1, 3))


def test_sweep_files_are_checked_the_sound_and_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sound = write_sweep(tmp_path)
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(sound.read_text().replace("Pendulum", "Nowhere").replace("{", '{"run_cap": 1, ', 1))
    nowhere = tmp_path / "nowhere.yaml"
    nowhere.write_text(sound.read_text().replace('"num_envs"', '"env_id": {"value": "Nowhere-v0"}, "num_envs"'))
    code, out, err = run("check", str(sound), str(wrong), str(nowhere), capsys=capsys)
    assert code == 2
    assert out.startswith(f"{sound}: 12 runs in 12 calls of an agent, about ")
    assert out.endswith(" of this machine, and some seconds to start\n")  # which may be most of a small sweep's time
    assert out.count("\n") == 1
    assert [line for line in err.splitlines() if line.startswith("study: ")] == [
        f"study: {wrong}: run_cap would leave out runs under W&B that are trained here: leave run_cap out",
        f"study: {nowhere}: environment 'Nowhere-v0' can't be made: Environment `Nowhere` doesn't exist.",
    ]


def test_check_refuses_the_program_of_another_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = write_sweep(tmp_path)
    content = json.loads(sweep.read_text())
    del content["command"]
    sweep.write_text(json.dumps({**content, "program": "train.py"}))
    code, out, err = run("check", str(sweep), capsys=capsys)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"study: {sweep}: program 'train.py' isn't this project's, and an agent would run it")


def test_shipped_sweeps_are_checked_by_name_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("study.training.estimate.estimate", lambda _configs, _advance: 60.0)
    code, out, _ = run("check", "thread", "dose", capsys=capsys)
    assert code == 0
    thread, dose = out.splitlines()
    assert f"{SHIPPED / 'thread.yaml'}: 160 runs in 16 calls of an agent, about " in thread
    assert f"{SHIPPED / 'precision' / 'dose.yaml'}: " in dose


def test_a_sweep_of_several_files_trains_shared_runs_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trained: list[RunConfig] = []
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    first = write_sweep(tmp_path / "first", condition="normal_std", seed=[0, 1])
    second = write_sweep(tmp_path / "second", condition="normal_std", seed=[1, 2])

    class Driver:
        async def train(self, configs: list[RunConfig]) -> None:
            trained.extend(configs)

    monkeypatch.setattr("study.commands.shared.run_with_pool", lambda _, work: asyncio.run(work(Driver())))
    code, _, err = run("sweep", str(first), str(second), "--runs-dir", str(tmp_path / "runs"), capsys=capsys)
    assert code == 0
    assert [config.seed for config in trained] == [0, 1, 2]
    begun = "".join(f"{path}: 2 runs, 0 of them ended before\n" for path in (first, second))
    assert err == f"{begun}0 of 3 runs have ended: {tmp_path / 'runs'}\n"


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version", capsys=capsys) == (0, f"study {study.__version__}\n", "")


def test_a_sweep_file_of_runs_without_memory_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = write_sweep(tmp_path, hidden_size=160_000)
    code, out, err = run("check", str(sweep), capsys=capsys)
    assert (code, out) == (2, "")
    assert err.startswith(f"study: {sweep}: hidden_size 160000 is too large: a run needs ")
    assert err.endswith(": choose a smaller hidden_size\n")


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        (("--workers", "2", "--memory", "4"), "or take fewer --workers, or give more --memory"),
        (("--workers", "1", "--memory", "4"), "or give more --memory"),
        (("--scheduler", "tls://host:8786"), "or give --memory"),
    ],
)
def test_a_run_too_large_for_a_worker_names_the_parameter(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], advice: str
) -> None:
    sweep = write_sweep(tmp_path, hidden_size=160_000)
    code, _, err = run("sweep", str(sweep), *options, "--runs-dir", str(tmp_path / "runs"), capsys=capsys)
    last = err.splitlines()[-1]
    assert code == 2
    assert last.startswith("study: hidden_size 160000 is too large: a run needs ")
    assert last.endswith(f": choose a smaller hidden_size, {advice}")


def test_a_failed_run_is_said_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    code, _, err = run("train", *SMALL_OPTIONS, "--learning_rate=1e200", "--runs-dir", str(tmp_path), capsys=capsys)
    assert code == 1
    assert "failed: parameters became non-finite at update 1" in err
    code, out, _ = run("report", str(tmp_path), capsys=capsys)
    assert code == 0
    assert "1 run failed" in out


@pytest.mark.slow
def test_a_full_disk_is_said_and_what_it_stopped_resumes(tmp_path: Path) -> None:
    what = [*SMALL_OPTIONS, "--total-timesteps", "4096"]
    study = [sys.executable, "-m", "study", "train", *what, "--runs-dir", str(tmp_path / "runs")]

    def attempt(largest_file: int) -> subprocess.CompletedProcess[str]:
        limit = (largest_file, resource.RLIM_INFINITY)
        return subprocess.run(
            study,
            env={**os.environ, "WANDB_MODE": "disabled"},
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
        )

    full = attempt(largest_file=8192)
    assert full.returncode == 1
    assert "history.jsonl can't be written: File too large" in full.stderr
    assert full.stderr.splitlines()[-1].endswith("the same command continues")
    assert "Traceback" not in full.stderr
    assert not list((tmp_path / "runs").glob("*/summary.json"))
    assert attempt(resource.RLIM_INFINITY).returncode == 0
    assert len(list((tmp_path / "runs").glob("*/summary.json"))) == 1


@pytest.mark.slow
def test_a_sweep_is_trained_reported_and_not_trained_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep, runs = write_sweep(tmp_path), tmp_path / "runs"
    code, _, err = run("sweep", str(sweep), "--runs-dir", str(runs), capsys=capsys)
    assert code == 0
    assert "12 runs, 0 of them ended before" in err
    assert "W&B runs offline" in err
    before = {path: path.stat().st_mtime_ns for path in runs.glob("*/*")}
    code, _, err = run("sweep", str(sweep), "--runs-dir", str(runs), capsys=capsys)
    assert "12 runs, 12 of them ended before" in err
    assert {path: path.stat().st_mtime_ns for path in runs.glob("*/*")} == before
    code, out, _ = run("report", str(runs), "--sweep", str(sweep), capsys=capsys)
    assert code == 0
    assert "Pendulum-v1: these runs don't decide whether final_return differs (3 seeds)\n" in out
    assert str(runs / "report" / "report.md") in out
    assert json.loads((runs / "report" / "verdict.json").read_text())["designs"][0]["n_seeds"] == 3


def test_the_command_line_starts_without_slow_libraries() -> None:
    slow = "matplotlib", "optuna", "pandas", "scipy", "sqlalchemy", "statsmodels", "torch", "wandb"
    code = f"import sys, study.cli; print(*set({slow}) & sys.modules.keys())"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.split() == []


@pytest.mark.slow
def test_training_imports_no_slow_libraries_that_it_does_not_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    slow = "distributed", "matplotlib", "pandas", "scipy", "torch._dynamo", "wandb"
    code = f"import sys, study.cli; study.cli.main(sys.argv[1:]); print(*set({slow}) & sys.modules.keys(), sep='\\n')"
    command = [sys.executable, "-c", code, "train", *SMALL_OPTIONS, f"--runs-dir={tmp_path}"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert " finished: " in printed[0]
    assert printed[1:] == [""]


def test_a_strange_answer_to_publish_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run_store(tmp_path / "runs", synthetic_study(seeds=7))
    monkeypatch.setattr("reports.online.require_online", lambda: None)
    monkeypatch.setattr("reports.documents.publish.publish", lambda *_: json.loads("{}")["data"])
    code, _, err = run("report", str(tmp_path / "runs"), "-o", str(tmp_path / "r"), "--publish", capsys=capsys)
    assert code == 1
    assert (
        err == f"study: --publish: W&B's answer can't be used (KeyError: 'data'); the report is in {tmp_path / 'r'}\n"
    )
    assert (tmp_path / "r" / "report.md").exists()
