"""Torch's optimizers without its compiler: import this before one is made, in a program that compiles nothing.

The first optimizer that a process makes imports the compiler, which takes longer than torch, and which is asked for
nothing but to leave the optimizer's functions as they are. Nor is what torch made searched for garbage at the end.
"""

import atexit
import gc
import sys
import types
from typing import Any


class _Compiler(types.ModuleType):
    """What optimizers ask of `torch._dynamo`. Anything else isn't here, and asking for it fails."""

    @staticmethod
    def disable(function: Any, *_: object, **__: object) -> Any:
        return function

    @staticmethod
    def graph_break() -> None: ...


sys.modules["torch._dynamo"] = _Compiler("torch._dynamo")
atexit.register(gc.freeze)
