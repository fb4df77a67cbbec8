"""The actor and the critic, for all runs of a cohort at once: every array has a leading axis of runs.

They are NumPy's, and gradients pass through them by hand, a dozen lines tested against torch's autograd: for networks
as small as these, calls and fresh memory cost more than arithmetic. NumPy also multiplies stacked matrices one pair
after the other, so that a run's products can't depend on its company, as those of `torch.bmm` do. Torch adds biases,
and goes back through tanh, in half of NumPy's time, in the same memory.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agents.hyperparameters import Hyperparameters

Floats = NDArray[np.floating[Any]]

Layers = list[tuple[Floats, Floats]]
"""Weight and bias of one layer after the other."""

ALIGNMENT = 16
"""A run's parameters begin at, and are, a multiple of so many numbers, 64 bytes in float32: the optimizer computes what
is left over from the processor's whole vectors otherwise, and what is left over would depend on how many runs there
are."""

WIDTH = 4
"""Inputs and outputs are filled up with zeros to a multiple of it: NumPy multiplies columns of one number slowly."""


class ActorCritic:
    """The networks of a cohort, after CleanRL's: two hidden tanh layers each for actor and critic.

    Both are towers of one shape, whose inputs and outputs are filled up with zeros; the critic's output is the first
    column. A run's two towers stand side by side: layers lead with `[runs, 2]`, the actor first.

    `phi`, `[runs, 1, action]`, is what the policy's scale theta comes from. Where theta depends on the state, `phi` is
    the bias of those of the actor's outputs from which it then comes.

    All of it is views of two tensors, which are what the optimizer sees, their gradients with them: `weights`,
    `[runs, all weights and biases]`, and `scales`, `[runs, phi and its padding]`.
    """

    def __init__(
        self,
        rngs: Sequence[np.random.Generator],
        observation: int,
        action: int,
        hyperparameters: Hyperparameters,
        dtype: torch.dtype,
    ) -> None:
        """Draw each run's orthogonal weights from its own generator; biases are zero.

        **Arguments**: `rngs`, one a run; `observation` and `action`, the sizes of both; `dtype`, of every parameter.
        Weights are drawn in float64 and rounded to `dtype`, so that runs of both precisions start from the same ones.
        """
        runs, hidden = len(rngs), hyperparameters.hidden_size
        self.state_dependent_scale = hyperparameters.state_dependent_scale
        self._softplus = hyperparameters.scale_transform == "softplus"
        self._observation, self._action = observation, action
        self._actor_outputs = 2 * action if self.state_dependent_scale else action
        self._widths = (_up_to(WIDTH, observation), hidden, hidden, _up_to(WIDTH, self._actor_outputs))
        shapes = [shape for size, out in itertools.pairwise(self._widths) for shape in ((size, out), (1, out))]
        self.weights, parameters, gradients = _flat(runs, 2, shapes, dtype)
        self._layers, self._gradients = _pairs(parameters), _pairs(gradients)
        self._actors, self._critics = (
            [(weight[:, tower], bias[:, tower]) for weight, bias in self._layers] for tower in (0, 1)
        )
        self._reused: dict[tuple[str, tuple[int, ...]], list[Floats]] = {}
        self._seen: list[Floats] = []

        self.scales, (phi,), (phi_gradient,) = _flat(runs, 1, [(1, action)], dtype)
        self.phi, self._phi_gradient = phi[:, 0], phi_gradient[:, 0]
        theta = np.float64(hyperparameters.initial_scale)
        self.phi[:] = np.log(np.expm1(theta) if self._softplus else theta)

        for run, rng in enumerate(rngs):
            generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
            for tower, last_gain in ((self.actor(run), 0.01), (self.critic(run), 1.0)):
                for (weight, _), gain in zip(tower, (2**0.5, 2**0.5, last_gain), strict=True):
                    drawn = torch.empty(weight.shape[1], weight.shape[0], dtype=torch.float64)
                    weight[:] = nn.init.orthogonal_(drawn, gain, generator=generator).T.numpy()

    def __call__(self, observations: Floats) -> tuple[Floats, Floats, Floats]:
        """From `[runs, batch, observation]`, the policy's mean, `[runs, batch, action]`, its phi,
        `[runs, 1 or batch, action]`, and the values, `[runs, batch]`, for `backward` to go back from.
        """
        inputs = self._filled_up(observations)[:, None]
        outputs = self._room("forward", len(inputs), 2, inputs.shape[2])
        self._seen = [inputs, *outputs[:-1]]
        last = _forward(self._layers, inputs, outputs)
        return *self._policy(last[:, 0]), last[:, 1, :, 0].copy()

    def act(self, observations: Floats) -> tuple[Floats, Floats]:
        """Mean and phi alone."""
        inputs = self._filled_up(observations)
        return self._policy(_forward(self._actors, inputs, self._room("alone", *inputs.shape[:2])))

    def value(self, observations: Floats) -> Floats:
        """The values alone."""
        inputs = self._filled_up(observations)
        values: Floats = _forward(self._critics, inputs, self._room("alone", *inputs.shape[:2]))[:, :, 0].copy()
        return values

    def theta(self, phi: Tensor) -> Tensor:
        """The policy's scale."""
        return softplus(phi) if self._softplus else phi.exp()

    def backward(self, mean: Floats, phi: Floats, values: Floats) -> None:
        """Set the gradients of `weights` and `scales`.

        **Arguments**: gradients in what the agent returned when it was last called, of the same shapes.
        """
        *hidden, gradient = self._room("backward", len(mean), 2, mean.shape[1])
        gradient[:, 0, :, : self._action] = mean
        gradient[:, 1, :, 0] = values
        ones = np.ones((1, mean.shape[1]), mean.dtype)
        if self.state_dependent_scale:
            gradient[:, 0, :, self._action : self._actor_outputs] = phi
            phi = ones @ phi
        self._phi_gradient[:] = phi
        for depth in (2, 1, 0):
            inputs, (weight, _) = self._seen[depth], self._layers[depth]
            weight_gradient, bias_gradient = self._gradients[depth]
            np.matmul(inputs.swapaxes(-1, -2), gradient, out=weight_gradient)
            np.matmul(ones, gradient, out=bias_gradient)
            if depth:
                # BLAS takes longer over a transposed matrix on this side than NumPy over the copy.
                gradient = np.matmul(gradient, weight.swapaxes(-1, -2).copy(), out=hidden[depth - 1])
                through = torch.from_numpy(gradient)
                torch.ops.aten.tanh_backward.grad_input(through, torch.from_numpy(inputs), grad_input=through)
        if self.state_dependent_scale:  # whose bias phi is
            self._gradients[2][1][:, 0, :, self._action :] = 0.0

    def actor(self, run: int) -> Layers:
        """Weight, `[in, out]`, and bias, `[1, out]`, of each of one run's layers."""
        return self._tower(run, 0, self._actor_outputs)

    def critic(self, run: int) -> Layers:
        """The same of its critic."""
        return self._tower(run, 1, 1)

    def parameters(self, run: int) -> Floats:
        """All of one run's parameters, flat: weight and bias of the actor's layers, of the critic's, and last phi."""
        layers = [array for layer in (*self.actor(run), *self.critic(run)) for array in layer]
        return np.concatenate([array.ravel() for array in (*layers, self.phi[run])])

    def nudge(self, run: int, which: int) -> None:
        """Move one weight of one run to the next larger number of its precision: the control for round-off.

        **Arguments**: `which`, the place of the weight in `parameters`.

        **Raises**: `ValueError` beyond the actor's first layer.
        """
        nudgeable = self.actor(run)[0][0].size
        if which >= nudgeable:
            raise ValueError(f"there are {nudgeable} weights to nudge, not {which + 1}")
        weights = self.weights[run].numpy()
        weights[which] = np.nextafter(weights[which], np.inf, dtype=weights.dtype)

    def _tower(self, run: int, tower: int, outputs: int) -> Layers:
        """Its layers, without what they are filled up with."""
        first, second, last = [(weight[run, tower], bias[run, tower]) for weight, bias in self._layers]
        return [(first[0][: self._observation], first[1]), second, (last[0][:, :outputs], last[1][:, :outputs])]

    def _policy(self, outputs: Floats) -> tuple[Floats, Floats]:
        """Mean and phi, from the actor's outputs."""
        mean = outputs[:, :, : self._action].copy()
        if self.state_dependent_scale:
            return mean, self.phi + outputs[:, :, self._action : self._actor_outputs]
        return mean, self.phi.copy()

    def _filled_up(self, observations: Floats) -> Floats:
        """Observations as the networks see them: rounded to their precision, and filled up."""
        runs, batch, size = observations.shape
        (inputs,) = self._memory("inputs", (runs, batch), self._widths[:1])
        inputs[:, :, :size] = observations
        return inputs

    def _room(self, use: str, *leading: int) -> list[Floats]:
        """Memory for what comes out of each layer. **Arguments**: `leading`, all of its shape but the width."""
        return self._memory(use, leading, self._widths[1:])

    def _memory(self, use: str, leading: tuple[int, ...], widths: tuple[int, ...]) -> list[Floats]:
        """Memory that is the same at each call, and zero at first: fresh memory is slower than what is done in it."""
        key = (use, leading)
        if key not in self._reused:
            self._reused[key] = [np.zeros((*leading, width), self.phi.dtype) for width in widths]
        return self._reused[key]


