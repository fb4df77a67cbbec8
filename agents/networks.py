"""The actor and the critic, for all runs of a cohort at once: every tensor has a leading axis of runs."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agents.hyperparameters import Hyperparameters

Floats = NDArray[np.floating[Any]]

Layers = list[tuple[Tensor, Tensor]]
"""Weight and bias of one layer after the other."""

ALIGNMENT = 16
"""Every run's matrices begin at, and are as wide as, a multiple of so many numbers, 64 bytes in float32: what is left
over from the processor's whole vectors is computed by other code, with other round-off, and what is left over would
depend on how many runs there are. Narrow matrices are also slower than those filled up with zeros."""


class ActorCritic:
    """The networks of a cohort, after CleanRL's: two hidden tanh layers each for actor and critic.

    Both are towers of one shape, whose inputs and outputs are filled up with zeros; the critic's output is the first
    column. A run's two towers stand side by side.

    `phi`, `[runs, 1, action]`, is the logarithm of the policy's scale theta. The optimizer sees two tensors, of which
    all else are views: `weights`, `[runs, all weights and biases]`, and `scales`, `[runs, phi and its padding]`.
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
        self._observation, self._action = observation, action
        sizes = itertools.pairwise((_aligned(observation), hidden, hidden, _aligned(action)))
        shapes = [shape for inputs, outputs in sizes for shape in ((inputs, outputs), (1, outputs))]
        towers, parameters, gradients = _flat(2 * runs, shapes, dtype)
        assert towers.grad is not None
        self.weights = towers.view(runs, -1)
        self.weights.grad = towers.grad.view(runs, -1)
        self._layers, self._gradients = _pairs(parameters), _pairs(gradients)
        self._actors, self._critics = _pairs([p[::2] for p in parameters]), _pairs([p[1::2] for p in parameters])
        self._inputs: list[Tensor] = []
        self._outputs = towers.new_empty(0)

        self.scales, (self.phi,), (self._phi_gradient,) = _flat(runs, [(1, action)], dtype)
        self.phi.requires_grad_()
        self.phi.data.copy_(torch.tensor(hyperparameters.initial_scale, dtype=torch.float64).log())

        for run, rng in enumerate(rngs):
            generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
            for tower, last_gain in ((self.actor(run), 0.01), (self.critic(run), 1.0)):
                for (weight, _), gain in zip(tower, (2**0.5, 2**0.5, last_gain), strict=True):
                    drawn = torch.empty(weight.shape[1], weight.shape[0], dtype=torch.float64)
                    weight.copy_(nn.init.orthogonal_(drawn, gain, generator=generator).T)

    def __call__(self, observations: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`mean_theta` and `value` at once, for `differentiate` to go back from."""
        self._inputs, self._outputs = _forward(self._layers, self._filled_up(observations, 2))
        outputs = self._outputs.requires_grad_(torch.is_grad_enabled())
        return outputs[::2, :, : self._action].contiguous(), self._theta(), outputs[1::2, :, 0]

    def mean_theta(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """From `[runs, batch, observation]`, the policy's mean, `[runs, batch, action]`, and its scale theta,
        `[runs, 1, action]`.
        """
        _, outputs = _forward(self._actors, self._filled_up(observations, 1))
        return outputs[:, :, : self._action].contiguous(), self._theta()

    def value(self, observations: Tensor) -> Tensor:
        """`[runs, batch, observation]` to `[runs, batch]`."""
        _, outputs = _forward(self._critics, self._filled_up(observations, 1))
        return outputs[:, :, 0]

    def differentiate(self, loss: Tensor) -> None:
        """Set the gradients of `weights` and `scales`: autograd's through the loss and the policy, and from there on
        through the towers by hand, into where the optimizer looks for them.

        **Arguments**: `loss`, `[runs]`, each run's own, made of what calling the agent has just returned.
        """
        gradient, phi_gradient = torch.autograd.grad(loss.sum(), [self._outputs, self.phi])
        self._phi_gradient.copy_(phi_gradient)
        for depth in (2, 1, 0):
            inputs, (weight, _) = self._inputs[depth], self._layers[depth]
            weight_gradient, bias_gradient = self._gradients[depth]
            weight_gradient.copy_(product(inputs.mT, gradient))
            torch.sum(gradient, 1, keepdim=True, out=bias_gradient)
            if depth:
                gradient = torch.ops.aten.tanh_backward(product(gradient, weight.mT.contiguous()), inputs)

    def actor(self, run: int) -> Layers:
        """Weight, `[in, out]`, and bias, `[1, out]`, of each of one run's layers."""
        return self._tower(2 * run, self._action)

    def critic(self, run: int) -> Layers:
        """The same of its critic."""
        return self._tower(2 * run + 1, 1)

    def parameters(self, run: int) -> Floats:
        """All of one run's parameters, flat: weight and bias of the actor's layers, of the critic's, and last phi."""
        layers = [tensor for layer in (*self.actor(run), *self.critic(run)) for tensor in layer]
        return np.concatenate([tensor.numpy().ravel() for tensor in (*layers, self.phi.data[run])])

    def nudge(self, run: int, which: int) -> None:
        """Move one weight of one run to the next larger number of its precision: the control for round-off.

        **Arguments**: `which`, the place of the weight in `parameters`.

        **Raises**: `ValueError` beyond the actor's first layer.
        """
        nudgeable = self.actor(run)[0][0].numel()
        if which >= nudgeable:
            raise ValueError(f"there are {nudgeable} weights to nudge, not {which + 1}")
        first = self.weights[run]
        first[which] = torch.nextafter(first[which], first.new_tensor(torch.inf))

    def _theta(self) -> Tensor:
        """A scale that depends on the state, or comes from phi by a softplus, is made here."""
        return self.phi.exp()

    def _tower(self, tower: int, outputs: int) -> Layers:
        """Its layers, without what they are filled up with."""
        first, second, last = [(weight[tower], bias[tower]) for weight, bias in self._layers]
        return [(first[0][: self._observation], first[1]), second, (last[0][:, :outputs], last[1][:, :outputs])]

    def _filled_up(self, observations: Tensor, towers: int) -> Tensor:
        """Observations as so many towers of each run see them: `[runs * towers, batch, aligned]`."""
        runs, batch, size = observations.shape
        inputs = observations.new_zeros(runs, towers, batch, _aligned(size))
        inputs[..., :size] = observations[:, None]
        return inputs.flatten(0, 1)


def _forward(layers: Layers, inputs: Tensor) -> tuple[list[Tensor], Tensor]:
    """From `[towers, batch, aligned observation]`, what each layer sees, and `[towers, batch, aligned action]`."""
    seen = [inputs]
    for weight, bias in layers[:-1]:
        seen.append(tanh_(product(seen[-1], weight).add_(bias)))
    weight, bias = layers[-1]
    return seen, product(seen[-1], weight).add_(bias)


def product(left: Tensor, right: Tensor) -> Tensor:
    """`torch.bmm`, by NumPy, which takes one pair of matrices after the other: a run's products can't depend on its
    company. Those of `torch.bmm` do, on whether there is any. They also take longer here, in float64 three times.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # of a run that has failed
        return torch.from_numpy(np.matmul(left.numpy(), right.numpy()))


def tanh_(numbers: Tensor) -> Tensor:
    """`torch.tanh_`, to within two units in the last place of 1, in a quarter of its time.

    By the logistic function: tanh(x) = 2 / (1 + exp(-2x)) - 1, as `torch.compile` can write it, too.
    """
    return numbers.mul_(2).sigmoid_().mul_(2).sub_(1)


def _aligned(size: int) -> int:
    return size + -size % ALIGNMENT


def _pairs(tensors: list[Tensor]) -> Layers:
    return list(zip(tensors[::2], tensors[1::2], strict=True))


def _flat(
    runs: int, shapes: Sequence[tuple[int, int]], dtype: torch.dtype
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Many small parameters in one, which an optimizer treats much faster.

    **Returns**: the one, zero and with a zero gradient, `[runs, numbers]`; the parameters, views of it,
    `[runs, *shape]`; and the same views of its gradient.
    """
    sizes = [rows * columns for rows, columns in shapes]
    aligned = [_aligned(size) for size in sizes]
    flat = torch.zeros(runs, sum(aligned), dtype=dtype)
    flat.grad = torch.zeros_like(flat)

    def views(tensor: Tensor) -> list[Tensor]:
        parts = zip(tensor.split(aligned, dim=1), sizes, shapes, strict=True)
        return [part[:, :size].view(runs, *shape) for part, size, shape in parts]

    return flat, views(flat), views(flat.grad)
