"""Optimizers: weights and gradients at each step, as hashes and sketches, and a few steps whole."""

from __future__ import annotations

import hashlib
import os
import random
import sys
from typing import Any, Sequence

from . import controls, tensors
from .environments import Data
from .recorder import Recorder
from .settings import Settings

MOST_WHOLE = 2_000_000
"""The most weights of an optimizer that are kept whole."""
GROWTH = 1.05
"""The ratio between the numbers of steps that are recorded after the first ones."""


class Steps:
    """The steps of all optimizers of this process."""

    def __init__(self, recorder: Recorder, settings: Settings, data: Data) -> None:
        self.recorder, self.settings, self.data = recorder, settings, data
        self._watched: dict[int, Watched] = {}
        self._constructed = 0
        self._perturbed = False
        self._generator: Any = None

    @property
    def is_last(self) -> bool:
        """Return whether this is the step after which the process ends."""
        return self.recorder.optimizer_steps == self.settings.stop - 1

    def begin(self, torch: Any) -> None:
        """Set torch's precision and seed the control's random numbers, after torch's import."""
        if self.settings.double:
            compute_in_double(torch)
        self._generator = torch.Generator().manual_seed(self.settings.control_seed)
        self.data.on_first_step.append(lambda: self.recorder.write("random", states=random_states()))

    def on_construction(self, optimizer: Any) -> None:
        """Give an optimizer's parameters another run's weights, or perturb them, before the first step."""
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        if self.settings.weights:
            names = tensors.names_of(parameters)
            try:
                taken = controls.take_weights(parameters, names, self._constructed, self.settings)
                self.recorder.write("taken", optimizer=self._constructed, names=taken)
            except controls.NoCounterpartError as error:
                self.recorder.write("refused", optimizer=self._constructed, reason=str(error))
        self._constructed += 1
        if self.settings.control == "initial":
            controls.jitter(parameters, self._generator)

    def before_step(self, optimizer: Any, *_: Any) -> None:
        """Record gradients, and perturb a weight before the first step."""
        watched = self._watched.get(id(optimizer))
        if watched is None:
            watched = self._watched[id(optimizer)] = Watched(optimizer, len(self._watched), self)
        watched.before_step()
        if self.settings.control == "one_ulp" and not self._perturbed:
            moved = controls.perturb_one(watched.parameters, self.settings.control_seed)
            if moved is not None:
                self._perturbed = True
                tensor, index, before, after = moved
                self.recorder.write("perturbed", tensor=watched.names[tensor], index=index, before=before, after=after)

    def after_step(self, optimizer: Any, *_: Any) -> None:
        """Record weights, and perturb them all."""
        watched = self._watched[id(optimizer)]
        if self.settings.control in ("jitter", "initial"):
            controls.jitter(watched.parameters, self._generator)
        watched.after_step(self.recorder.optimizer_steps + 1)
        self.recorder.optimizer_steps += 1
        if self.settings.stop and self.recorder.optimizer_steps >= self.settings.stop:
            self.recorder.end(stopped=True)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)


