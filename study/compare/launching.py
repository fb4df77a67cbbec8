"""Runs of arms: each in a process and a folder of its own, under the probe."""

import concurrent.futures
import contextlib
import dataclasses
import functools
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from study.compare.arms import Arm
from study.compare.recordings import Recording
from study.errors import ConfigError
from study.store.files import write_atomically

PROBE = Path(__file__).parent / "probe"
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
"""Environment variables of a run, which its arm may overrule: several runs share the machine."""
SECONDS_TO_END = 5.0
"""Seconds that a run may take to end, after a signal, before it is killed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shared:
    """The option that all arms begin with the first arm's weights.

    Attributes:
        rename: Pairs of beginnings of tensors' names: another arm's, and the first arm's.
    """

    rename: Sequence[tuple[str, str]] = ()

    def asked(self, weights: Path) -> dict[str, Any]:
        """Return the probe's settings that give a run the weights of a recording."""
        return {"weights": str(weights.resolve()), "rename": [list(pair) for pair in self.rename]}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """One run that is wanted.

    Attributes:
        arm: The arm that is run.
        seed: Its seed.
        kind: "plain", or the name of what is done to the run. Its folder is `s{seed}-{kind}`.
        watch: The probe's settings, beside the folder.
    """

    arm: Arm
    seed: int
    kind: str
    watch: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ended:
    """A run that has ended.

    Attributes:
        job: The run that was wanted.
        folder: Its folder.
        exit_code: 0 for success.
        seconds: Wall time that it took.
    """

    job: Job
    folder: Path
    exit_code: int
    seconds: float

    @functools.cached_property
    def recording(self) -> Recording:
        """Return what the probe wrote."""
        return Recording(self.folder / "watch")

    @property
    def last_line(self) -> str:
        """Return the last line that the run wrote to stderr, or else to stdout."""
        for name in ("stderr.txt", "stdout.txt"):
            lines = (self.folder / name).read_text(encoding="utf-8", errors="replace").strip().splitlines()
            if lines:
                return lines[-1].strip()
        return "it wrote nothing"


class Launcher:
    """Runs jobs in parallel, each once: a run that has ended before is read from its folder.

    Args:
        folder: The folder that holds a folder for each arm.
        workers: Number of runs at once.
        on_end: Called with each run that has ended, from any thread.
        repeat: Whether to run again what failed, and what has another program, command or options now. Otherwise a
            failure is an outcome, and a changed program, command or option is refused.
    """

    def __init__(
        self,
        folder: Path,
        workers: int,
        on_end: Callable[[Ended], None] = lambda _: None,
        repeat: bool = False,
    ) -> None:
        self._folder, self._workers, self._on_end = folder, workers, on_end
        self._repeat = repeat
        self._here = Path.cwd()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._interrupted = threading.Event()

    def run(self, jobs: Sequence[Job]) -> list[Ended]:
        """Run jobs, and return how each ended, in their order.

        Raises:
            ConfigError: A command can't be begun, or a folder has another's run.
        """
        with concurrent.futures.ThreadPoolExecutor(self._workers) as pool:
            futures = [pool.submit(self._run, job) for job in jobs]
            try:
                return [future.result() for future in futures]
            except BaseException:
                self._interrupted.set()
                pool.shutdown(wait=False, cancel_futures=True)
                for process in list(self._running):
                    _end(process)
                raise

    def _run(self, job: Job) -> Ended:
        folder = self._folder / job.arm.name / f"s{job.seed}-{job.kind}"
        described = json.loads(json.dumps({**job.arm.describe(), "seed": job.seed, "watch": dict(job.watch)}))
        if (there := self._find(job, folder, described)) is not None:
            return there
        # Another process may have been killed while its run still runs: that run keeps a folder of its own.
        unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
        (unfinished / "watch").mkdir(parents=True)
        try:
            exit_code, seconds = self._train(job, unfinished)
            ended = {"exit_code": exit_code, "seconds": seconds, "run": described}
            write_atomically(unfinished / "ended.json", json.dumps(ended).encode())
            shutil.rmtree(folder, ignore_errors=True)
            unfinished.rename(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        result = Ended(job=job, folder=folder, exit_code=exit_code, seconds=seconds)
        self._on_end(result)
        return result

    def _find(self, job: Job, folder: Path, described: Mapping[str, Any]) -> Ended | None:
        """Return a run that has ended before; None where it is to be run."""
        there = _read_ended(folder)
        if there is None:
            return None
        if there["run"] != described and self._repeat:
            return None
        if there["run"] != described:
            raise ConfigError(f"{folder} has a run of another command or of other options: use another folder")
        ended = Ended(job=job, folder=folder, exit_code=there["exit_code"], seconds=there["seconds"])
        changed = Recording(folder / "watch").changed_sources  # not `ended.recording`, which would be kept in memory
        if self._repeat and (changed or ended.exit_code):
            return None
        if not changed:
            return ended
        raise ConfigError(
            f"{folder} has a run of another {changed[0].name}, which has changed since: use another folder"
        )

    def _train(self, job: Job, folder: Path) -> tuple[int, float]:
        if self._interrupted.is_set():
            raise KeyboardInterrupt
        began = time.monotonic()
        with (folder / "stdout.txt").open("wb") as out, (folder / "stderr.txt").open("wb") as err:
            try:
                process = subprocess.Popen(
                    job.arm.words(job.seed, self._here),
                    cwd=job.arm.cwd or folder,
                    env=self._environment(job, folder),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    start_new_session=True,
                )
            except OSError as error:
                raise ConfigError(f"arm {job.arm.name} can't be begun: {error.strerror}: {error.filename}") from error
            with self._listed(process):
                if self._interrupted.is_set():  # it may have been begun after all that were listed had been ended
                    _end(process)
                exit_code = process.wait()
        if self._interrupted.is_set():
            raise KeyboardInterrupt
        return exit_code, time.monotonic() - began

    @contextlib.contextmanager
    def _listed(self, process: "subprocess.Popen[bytes]") -> Iterator[None]:
        self._running.add(process)
        try:
            yield
        finally:
            self._running.discard(process)

    def _environment(self, job: Job, folder: Path) -> dict[str, str]:
        own = job.arm.environment(job.seed)
        search = [str(PROBE), *filter(None, [own.get("PYTHONPATH"), os.environ.get("PYTHONPATH")]), str(self._here)]
        return {
            **ONE_THREAD,
            **os.environ,
            **own,
            "PYTHONPATH": os.pathsep.join(search),
            "STUDY_WATCH": json.dumps({"folder": str(folder.resolve() / "watch"), **job.watch}),
        }


def _read_ended(folder: Path) -> dict[str, Any] | None:
    path = folder / "ended.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a run and all processes that it began."""
    for sent in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sent)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=SECONDS_TO_END)
            return
