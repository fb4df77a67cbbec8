"""Calls that follow the import of a module."""

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
        """Find the module as others would, and have its execution followed by the call."""
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
    """Call a function with a module after that was imported, by the module's name."""
    sys.meta_path.insert(0, _Finder(callbacks, on_error))
