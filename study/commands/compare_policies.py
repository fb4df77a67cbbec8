"""`study compare-policies`."""

import dataclasses
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import FlagCreatePairsOff, Positional

from study.commands.compare import Repeated, read_renames
from study.errors import ConfigError

if TYPE_CHECKING:
    from study.policies import Policy


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComparePolicies:
    """Compare two policies without training: the same distribution, up to rounding, or different, and in what.

    Exit code 0: the same. 1: different.
    """

    a: Positional[str]
    """FILE.py:NAME, a `study.policies.Policy`, or a torch module whose forward returns a distribution"""
    b: Positional[str]
    """the other"""
    observation_size: int
    """the length of an observation"""
    action_size: int
    """the length of an action"""
    bounded: FlagCreatePairsOff[bool] = False
    """whether actions lie within -1 and 1, by a tanh; for modules"""
    rename: Repeated = ()
    """NEW=OLD,...: beginnings of names of parameters, the other's and the first's"""

    def run(self) -> None:
        """Load both, compare them, and print what sets them apart.

        Raises:
            ConfigError: One of them isn't a policy.
            SystemExit: With exit code 0 if they are the same, and 1 if not.
        """
        if min(self.observation_size, self.action_size) < 1:
            raise ConfigError("--observation-size and --action-size must be at least 1")
        one, other = (self._load(text) for text in (self.a, self.b))
        from study.policies import compare

        rename = dict(read_renames(self.rename))
        sizes = {"observation_size": self.observation_size, "action_size": self.action_size}
        compared = compare(one, other, **sizes, rename=rename)
        print(compared)
        sys.exit(0 if compared.are_same else 1)

    def _load(self, text: str) -> "Policy":
        from torch import nn

        from study.policies import Policy, from_module

        path, _, name = text.rpartition(":")
        found = getattr(_import(Path(path), text), name, None)
        if isinstance(found, Policy):
            return found
        if isinstance(found, nn.Module):
            return from_module(found, bounded=self.bounded)
        kind = "nothing" if found is None else f"a {type(found).__name__}"
        raise ConfigError(f"{text} must be a study.policies.Policy or a torch module, and is {kind}")


def _import(path: Path, text: str) -> Any:
    if path.suffix != ".py" or not path.is_file():
        raise ConfigError(f"{text} must be FILE.py:NAME of a file that is there")
    spec = importlib.util.spec_from_file_location(f"policy_of_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ConfigError(f"{path} can't be imported: {type(error).__name__}: {error}") from error
    return module
