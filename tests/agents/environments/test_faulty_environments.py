"""An environment that fails ends its run with a reason, and the others of the cohort never notice."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.classic_control.pendulum import PendulumEnv

from agents.cohort import Cohort
from agents.environments import CohortEnvironments, can_be_checkpointed
from agents.environments.limits import Limited
from agents.environments.vector import LONGEST_REASON
from agents.errors import TookTooLongError
from agents.randomness import streams
from agents.records import EVALUATION_SEED, Failure, Run
from study.config.run_config import RunConfig, make_config
from study.store.run_store import RunStore
from study.tracking.runs import TrackedRun
from study.training import cohort as training
from study.training.estimate import estimate
from tests.helpers.command_line import SMALL_OPTIONS, run
from tests.helpers.small import SMALL

ENGINES = ["cohort", "reference"]

Act = Callable[[Any], Any]
"""Makes what a method returns of what it should return, or never returns."""


class FaultyEnv(PendulumEnv):
    """Pendulum, except for the first that is reset by a seed that has acts: it does them, each in its own call."""

    acts: ClassVar[dict[int, dict[tuple[str, int], Act]]] = {}
    """by seed, by method and by which of its calls it is, counted from 1"""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        if seed is not None:
            self.own, self.calls = self.acts.pop(seed, {}), {"reset": 0, "step": 0}
        return self._do("reset", super().reset(seed=seed, options=options))

    def step(self, action: Any) -> Any:
        return self._do("step", super().step(action))  # type: ignore[no-untyped-call]

    def _do(self, method: str, returned: Any) -> Any:
        self.calls[method] += 1
        act = self.own.get((method, self.calls[method]))
        return act(returned) if act else returned


gym.register("Faulty-v0", FaultyEnv, max_episode_steps=200)  # type: ignore[arg-type]


def raising(error: BaseException) -> Act:
    def act(_: Any) -> Any:
        raise error

    return act


def with_item(index: int, item: Any) -> Act:
    return lambda returned: (*returned[:index], item, *returned[index + 1 :])


def wait_for_ever(_: Any) -> None:
    threading.Event().wait()


def run_in_circles(_: Any) -> None:
    while True:
        pass


FAULTS: list[tuple[str, Act, str]] = [
    ("step", raising(ValueError("bad\n  things")), "raised ValueError in step: bad things"),
    ("step", raising(AssertionError()), "raised AssertionError in step"),
    ("step", raising(SystemExit(3)), "raised SystemExit in step: 3"),
    ("step", lambda returned: returned[:4], "raised ValueError in step: not enough values to unpack (expected 5, got "),
    ("step", with_item(0, np.zeros(2)), "returned an observation of shape (2,), not (3,), in step"),
    ("step", with_item(0, None), "returned an observation of shape (), not (3,), in step"),
    ("step", with_item(0, ["a", "b", "c"]), "returned an observation of dtype <U1, not of numbers, in step"),
    ("step", with_item(1, "1.5"), "returned reward '1.5', not a number, in step"),
    ("step", with_item(1, np.zeros(1)), "returned reward array([0.]), not a number, in step"),
    ("step", with_item(2, None), "returned terminated None, not a number, in step"),
    ("step", wait_for_ever, "took longer than 1 s in step"),
    ("step", run_in_circles, "took longer than 1 s in step"),
    ("reset", raising(OSError("no simulator")), "raised OSError in reset: no simulator"),
    ("reset", lambda returned: returned[0], "raised ValueError in reset: too many values to unpack (expected 2)"),
    ("reset", wait_for_ever, "took longer than 1 s in reset"),
]
BY_ENGINE = [("cohort", *fault) for fault in FAULTS] + [
    ("reference", method, act, reason)
    for method, act, reason in FAULTS
    if act in (wait_for_ever, run_in_circles) or reason.endswith(("things", "simulator"))
]

LIMIT = 1.0
"""Seconds, in which a step ends on the busiest machine."""


@pytest.fixture(autouse=True)
def no_acts_are_left() -> Iterator[None]:
    yield
    left = dict(FaultyEnv.acts)
    FaultyEnv.acts.clear()
    assert not left


def faulty_config(seed: int, **changes: Any) -> RunConfig:
    return make_config({**SMALL, "env_id": "Faulty-v0", "seed": seed, **changes})


def let_act(seed: int, act: Act, method: str = "step", call: int = 300) -> None:
    """Have the second of the two environments of a run do something."""
    FaultyEnv.acts[streams(seed, num_envs=2).environments[1]] = {(method, call): act}


def ended(runs_dir: Path, config: RunConfig) -> tuple[list[str], dict[str, Any]]:
    """The hashes of a run's updates, and its outcome."""
    updates = RunStore(runs_dir).history(config)
    return [update["params_sha256"] for update in updates], RunStore(runs_dir).summary(config) or {}


