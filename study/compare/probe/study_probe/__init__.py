"""The probe, which watches one training process of anyone's, from inside it and without a change to it.

It imports the standard library alone, until the process itself imports torch or gymnasium, and runs on any Python from
3.9 on. It never raises in the process: its own errors are events of the recording.

- `settings`: what to watch, as `study compare` wants it.
- `recorder`: the files that are written.
- `importing`: calls that follow the import of a module.
- `optimizers`: torch's optimizers, by its global hooks.
- `environments`: gymnasium's environments, by wrapping what `make` returns.
- `tensors`: hashes, sketches and names of tensors.
- `controls`: perturbations of weights by one ULP, and weights of another run.
- `manual`: `watch`, for training without torch's optimizers.
"""

from __future__ import annotations

import atexit
import sys

from . import environments, importing, manual, optimizers
from .recorder import Recorder
from .settings import Settings


def start(text: str) -> None:
    """Watch this process, with settings in JSON."""
    try:
        settings = Settings.parse(text)
        recorder = Recorder(settings.folder)
        data = environments.Data(recorder, settings)
        steps = optimizers.Steps(recorder, settings, data)
        manual.begin(recorder, data)
        importing.call_after_import(
            {
                "torch": lambda torch: optimizers.watch(torch, steps),
                "gymnasium.envs.registration": lambda registration: environments.watch(registration, data),
            },
            on_error=recorder.error,
        )
        atexit.register(recorder.end)
    except Exception as error:  # the process is the user's: it continues unwatched
        print(f"study: this process isn't watched: {type(error).__name__}: {error}", file=sys.stderr)