def softplus(numbers: Tensor) -> Tensor:
    """`torch.nn.functional.softplus`, whose last bit depends on whether a number falls into a whole vector."""
    return torch.where(numbers > 20, numbers, numbers.clamp(max=20).exp().log1p())


def _forward(layers: Layers, inputs: Floats, outputs: list[Floats]) -> Floats:
    """What comes out of the last layer, `[..., batch, width]`. **Arguments**: `outputs`, where each layer's is put."""
    for (weight, bias), output in zip(layers, outputs, strict=True):
        np.matmul(inputs, weight, out=output)
        torch.from_numpy(output).add_(torch.from_numpy(bias))
        if output is not outputs[-1]:
            np.tanh(output, out=output)
        inputs = output
    return inputs


def _up_to(multiple: int, size: int) -> int:
    return size + -size % multiple


def _pairs(arrays: list[Floats]) -> Layers:
    return list(zip(arrays[::2], arrays[1::2], strict=True))


def _flat(
    runs: int, towers: int, shapes: Sequence[tuple[int, int]], dtype: torch.dtype
) -> tuple[Tensor, list[Floats], list[Floats]]:
    """Many small parameters in one, which an optimizer treats much faster.

    **Returns**: the one, zero and with a zero gradient, `[runs, numbers]`; the parameters, views of it,
    `[runs, towers, *shape]`; and the same views of its gradient.
    """
    sizes = [rows * columns for rows, columns in shapes]
    aligned = [_up_to(ALIGNMENT, size) for size in sizes]
    flat = torch.zeros(runs, towers * sum(aligned), dtype=dtype)
    flat.grad = torch.zeros_like(flat)

    def views(tensor: Tensor) -> list[Floats]:
        parts = np.split(tensor.view(runs, towers, -1).numpy(), np.cumsum(aligned)[:-1], axis=2)
        return [
            part[:, :, :size].reshape(runs, towers, *shape, copy=False)
            for part, size, shape in zip(parts, sizes, shapes, strict=True)
        ]

    return flat, views(flat), views(flat.grad)
