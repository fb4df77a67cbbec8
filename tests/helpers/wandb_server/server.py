"""HTTP: GraphQL, the file stream and uploads; and the ways in which a server can be away."""

import contextlib
import gzip
import json
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self

from tests.helpers.wandb_server.api import Api, NotFoundError
from tests.helpers.wandb_server.graphql import execute
from tests.helpers.wandb_server.store import Run, Store

Mood = Literal["fine", "drop", "error", "slow"]
"""To answer, to hang up, to say 500, or to think for a while and then answer."""

SLOWNESS = 2.0
"""Seconds that a slow server thinks."""


class WandbServer:
    """A server at `url`, until it is closed."""

    def __init__(self) -> None:
        self.store = Store()
        self.mood: Mood = "fine"
        self.operations: Counter[str] = Counter()
        """how often what was asked, by GraphQL's names and HTTP's"""
        self.lock = threading.Lock()
        server = self

        class Handler(_Handler):
            wandb = server

        self._http = _Http(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self.api = Api(self.store, self.url)
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()

    @contextlib.contextmanager
    def being(self, mood: Mood) -> Iterator[None]:
        """For a while, a server of that mood."""
        self.mood = mood
        try:
            yield
        finally:
            self.mood = "fine"

    def forget(self, entity: str, project: str, run: str) -> None:
        """Delete a run, as a user might, whatever it is doing."""
        with self.lock:
            del self.store.project(entity, project).runs[run]

    def runs(self, project: str, entity: str = "someone") -> list[Run]:
        """A project's runs, oldest first."""
        with self.lock:
            return list(self.store.project(entity, project).runs.values())

    def close(self) -> None:
        """Stop listening."""
        self._http.shutdown()
        self._http.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Nothing: a client may hang up."""


class _Handler(BaseHTTPRequestHandler):
    wandb: WandbServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = self._body()
        if self._is_away():
            return
        try:
            with self.wandb.lock:
                if self.path == "/graphql":
                    self._answer(200, {"data": self._execute(json.loads(body))})
                elif self.path.endswith("/file_stream"):
                    self._answer(200, self._stream(json.loads(body)))
                else:
                    raise NotFoundError(self.path)
        except NotFoundError as error:
            self._answer(404, {"errors": [{"message": f"{error} not found"}]})
        except Exception as error:
            self._answer(400, {"errors": [{"message": repr(error)}]})

    def do_PUT(self) -> None:
        body = self._body()
        if self._is_away():
            return
        with self.wandb.lock:
            place, name = self._place()
            self.wandb.operations["upload"] += 1
            place[name] = body
        self._answer(200, {})

    def do_GET(self) -> None:
        if self._is_away():
            return
        with self.wandb.lock:
            place, name = self._place()
            self.wandb.operations["download"] += 1
        self._send(200 if name in place else 404, place.get(name, b""))

    def _execute(self, request: dict[str, Any]) -> dict[str, Any]:
        answer = execute(request["query"], request.get("variables") or {}, self.wandb.api.root())
        self.wandb.operations[request.get("operationName") or next(iter(answer))] += 1
        return answer

    def _stream(self, request: dict[str, Any]) -> dict[str, Any]:
        """A run's process speaks: rows of its history, its summary, its console, and at last its exit code."""
        _, entity, project, name, _ = urllib.parse.unquote(self.path).strip("/").split("/")
        run = self.wandb.store.project(entity, project).runs.get(name)
        if run is None:
            raise NotFoundError(f"run {name}")
        self.wandb.operations["file_stream"] += 1
        run.heard = time.monotonic()
        for file, chunk in (request.get("files") or {}).items():
            start, lines = chunk["offset"], chunk["content"]
            if file == "wandb-history.jsonl":
                run.history[start : start + len(lines)] = lines
            elif file == "wandb-summary.json":
                run.summary = json.loads(lines[-1])
            elif file == "output.log":
                run.console[start : start + len(lines)] = lines
        if request.get("complete"):
            run.exit_code = request.get("exitcode", 0)
        return {"limits": {}}

    def _place(self) -> tuple[dict[str, bytes], str]:
        """Where a file is kept, and its name there."""
        kind, *rest = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path).strip("/").split("/")
        if kind == "storage":
            entity, project, run, *path = rest
            return self.wandb.store.project(entity, project).runs[run].files, "/".join(path)
        artifact, *path = rest
        return self.wandb.store.artifacts[artifact].files, "/".join(path) or "manifest"

    def _is_away(self) -> bool:
        """Whether the request gets no proper answer; a slow server's comes late."""
        mood = self.wandb.mood
        if mood == "drop":
            self.close_connection = True
        elif mood == "error":
            self._answer(500, {"errors": [{"message": "out of order"}]})
        elif mood == "slow":
            time.sleep(SLOWNESS)
        return mood in ("drop", "error")

    def _body(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        self._send(status, json.dumps(content).encode())

    def _send(self, status: int, body: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002
        """Nothing: what was asked is in `operations`."""
