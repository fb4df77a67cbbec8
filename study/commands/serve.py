"""`study serve`."""

import dataclasses

from tyro.conf import Positional


@dataclasses.dataclass(frozen=True, kw_only=True)
class Serve:
    """Let many workers share a storage's few connections: they take `--storage grpc://HOST:PORT`. Only for networks
    that you trust: it asks nobody who they are.
    """

    storage: Positional[str]
    """the storage to serve, such as postgresql://USER@HOST/DATABASE"""
    host: str = "localhost"
    """the address to listen at; 0.0.0.0 for all"""
    port: int = 13000
    """the port to listen at"""

    def run(self) -> None:
        """Serve until interrupted."""
        from study.cells import MistakeError
        from study.queueing.storages import Storage, serve

        if not 1 <= self.port <= 65535:
            raise MistakeError(f"--port must be between 1 and 65535, not {self.port}")
        if self.storage.startswith(("journal:", "grpc:")):
            raise MistakeError(f"storage {self.storage} must be a database: Optuna's proxy can serve no other")
        serve(Storage(self.storage), self.host, self.port)
