"""`study work`."""

import dataclasses

from rich.console import Console
from tyro.conf import OmitArgPrefixes

from study.commands.shared import Workforce


@dataclasses.dataclass(frozen=True, kw_only=True)
class Work:
    """Join the studies of a storage, at any time and on any machine, until nothing of them is left to do."""

    name: str = ""
    """only the studies whose name begins so"""
    workforce: OmitArgPrefixes[Workforce] = dataclasses.field(default_factory=Workforce)

    def run(self) -> None:
        """Work."""
        self.workforce.check()
        with self.workforce.gather() as team:
            team.work(team.join(self.name), Console(stderr=True, soft_wrap=True))
