"""Workers that a scheduler has, by the scripts of docs/clusters: the same bits, whatever ends, and wherever it ran."""

import contextlib
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.helpers.paths import ROOT
from tests.helpers.sweeps import LONG, Study, endings, is_in_the_middle, wait_for, write_sweep

pytestmark = pytest.mark.slow

SCRIPTS = ROOT / "docs" / "clusters"


class Cluster:
    """A scheduler and workers, each a process group that can be ended."""

    def __init__(self, folder: Path) -> None:
        self.tls = folder / "tls"
        self.local = folder / "local"
        self.environment: dict[str, str] = {}
        self._folder = folder
        self._begun: list[subprocess.Popen[bytes]] = []
        subprocess.run([SCRIPTS / "certificates.sh", self.tls], check=True, capture_output=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.address = f"tls://127.0.0.1:{self._port}"

    @property
    def options(self) -> list[str]:
        """What `study` takes to reach it."""
        return ["--scheduler", self.address, "--tls", str(self.tls)]

    def begin_scheduler(self, host: str = "127.0.0.1") -> "subprocess.Popen[bytes]":
        """Begin a scheduler, always at the same port."""
        return self._begin(
            SCRIPTS / "scheduler.sh", self.tls, self._folder / "scheduler.json", "--host", host,
            "--port", str(self._port),
        )  # fmt: skip

    def begin(self, script: str, *options: str | Path) -> "subprocess.Popen[bytes]":
        """Begin another script, for the same scheduler."""
        return self._begin(SCRIPTS / script, self.tls, self.address, *options)

    def begin_worker(self, unseen: Path | None = None) -> "subprocess.Popen[bytes]":
        """Begin a worker, with files of its own in `local`; a folder may be one that it doesn't see."""
        hide: list[str | Path] = []
        if unseen:
            hide = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', unseen]
        return self._begin(*hide, SCRIPTS / "workers.sh", self.tls, self.address, "--local-directory", self.local)

    def _begin(self, *command: str | Path) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            list(map(str, command)),
            start_new_session=True,
            cwd=ROOT,
            env={
                **os.environ,
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                "WORKERS": "1",
                "WANDB_MODE": "disabled",
                **self.environment,
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._begun.append(process)
        return process

    def close(self) -> None:
        """End all that was begun."""
        for process in self._begun:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path)
    yield cluster
    cluster.close()


def test_a_scheduler_that_is_killed_is_waited_for(tmp_path: Path, cluster: Cluster, undisturbed: Path) -> None:
    scheduler = cluster.begin_scheduler()
    cluster.begin_worker()
    sweep = Study("sweep", write_sweep(tmp_path, **LONG), *cluster.options, "--cohort", "4", runs=tmp_path / "runs")
    sweep.wait_until_in_the_middle()
    cluster.begin("slurm.sh")  # a worker that joins late
    scheduler.kill()
    scheduler.wait()
    cluster.begin_scheduler()
    returned, said = sweep.end()
    assert (returned, "Traceback" in said) == (0, False), said
    assert f"scheduler {cluster.address} can't be reached: waiting for it" in said
    assert endings(tmp_path / "runs") == endings(undisturbed)


def report(runs: Path) -> dict[str, bytes]:
    """Return the files of a report on a run store, but for what differs each time: what its runs cost."""
    for cost in runs.glob("*/cost.json"):
        cost.unlink()
    command = [sys.executable, "-m", "study", "report", "runs", "-o", "report"]
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS.parent.parent)}
    subprocess.run(command, cwd=runs.parent, env=environment, check=True, capture_output=True)
    return {path.name: path.read_bytes() for path in (runs.parent / "report").iterdir()}


@pytest.mark.skipif(shutil.which("unshare") is None or os.geteuid() != 0, reason="only root can hide a folder")
def test_runs_come_back_without_a_common_filesystem(tmp_path: Path, cluster: Cluster, undisturbed: Path) -> None:
    runs = tmp_path / "store" / "runs"
    runs.parent.mkdir()
    cluster.begin_scheduler()
    remote = cluster.begin_worker(unseen=runs.parent)
    limit = (20_000, 20_000)  # no file that the driver writes may become larger
    full = Study(
        "sweep", write_sweep(tmp_path, **LONG), *cluster.options, runs=runs,
        preexec=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
    )  # fmt: skip
    returned, said = full.end()
    assert (returned, "Traceback" in said) == (1, False), said
    assert "12 runs have no outcome: " in said
    assert "can't be written: File too large" in said
    sweep = Study("sweep", write_sweep(tmp_path, **LONG), *cluster.options, "--cohort", "4", runs=runs)
    wait_for("a cohort to come back", lambda: len(endings(runs)) >= 4)
    assert not any(runs.glob("*/checkpoint"))
    wait_for("the middle of the next", lambda: any(map(is_in_the_middle, cluster.local.rglob("history.jsonl"))))
    remote.terminate()  # as on a machine that is preempted
    wait_for("checkpoints to come back", lambda: any(runs.glob("*/checkpoint")))
    cluster.begin_worker(unseen=runs.parent)
    returned, said = sweep.end()
    assert (returned, "Traceback" in said) == (0, False), said
    assert endings(runs) == endings(undisturbed)
    assert report(runs) == report(undisturbed)


