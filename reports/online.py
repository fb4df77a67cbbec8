"""Whether Weights & Biases can be used: its client tries for a minute before it gives up."""

import queue
import socket
import threading
import urllib.parse
import urllib.request
from collections.abc import Sequence
from typing import Any

from reports.errors import UnreadableSourceError, in_one_line

SECONDS = 12.0
"""Time in which a server, or a proxy, accepts a connection. How long it takes to answer doesn't count."""
SECONDS_OF_AN_ADDRESS = 4.0
"""Time for one of a server's addresses: where IPv6 leads nowhere, IPv4 has its turn."""
PORTS = {"https": 443}
"""Of addresses that name none, by scheme; any other's is 80."""
OFFLINE = ("offline", "dryrun", "disabled")
"""The client's modes in which it sends nothing."""


def require_reachable(needs: str) -> None:
    """Check that the client's server, or a proxy, accepts connections.

    Args:
        needs: What needs W&B: the beginning of an error.

    Raises:
        UnreadableSourceError: Neither does, or the client's settings can't be read.
    """
    settings = _settings(needs)
    own = [settings.https_proxy, settings.http_proxy]
    everyones = urllib.request.getproxies()
    proxies = [proxy for proxy in (*own, *map(everyones.get, ("https", "http", "all"))) if proxy]
    problem = find_problem(settings.base_url, proxies)
    if problem:
        host = urllib.parse.urlsplit(settings.base_url).netloc.rpartition("@")[2]
        raise UnreadableSourceError(
            f"{needs}: {host} can't be reached ({problem}); check the network, the proxy and WANDB_BASE_URL"
        )


def require_online() -> None:
    """Check that a report can be published: W&B isn't offline, has a key, and can be reached.

    Raises:
        UnreadableSourceError: One of these doesn't hold.
    """
    import wandb

    needs = "publishing needs W&B online"
    mode = _settings(needs).mode
    if mode in OFFLINE:
        raise UnreadableSourceError(f"{needs}, not {mode}: set WANDB_MODE=online", parameter="publish")
    if not wandb.login(prompt=False, verify=False):
        raise UnreadableSourceError(f"{needs}, and no key is configured: `wandb login`", parameter="publish")
    require_reachable(needs)


def _settings(needs: str) -> Any:
    """Return the client's settings, from the environment and its files."""
    import wandb

    try:
        return wandb.setup().settings
    except (OSError, ValueError, wandb.Error) as error:
        raise UnreadableSourceError(f"{needs}: W&B can't be used: {in_one_line(error)}") from error


def find_problem(url: str, proxies: Sequence[str]) -> str | None:
    """Return why none of a server and its proxies accepts a connection; None where one does.

    Any proxy will do: which one the client takes, and for which hosts, is the client's own rule.

    Args:
        url: The server's address.
        proxies: The addresses of proxies.
    """
    found: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    # A name server that doesn't answer can't be given a time: the thread is left behind.
    threading.Thread(target=lambda: found.put(_connect([*proxies, url])), daemon=True).start()
    try:
        return found.get(timeout=SECONDS)
    except queue.Empty:
        return f"no connection in {SECONDS:.0f} s"


def _connect(urls: Sequence[str]) -> str | None:
    """Return why the last of the addresses doesn't accept a connection; None once one does."""
    problem = None
    for url in urls:
        try:
            parts = urllib.parse.urlsplit(url if "//" in url else f"//{url}")
            port = parts.port or PORTS.get(parts.scheme, 80)
            socket.create_connection((parts.hostname or "", port), SECONDS_OF_AN_ADDRESS).close()
        except (OSError, ValueError) as error:
            problem = (error.strerror if isinstance(error, OSError) else None) or str(error)
        else:
            return None
    return problem