def failed(reason: str) -> dict[str, Any]:
    return {"status": "failed", "error": f"environment Faulty-v0 {reason}"}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[RunConfig, tuple[list[str], dict[str, Any]]]:
    """How runs end that are trained alone."""
    runs_dir = tmp_path_factory.mktemp("undisturbed")
    configs = [faulty_config(seed, engine=engine) for engine in ENGINES for seed in (1, 2, 3)]
    for config in configs:
        training.train([config], runs_dir, "disabled")
    return {config: ended(runs_dir, config) for config in configs}


@pytest.mark.parametrize(
    ("engine", "method", "act", "reason"), BY_ENGINE, ids=[f"{engine} {reason}" for engine, *_, reason in BY_ENGINE]
)
def test_a_run_fails_with_its_environment_and_no_other_does(
    tmp_path: Path, undisturbed: dict[RunConfig, Any], engine: str, method: str, act: Act, reason: str
) -> None:
    configs = [faulty_config(seed, engine=engine) for seed in (1, 2, 3)]
    let_act(2, act, method, call=300 if method == "step" else 2)
    threads = threading.active_count()
    limit = LIMIT if reason.startswith("took longer") else None
    for kind in [configs] if engine == "cohort" else [[config] for config in configs]:
        training.train(kind, tmp_path, "disabled", step_timeout=limit)
    hashes, outcome = ended(tmp_path, configs[1])
    assert outcome["status"] == "failed"
    assert outcome["error"].startswith(f"environment Faulty-v0 {reason}")
    in_first_update = method == "reset"  # episodes take 200 steps, updates 256
    assert hashes == undisturbed[configs[1]][0][: 0 if in_first_update else 1]
    for config in (configs[0], configs[2]):
        assert ended(tmp_path, config) == undisturbed[config]
    if act is not wait_for_ever:
        time.sleep(0.1)
        assert threading.active_count() <= threads


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_whose_first_reset_fails_is_failed(tmp_path: Path, engine: str) -> None:
    config = faulty_config(2, engine=engine)
    let_act(2, raising(OSError("no simulator")), "reset", call=1)
    training.train([config], tmp_path, "disabled")
    assert ended(tmp_path, config) == ([], failed("raised OSError in reset: no simulator"))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_whose_evaluation_fails_is_failed(tmp_path: Path, undisturbed: dict[RunConfig, Any], engine: str) -> None:
    configs = [faulty_config(seed, engine=engine) for seed in (1, 2)]
    FaultyEnv.acts[EVALUATION_SEED + 1] = {("step", 50): raising(ValueError("no"))}  # of the run that comes first
    for kind in [configs] if engine == "cohort" else [[config] for config in configs]:
        training.train(kind, tmp_path, "disabled")
    assert ended(tmp_path, configs[0]) == (undisturbed[configs[0]][0], failed("raised ValueError in step: no"))
    assert not (RunStore(tmp_path).path(configs[0]) / "policy.pt").exists()
    assert ended(tmp_path, configs[1]) == undisturbed[configs[1]]