class Watched:
    """One optimizer that is watched."""

    def __init__(self, optimizer: Any, number: int, steps: Steps) -> None:
        self._optimizer, self.number, self._steps = optimizer, number, steps
        self.parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        self.names = tensors.names_of(self.parameters)
        self._count, self._next = 0, 1
        self._settings: dict[str, Any] = {}
        self._before: tuple[Any, Any] | None = None
        self._describe()

    def _describe(self) -> None:
        import torch

        event = {
            "number": self.number,
            "type": type(self._optimizer).__name__,
            "names": self.names,
            "shapes": [list(parameter.shape) for parameter in self.parameters],
            "dtypes": sorted({str(parameter.dtype) for parameter in self.parameters}),
            "threads": torch.get_num_threads(),
            "groups": [len(group["params"]) for group in self._optimizer.param_groups],
            "hashes": [tensors.hash_of(parameter) for parameter in self.parameters],
            "sketches": [tensors.sketch(parameter) for parameter in self.parameters],
            "records": self._steps.data.counts,
        }
        self._steps.recorder.write("optimizer", whole=os.path.basename(self._whole_path(1)), **event)

    def before_step(self) -> None:
        """Hash the gradients, if this step is recorded."""
        self._count += 1
        if not self._is_recorded():
            return
        gradients = [_gradient(parameter) for parameter in self.parameters]
        self._hashes = [tensors.hash_of(gradient) for gradient in gradients]
        self._sketches = [tensors.sketch(gradient) for gradient in gradients]
        if self._is_whole():
            self._before = self._whole(self.parameters), self._whole(gradients)
        self._settings_now = self._read_settings()
        self._random = random_states()

    def after_step(self, step: int) -> None:
        """Write the step, if it is recorded."""
        if not self._is_recorded():
            return
        if self._count >= self._next:
            self._next = max(self._count + 1, int(self._count * GROWTH))
        event = {
            "step": step,
            "optimizer": self.number,
            "count": self._count,
            "records": self._steps.data.counts,
            "random": self._random,
            "gradients": self._hashes,
            "gradient_sketches": self._sketches,
            "parameters": [tensors.hash_of(parameter) for parameter in self.parameters],
            "parameter_sketches": [tensors.sketch(parameter) for parameter in self.parameters],
        }
        if self._settings_now != self._settings:
            event["settings"] = self._settings = self._settings_now
        if self._before is not None:
            self._keep_whole()
        self._steps.recorder.write("step", **event)

    def _is_recorded(self) -> bool:
        return self._count >= self._next or self._steps.settings.records_all(self._count) or self._steps.is_last

    def _is_whole(self) -> bool:
        return self._count in self._steps.settings.whole and sum(p.numel() for p in self.parameters) <= MOST_WHOLE

    def _whole_path(self, count: int) -> str:
        return self._steps.recorder.path(f"whole-{self.number}-{count}.npz")

    def _keep_whole(self) -> None:
        import numpy

        assert self._before is not None
        before, gradient = self._before
        self._before = None
        with open(self._whole_path(self._count), "wb") as file:
            numpy.savez(file, before=before, gradient=gradient, after=self._whole(self.parameters))

    @staticmethod
    def _whole(group: Sequence[Any]) -> Any:
        import numpy

        return numpy.concatenate([tensors.numbers(tensor) for tensor in group])

    def _read_settings(self) -> dict[str, Any]:
        """Return the settings of the optimizer's groups of parameters, as plain values: by name, and by group."""
        plain = (int, float, bool, str, tuple, list, type(None))
        found = {}
        for number, group in enumerate(self._optimizer.param_groups):
            for key, value in group.items():
                value = float(value) if hasattr(value, "dim") else value
                if key != "params" and isinstance(value, plain):
                    found[f"{key} of group {number}" if number else key] = value
        return found


def _gradient(parameter: Any) -> Any:
    """Return a parameter's gradient, dense; zeros without one."""
    if parameter.grad is None:
        return parameter.new_zeros(parameter.shape)
    return parameter.grad.to_dense() if parameter.grad.is_sparse else parameter.grad


def watch(torch: Any, steps: Steps) -> None:
    """Watch all optimizers from here on."""
    steps.begin(torch)
    module = sys.modules["torch.optim.optimizer"]  # `torch.optim` hides it by a name of its own
    module.register_optimizer_step_pre_hook(steps.recorder.safely(steps.before_step))
    module.register_optimizer_step_post_hook(steps.recorder.safely(steps.after_step))
    construct = module.Optimizer.__init__
    on_construction = steps.recorder.safely(steps.on_construction)

    def watched_construct(self: Any, *arguments: Any, **options: Any) -> None:
        construct(self, *arguments, **options)
        on_construction(self)

    module.Optimizer.__init__ = watched_construct


def compute_in_double(torch: Any) -> None:
    """Make torch compute in float64, also where a program casts to float: for controls, not for runs that count."""
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double


def random_states() -> dict[str, str]:
    """Return a hash of the state of each global random generator."""
    import torch

    states = {"torch": torch.get_rng_state().numpy().tobytes(), "python": repr(hash(random.getstate()[1])).encode()}
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        state = numpy.random.get_state()
        states["numpy"] = state[1].tobytes() + repr(state[2:]).encode()
    return {name: hashlib.blake2b(state, digest_size=8).hexdigest() for name, state in states.items()}
