"""A limit on how long a call may take, in whatever thread it is made."""

import contextlib
import contextvars
import ctypes
import functools
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from agents.errors import TookTooLongError

Ended = SimpleQueue[tuple[Any, BaseException | None]]
"""Where a call's result is put, or what it raised."""

Calls = SimpleQueue[tuple[contextvars.Context, Callable[[], Any], Ended] | None]
"""What a thread is to call, in which context; None to end it."""


class Limited:
    """Calls functions in a thread of its own, with a limit on how long each may take."""

    def __init__(self, seconds: float) -> None:
        """Start the thread. A call may take `seconds`."""
        self._seconds = seconds
        self._begin()

    def __call__(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Call a function, and return or raise what it does.

        Raises:
            TookTooLongError: The call took longer. Its thread is abandoned, and doesn't keep the program from ending.
        """
        ended: Ended = SimpleQueue()
        # The context holds, for example, NumPy's settings for warnings.
        self._calls.put((contextvars.copy_context(), functools.partial(function, *arguments, **named), ended))
        try:
            result, error = ended.get(timeout=self._seconds)
        except Empty:
            self.close()
            _interrupt(self._thread)
            self._begin()
            raise TookTooLongError(f"{self._seconds:g} s") from None
        if error is not None:
            raise error
        return result

    def close(self) -> None:
        """End the thread, after what it calls now."""
        self._calls.put(None)

    def _begin(self) -> None:
        self._calls: Calls = SimpleQueue()
        self._thread = threading.Thread(target=_work, args=(self._calls,), daemon=True)
        self._thread.start()


def _work(calls: Calls) -> None:
    with contextlib.suppress(SystemExit):  # of `_interrupt`, where a call ended in that very moment
        while (call := calls.get()) is not None:
            context, function, ended = call
            try:
                ended.put((context.run(function), None))
            except BaseException as error:  # raised again by the thread that waits
                ended.put((None, error))


def _interrupt(thread: threading.Thread) -> None:
    """Raise in another thread, or else a loop in Python would still take time from all others. C code isn't stopped."""
    assert thread.ident is not None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))