@pytest.mark.parametrize("engine", ENGINES)
def test_an_evaluation_is_over_with_its_first_episode(tmp_path: Path, engine: str) -> None:
    config = faulty_config(1, engine=engine)
    FaultyEnv.acts[EVALUATION_SEED] = {("step", 50): with_item(2, True), ("step", 51): raising(ValueError("no"))}
    training.train([config], tmp_path, "disabled")
    assert ended(tmp_path, config)[1]["status"] == "finished"


def test_runs_that_learn_from_a_failed_one_fail_with_it(tmp_path: Path) -> None:
    configs = [
        faulty_config(seed, condition=condition, rollouts="shared")
        for seed in (1, 2)
        for condition in ("normal_std", "mvn_var")
    ]
    training.train(configs[:2], tmp_path / "undisturbed", "disabled")
    let_act(2, raising(ValueError("no")))
    training.train(configs, tmp_path, "disabled")
    reason = "environment Faulty-v0 raised ValueError in step: no"
    errors = [ended(tmp_path, config)[1]["error"] for config in configs[2:]]
    assert errors == [reason, f"the run from whose rollouts it learns has failed: {reason}"]
    for config in configs[:2]:
        assert ended(tmp_path, config) == ended(tmp_path / "undisturbed", config)


def test_the_other_environments_of_a_failed_run_are_left_alone() -> None:
    environments = CohortEnvironments("Faulty-v0", [[1, 2, 3], [4, 5, 6]])
    FaultyEnv.acts[2] = {("step", 1): raising(ValueError("no"))}
    FaultyEnv.acts[3] = {("step", 1): raising(ValueError("never"))}
    environments.reset()
    environments.step(np.zeros((2, 3, 1)))
    assert environments.failures == {0: "environment Faulty-v0 raised ValueError in step: no"}
    assert environments.resting.tolist() == [[True] * 3, [False] * 3]


def test_a_limit_changes_no_bit(tmp_path: Path, undisturbed: dict[RunConfig, Any]) -> None:
    configs = [faulty_config(seed) for seed in (1, 2)]
    training.train(configs, tmp_path, "disabled", step_timeout=60)
    for config in configs:
        assert ended(tmp_path, config) == undisturbed[config]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError()])
@pytest.mark.parametrize("step_timeout", [None, 60])
def test_an_interruption_and_a_lack_of_memory_end_training(
    tmp_path: Path, error: BaseException, step_timeout: float | None
) -> None:
    let_act(2, raising(error))
    with pytest.raises(type(error)):
        training.train([faulty_config(2)], tmp_path, "disabled", step_timeout=step_timeout)
    assert RunStore(tmp_path).summary(faulty_config(2)) is None


def test_a_long_reason_is_shortened() -> None:
    config = faulty_config(2)
    let_act(2, raising(ValueError("x" * 10_000)))
    cohort = Cohort([Run(condition="normal_std", seed=2)], config.hyperparameters, "float64")
    list(cohort.train())
    (failure,) = cohort.outcomes()
    assert isinstance(failure, Failure)
    assert failure.reason.endswith("in step: " + "x" * (LONGEST_REASON - 3) + "...")


def test_an_environment_may_fail_before_it_is_trained_in(tmp_path: Path) -> None:
    """Whatever looks at an environment before training, or how long it takes, meets the same faults."""

    class Hopeless(PendulumEnv):
        def reset(self, **_: Any) -> Any:
            raise ValueError("no")

    gym.register("Hopeless-v0", Hopeless, max_episode_steps=200)  # type: ignore[arg-type]
    assert not can_be_checkpointed("Hopeless-v0")
    configs = [faulty_config(1, env_id="Hopeless-v0", engine=engine) for engine in ENGINES]
    assert estimate(configs) >= 0
    for config in configs:
        training.train([config], tmp_path, "disabled")
        assert ended(tmp_path, config)[1]["error"] == "environment Hopeless-v0 raised ValueError in reset: no"


