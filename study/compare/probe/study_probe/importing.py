"""Functions that are called after the import of a module."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from types import ModuleType
from typing import Any, Callable, Mapping

OnError = Callable[[str, BaseException], None]


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, callbacks: Mapping[str, Callable[[Any], None]], on_error: OnError) -> None:
        self._callbacks = dict(callbacks)
        self._on_error = on_error

    def find_spec(self, name: str, *_: Any) -> importlib.machinery.ModuleSpec | None:
        """Return the module's spec as others find it, with a loader that calls the function after execution."""
        callback = self._callbacks.pop(name, None)
        if callback is None:
            return None
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            try:
                callback(module)
            except Exception as error:
                self._on_error(name, error)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def call_after_import(callbacks: Mapping[str, Callable[[Any], None]], on_error: OnError) -> None:
    """Register functions, by the names of modules, that are called with a module after its import.

    Args:
        callbacks: By name, the function.
        on_error: Called with the module's name and what the function raised.
    """
    sys.meta_path.insert(0, _Finder(callbacks, on_error))
