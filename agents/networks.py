"""The actor and the critic, for all runs of a cohort at once: every tensor has a leading axis of runs."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agents.hyperparameters import Hyperparameters

Floats = NDArray[np.floating[Any]]


ALIGNMENT = 16
"""Every run's matrices begin, and have rows and lengths, at multiples of so many numbers, 64 bytes in float32: what is
left over from the processor's whole vectors is computed by other code, with other round-off, and what is left over
would depend on how many runs there are."""


class Layer(NamedTuple):
    """`nn.Linear`, once for each run."""

    weight: Tensor
    """`[runs, in, out]`"""
    bias: Tensor
    """`[runs, 1, out]`"""

    def __call__(self, inputs: Tensor) -> Tensor:
        """`[runs, batch, in]` to `[runs, batch, out]`."""
        if len(inputs) > 1:
            return torch.baddbmm(self.bias, inputs, self.weight)
        # A product of one slice takes another kernel than the same slice among several, so a lone run is computed
        # beside itself.
        return torch.baddbmm(*(tensor.expand(2, -1, -1) for tensor in (self.bias, inputs, self.weight)))[:1]


class ActorCritic:
    """The networks of a cohort, after CleanRL's: two hidden tanh layers each for actor and critic.

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
        hidden = hyperparameters.hidden_size
        body = [(observation, hidden, 2**0.5), (hidden, hidden, 2**0.5)]
        plan = [*body, (hidden, action, 0.01), *body, (hidden, 1, 1.0)]
        shapes = [shape for inputs, outputs, _ in plan for shape in ((inputs, outputs), (1, outputs))]

        self.weights, leaves, gradients = _flat(len(rngs), shapes, dtype)
        self.scales, (self.phi,), phi_gradients = _flat(len(rngs), [(1, action)], dtype)
        self._leaves, self._gradients = [*leaves, self.phi], [*gradients, *phi_gradients]
        layers = [Layer(*pair) for pair in zip(leaves[::2], leaves[1::2], strict=True)]
        self.actor, self.critic = layers[: len(plan) // 2], layers[len(plan) // 2 :]

        self.phi.data.copy_(torch.tensor(hyperparameters.initial_scale, dtype=torch.float64).log())
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
        """Set the gradients of `weights` and `scales`. **Arguments**: `loss`, `[runs]`, each run's own."""
        torch._foreach_copy_(self._gradients, torch.autograd.grad(loss.sum(), self._leaves))

    def parameters(self, run: int) -> Floats:
        """All of one run's parameters, flat: weight and bias of the actor's layers, of the critic's, and last phi."""
        return np.concatenate([tensor[run].detach().numpy().ravel() for tensor in self._leaves])

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
    batch = inputs.shape[1]
    padding = -batch % ALIGNMENT
    if padding:
        inputs = nn.functional.pad(inputs, (0, 0, 0, padding))
    *hidden, last = layers
    for layer in hidden:
        inputs = layer(inputs).tanh()
    return last(inputs)[:, :batch]


def _flat(
    runs: int, shapes: Sequence[tuple[int, int]], dtype: torch.dtype
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Many small parameters in one, which an optimizer treats much faster.

    **Returns**: the one, zero and with a zero gradient, `[runs, numbers]`; the parameters, views of it that torch
    differentiates by, `[runs, *shape]`; and the views of its gradient.
    """
    sizes = [rows * columns for rows, columns in shapes]
    aligned = [size + -size % ALIGNMENT for size in sizes]
    flat = torch.zeros(runs, sum(aligned), dtype=dtype)
    flat.grad = torch.zeros_like(flat)

    def views(tensor: Tensor) -> list[Tensor]:
        parts = zip(tensor.split(aligned, dim=1), sizes, shapes, strict=True)
        return [part[:, :size].view(runs, *shape) for part, size, shape in parts]

    return flat, [view.detach().requires_grad_() for view in views(flat)], views(flat.grad)