def test_a_mujoco_task_that_fails_fails_its_run(monkeypatch: pytest.MonkeyPatch) -> None:
    environments = CohortEnvironments("Hopper-v5", [[1, 2], [3, 4]])
    vector: Any = environments._vector
    simulate = vector._simulate

    def fail_in_the_third(model: Any, data: Any, nstep: int) -> None:
        if data is vector._data[2]:
            raise RuntimeError("mj_stackAlloc: out of memory")
        simulate(model, data, nstep)

    monkeypatch.setattr(vector, "_simulate", fail_in_the_third)
    alone = CohortEnvironments("Hopper-v5", [[1, 2]])
    assert np.array_equal(environments.reset()[:1], alone.reset())
    for _ in range(60):
        together, apart = environments.step(np.full((2, 2, 3), 0.1)), alone.step(np.full((1, 2, 3), 0.1))
        assert np.array_equal(together.observations[:1], apart.observations)
    assert environments.failures == {
        1: "environment Hopper-v5 raised RuntimeError in step: mj_stackAlloc: out of memory"
    }


def test_a_policy_that_meets_a_fault_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = faulty_config(1)
    training.train([config], tmp_path, "disabled")
    FaultyEnv.acts[7] = {("step", 5): raising(ValueError("no"))}
    code, _, complaint = run("play", config.id, "--runs-dir", str(tmp_path), "--seed", "7", capsys=capsys)
    assert (code, complaint) == (1, "study: environment Faulty-v0 raised ValueError in step: no\n")


def test_a_limited_call_is_the_call_itself() -> None:
    limited = Limited(60)
    with np.errstate(over="ignore"):
        assert limited(lambda: np.geterr()["over"]) == "ignore"
    assert limited(int, "11", base=2) == 3
    with pytest.raises(ZeroDivisionError):
        limited(lambda: 1 // 0)
    limited.close()


def test_after_a_call_that_took_too_long_others_are_answered() -> None:
    limited = Limited(0.1)
    with pytest.raises(TookTooLongError, match=r"^0\.1 s$"):
        limited(time.sleep, 0.3)
    assert limited(lambda: 5) == 5
    time.sleep(0.3)  # the first answer comes now, and nobody waits for it
    assert limited(lambda: 6) == 6
    limited.close()


@pytest.mark.slow
def test_a_program_ends_though_an_environment_hangs(tmp_path: Path) -> None:
    (tmp_path / "stuck.py").write_text(
        "import time\n"
        "import gymnasium as gym\n"
        "from gymnasium.envs.classic_control.pendulum import PendulumEnv\n"
        "class Stuck(PendulumEnv):\n"
        "    def step(self, action):\n"
        "        time.sleep(1000)\n"
        "gym.register('Stuck-v0', Stuck, max_episode_steps=10)\n"
    )
    command = [
        sys.executable, "-m", "study", "train", *SMALL_OPTIONS, "--env-id", "stuck:Stuck-v0",
        "--step-timeout", "0.2", "--runs-dir", str(tmp_path),
    ]  # fmt: skip
    paths = os.pathsep.join([str(Path.cwd()), str(tmp_path)])
    ended = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths}, timeout=100
    )
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].endswith("failed: environment Stuck-v0 took longer than 0.2 s in step")
    (path,) = tmp_path.glob("*/summary.json")
    assert json.loads(path.read_text())["status"] == "failed"


def test_runs_that_fail_delay_neither_each_other_nor_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configs = [faulty_config(seed, precision="float32") for seed in (0, 1, 2)]
    for seed in (0, 1):
        let_act(seed, raising(ValueError("bad")), call=300 + seed)
    wandb_answers, updates = threading.Event(), 0

    def train_on(made: int) -> None:
        nonlocal updates
        updates += made
        if updates == 4:  # three runs made an update, and one made its last
            wandb_answers.set()

    def wait(_run: TrackedRun, _outcome: dict[str, Any]) -> None:
        assert wandb_answers.wait(timeout=60)
        assert RunStore(tmp_path).waiting(configs[:2]) == []

    monkeypatch.setattr(TrackedRun, "finish", wait)
    training.train(configs, tmp_path, "disabled", train_on)
    assert updates == 4
    assert wandb_answers.is_set()
    assert RunStore(tmp_path).waiting(configs) == []
