"""The actor and the critic, for all runs of a cohort at once: every tensor has a leading axis of runs."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agents.hyperparameters import Hyperparameters

Floats = NDArray[np.floating[Any]]


ALIGNMENT = 16
"""Matrices start at multiples of so many numbers, 64 bytes in float32: where a matrix lies decides, in the kernels of
the matrix product, how it is cut into vectors, and so its round-off."""


class Layer(NamedTuple):
    """`nn.Linear`, once for each run, with the same bits for a run alone and in any company."""

    weight: Tensor
    """`[runs, in, out]`"""
    bias: Tensor
    """`[runs, 1, out]`"""

    def __call__(self, inputs: Tensor) -> Tensor:
        """`[runs, batch, in]` to `[runs, batch, out]`."""
        runs, batch, _ = inputs.shape
        padding = -batch % ALIGNMENT
        if padding:
            inputs = nn.functional.pad(inputs, (0, 0, 0, padding))
        if runs > 1:
            outputs = torch.baddbmm(self.bias, inputs, self.weight)
        else:
            # A product of one slice takes another kernel than the same slice among several, so a lone run is
            # computed beside itself.
            outputs = torch.baddbmm(*(tensor.expand(2, -1, -1) for tensor in (self.bias, inputs, self.weight)))[:1]
        return outputs[:, :batch] if padding else outputs


class ActorCritic:
    """The networks of a cohort, after CleanRL's: two hidden tanh layers each for actor and critic.

    The optimizer sees two tensors: `weights`, `[runs, all weights and biases]`, of which the layers are views, and
    `phi`, `[runs, 1, action]`, the logarithm of the policy's scale theta.
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
        hidden = hyperparameters.hidden_size
        body = [(observation, hidden, 2**0.5), (hidden, hidden, 2**0.5)]
        plan = [*body, (hidden, action, 0.01), *body, (hidden, 1, 1.0)]
        shapes = [shape for inputs, outputs, _ in plan for shape in ((inputs, outputs), (1, outputs))]

        self.weights = torch.zeros(len(rngs), sum(_aligned(rows * columns) for rows, columns in shapes), dtype=dtype)
        self.weights.grad = torch.zeros_like(self.weights)
        theta = torch.full((len(rngs), 1, action), hyperparameters.initial_scale, dtype=torch.float64)
        self.phi = theta.log().to(dtype).requires_grad_()

        self._leaves = [view.detach().requires_grad_() for view in _views(self.weights, shapes)]
        self._gradients = list(_views(self.weights.grad, shapes))
        layers = [Layer(*pair) for pair in zip(self._leaves[::2], self._leaves[1::2], strict=True)]
        self.actor, self.critic = layers[: len(plan) // 2], layers[len(plan) // 2 :]
        for run, rng in enumerate(rngs):
            generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
            for layer, (inputs, outputs, gain) in zip(layers, plan, strict=True):
                drawn = torch.empty(outputs, inputs, dtype=torch.float64)
                layer.weight.data[run] = nn.init.orthogonal_(drawn, gain, generator=generator).T

    def value(self, observations: Tensor) -> Tensor:
        """`[runs, batch, observation]` to `[runs, batch]`."""
        return _forward(self.critic, observations).squeeze(-1)

    def mean_theta(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """The policy's mean, `[runs, batch, action]`, and its scale theta, `[runs, 1, action]`.

        A scale that depends on the state, or comes from phi by a softplus, is made here, as `[runs, batch, action]`.
        """
        return _forward(self.actor, observations), self.phi.exp()

    def differentiate(self, loss: Tensor) -> None:
        """Set the gradients of `weights` and `phi`. **Arguments**: `loss`, `[runs]`, each run's own."""
        *gradients, phi = torch.autograd.grad(loss.sum(), [*self._leaves, self.phi])
        self.phi.grad = phi.contiguous()
        for view, gradient in zip(self._gradients, gradients, strict=True):
            view.copy_(gradient)

    def parameters(self, run: int) -> Floats:
        """All of one run's parameters, flat: weight and bias of the actor's layers, of the critic's, and last phi."""
        return np.concatenate([tensor[run].detach().numpy().ravel() for tensor in (*self._leaves, self.phi)])

    def nudge(self, run: int, which: int) -> None:
        """Move one weight of one run to the next larger number of its precision: the control for round-off.

        **Arguments**: `which`, the place of the weight in `parameters`.

        **Raises**: `ValueError` beyond the actor's first layer.
        """
        if which >= self.actor[0].weight[run].numel():
            raise ValueError(f"there are {self.actor[0].weight[run].numel()} weights to nudge, not {which + 1}")
        first = self.weights[run]
        first[which] = torch.nextafter(first[which], first.new_tensor(torch.inf))


def _forward(layers: Sequence[Layer], inputs: Tensor) -> Tensor:
    *hidden, last = layers
    for layer in hidden:
        inputs = layer(inputs).tanh()
    return last(inputs)


def _aligned(count: int) -> int:
    return count + -count % ALIGNMENT


def _views(flat: Tensor, shapes: Sequence[tuple[int, int]]) -> Iterator[Tensor]:
    """Views of `[runs, numbers]` as `[runs, *shape]`, one after the other."""
    start = 0
    for rows, columns in shapes:
        yield flat[:, start : start + rows * columns].view(len(flat), rows, columns)
        start += _aligned(rows * columns)
