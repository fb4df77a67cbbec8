"""What needs Weights & Biases says at once that it can't be reached, or is offline."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import wandb

from reports import online, sources
from reports.online import find_problem
from reports.sources import UnreadableSourceError
from study.cli import main
from tests.helpers.wandb_server import WandbServer


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The client in this process, which reads its environment once."""
    wandb.teardown()
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    yield monkeypatch
    wandb.teardown()


@pytest.fixture
def server() -> Iterator[WandbServer]:
    with WandbServer() as server:
        yield server


@pytest.fixture
def nobody() -> Iterator[str]:
    """Have an address at which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


def test_a_server_that_cannot_be_reached_is_one_line(client: pytest.MonkeyPatch, nobody: str) -> None:
    client.setenv("WANDB_BASE_URL", nobody)
    client.setenv("WANDB_API_KEY", "k" * 40)
    began = time.monotonic()
    with pytest.raises(UnreadableSourceError) as error:
        sources.read("wandb:someone/project")
    host = nobody.removeprefix("http://")
    assert str(error.value).startswith(f"wandb:someone/project: {host} can't be reached (Connection refused); check")
    assert "\n" not in str(error.value)
    assert time.monotonic() - began < 10


def test_any_proxy_may_lead_to_the_server(client: pytest.MonkeyPatch, nobody: str, server: WandbServer) -> None:
    client.setenv("WANDB_BASE_URL", nobody)
    client.setenv("http_proxy", server.url)
    online.require_reachable("a report")
    assert find_problem(server.url, [nobody]) is None


def test_a_server_that_answers_slowly_is_reached_at_once(server: WandbServer) -> None:
    began = time.monotonic()
    with server.being("slow"):
        assert find_problem(server.url, []) is None
    assert time.monotonic() - began < 1.5  # it answers after 2 s


def test_a_name_server_that_is_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answer.wait() and [])
    monkeypatch.setattr(online, "SECONDS", 0.1)
    assert find_problem("https://api.wandb.ai", []) == "no connection in 0 s"
    answer.set()


@pytest.mark.parametrize(
    ("mode", "key", "problem"),
    [
        ("offline", "k" * 40, "not offline: set WANDB_MODE=online"),
        ("disabled", "k" * 40, "not disabled: set WANDB_MODE=online"),
        ("online", "", "and no key is configured: `wandb login`"),
    ],
)
def test_publishing_offline_is_refused_and_writes_nothing(
    tmp_path: Path,
    client: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    mode: str,
    key: str,
    problem: str,
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    client.chdir(folder)
    client.setenv("HOME", str(tmp_path))  # for the client's cache, and without a key
    client.delenv("NETRC", raising=False)
    client.setenv("WANDB_MODE", mode)
    client.setenv("WANDB_API_KEY", key)
    Path("runs.csv").write_text("condition,seed,outcome\na,0,1.0\nb,0,2.0\n")
    with pytest.raises(SystemExit) as end:
        main(["report", "runs.csv", "--outcome", "outcome", "--publish"])
    assert end.value.code == 2
    assert capsys.readouterr().err == f"study: publishing needs W&B online, {problem} (--publish)\n"
    assert [path.name for path in folder.iterdir()] == ["runs.csv"]