def test_a_scheduler_that_cannot_be_used_is_one_line(tmp_path: Path, cluster: Cluster) -> None:
    cluster.begin_scheduler()
    wait_for("the scheduler", (tmp_path / "scheduler.json").exists)
    certificates = str(Cluster(tmp_path / "other").tls)
    refusals = [
        (["--scheduler", cluster.address], f"scheduler {cluster.address} asks for certificates: give the folder"),
        (["--scheduler", cluster.address, "--tls", certificates], "can't be used: TLS certificate does not match"),
        (
            ["--scheduler", cluster.address, "--tls", str(tmp_path)],
            "ca.pem isn't there: TLS needs ca.pem, cert.pem and",
        ),
        (["--scheduler", "tcp://127.0.0.1:1"], "scheduler tcp://127.0.0.1:1 can't be used: Timed out"),
        (["--scheduler", "nowhere.json"], "scheduler file nowhere.json can't be read: No such file or directory"),
        (["--scheduler", __file__], f"{__file__} isn't a file that a Dask scheduler wrote"),
    ]
    sweep = write_sweep(tmp_path)
    for study, words in [(Study("sweep", sweep, *given, runs=tmp_path / "runs"), words) for given, words in refusals]:
        returned, said = study.end()
        assert returned == 2
        assert words in said.splitlines()[-1]
        assert len(said.splitlines()) == 2


def answers_http(host: str, port: int) -> bool:
    with socket.create_connection((host, port), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with contextlib.suppress(OSError):
            return connection.recv(5) == b"HTTP/"
    return False


def connections_of(process: psutil.Process) -> list[Any]:
    with contextlib.suppress(psutil.NoSuchProcess):  # a shell's, that has ended meanwhile
        return process.net_connections("tcp")
    return []


def test_only_tls_listens_beyond_this_machine(cluster: Cluster) -> None:
    scheduler = cluster.begin_scheduler("0.0.0.0")
    workers = cluster.begin_worker()

    def listening() -> dict[int, list[tuple[str, int]]]:
        found = {}
        for begun in (scheduler, workers):
            processes = [psutil.Process(begun.pid), *psutil.Process(begun.pid).children(recursive=True)]
            found[begun.pid] = [
                (connection.laddr.ip, connection.laddr.port)
                for process in processes
                for connection in connections_of(process)
                if connection.status == psutil.CONN_LISTEN
            ]
        return found

    wait_for("two ports each", lambda: all(len(ports) >= 2 for ports in listening().values()))
    for ports in listening().values():
        assert any(answers_http(*port) for port in ports)
        assert not any(answers_http(*port) for port in ports if port[0] != "127.0.0.1")


SSH = """#!{python}
import os, pty, signal, sys
child, terminal = pty.fork()
if child == 0:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup's children ignore it, and no shell can trap it then
    os.execvp("sh", ["sh", "-c", sys.argv[-1]])
signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # the terminal is closed, and what runs in it sees that
while os.read(terminal, 1024):
    pass
"""


def test_workers_by_ssh_end_with_the_script_and_checkpoint(tmp_path: Path, cluster: Cluster) -> None:
    stand_in = tmp_path / "bin" / "ssh"
    stand_in.parent.mkdir()
    stand_in.write_text(SSH.format(python=sys.executable))
    stand_in.chmod(0o755)
    cluster.environment["PATH"] = os.pathsep.join(
        [str(stand_in.parent), str(Path(sys.executable).parent), os.environ["PATH"]]
    )
    cluster.begin_scheduler()
    script = cluster.begin("ssh.sh", "machine")
    runs = tmp_path / "runs"
    sweep = Study("sweep", write_sweep(tmp_path, **LONG), *cluster.options, runs=runs)
    sweep.wait_until_in_the_middle()
    began = psutil.Process(script.pid).children(recursive=True)
    assert any("dask" in " ".join(process.cmdline()) for process in began)
    script.terminate()
    script.wait(timeout=60)
    _, left = psutil.wait_procs(began, timeout=60)
    assert not left
    assert any(runs.glob("*/checkpoint"))
    sweep.process.kill()
    sweep.end()
