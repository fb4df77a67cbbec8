"""The actor and the critic, for all runs of a cohort at once: every array has a leading axis of runs.

The arrays are NumPy's, and gradients are written by hand and tested against torch's autograd: for networks as small as
these, calls and fresh memory cost more than arithmetic. Torch adds the biases and differentiates tanh, in half of
NumPy's time, in the same memory.
"""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from agents.cohort.numerics import ALIGNMENT, WIDTH, Floats, rounded_up, softplus
from agents.fingerprints import flat
from agents.hyperparameters import Hyperparameters

Layers = list[tuple[Floats, Floats]]
"""Weight and bias of one layer after the other."""


@dataclasses.dataclass(frozen=True, eq=False)
class Forward:
    """The networks' outputs for a batch, and what `ActorCritic.backward` needs.

    Attributes:
        mean: The policy's mean, `[runs, batch, action]`.
        raw_scale: The raw scale, `[runs, 1 or batch, action]`.
        values: The critic's values, `[runs, batch]`.
        inputs: Each layer's inputs, `[runs, 1 or 2, batch, width]`, in memory that the next call reuses.
    """

    mean: Floats
    raw_scale: Floats
    values: Floats
    inputs: list[Floats]


class ActorCritic:
    """The networks of a cohort, after CleanRL's: two hidden tanh layers each for actor and critic.

    Both are towers of one shape, whose inputs and outputs are padded with zeros; the critic's output is the first
    column. Layers lead with `[runs, 2]`: a run's actor, then its critic.

    Attributes:
        raw_scale: `[runs, 1, action]`. Where the scale depends on the state, it is the bias of the actor's outputs that
            give the scale.
        weights: `[runs, all weights and biases]`. The layers and their gradients are views of it and of its gradient.
        raw_scales: `[runs, raw_scale and its padding]`, of which `raw_scale` is a view. The optimizer has both tensors.
        state_dependent_scale: Whether the scale depends on the state.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        observation: int,
        action: int,
        hyperparameters: Hyperparameters,
        dtype: torch.dtype,
    ) -> None:
        """Draw each run's orthogonal weights; biases are zero.

        Weights are drawn in float64 and rounded to `dtype`, so that runs of both precisions start from the same ones.

        Args:
            seeds: For each run, the seed of the generator that draws its weights.
            observation: Size of an observation.
            action: Size of an action.
            hyperparameters: The agent's.
            dtype: The dtype of every parameter.
        """
        runs, hidden = len(seeds), hyperparameters.hidden_size
        self.state_dependent_scale = hyperparameters.state_dependent_scale
        self._softplus = hyperparameters.scale_transform == "softplus"
        self._observation, self._action = observation, action
        self._actor_outputs = 2 * action if self.state_dependent_scale else action
        self._widths = (rounded_up(observation, WIDTH), hidden, hidden, rounded_up(self._actor_outputs, WIDTH))
        shapes = [shape for size, out in itertools.pairwise(self._widths) for shape in ((size, out), (1, out))]
        self.weights, parameters, gradients = _flat(runs, 2, shapes, dtype)
        self._layers, self._gradients = _pairs(parameters), _pairs(gradients)
        self._reused: dict[tuple[str, int, int], list[Floats]] = {}
        self._latest: Forward | None = None

        self.raw_scales, (raw_scale,), (gradient,) = _flat(runs, 1, [(1, action)], dtype)
        self.raw_scale, self._raw_scale_gradient = raw_scale[:, 0], gradient[:, 0]
        scale = np.float64(hyperparameters.initial_scale)
        self.raw_scale[:] = np.log(np.expm1(scale) if self._softplus else scale)

        for run, seed in enumerate(seeds):
            generator = torch.Generator().manual_seed(seed)
            for tower, last_gain in ((self.actor(run), 0.01), (self.critic(run), 1.0)):
                for (weight, _), gain in zip(tower, (2**0.5, 2**0.5, last_gain), strict=True):
                    drawn = torch.empty(weight.shape[1], weight.shape[0], dtype=torch.float64)
                    weight[:] = nn.init.orthogonal_(drawn, gain, generator=generator).T.numpy()

    def forward(self, observations: Floats) -> Forward:
        """Return the outputs of both networks for observations, `[runs, batch, observation]`."""
        inputs = self._filled_up("forward", observations)[:, None]
        outputs = self._memory("forward", len(observations), observations.shape[1], towers=2)
        last = _forward(self._layers, inputs, outputs)
        self._latest = Forward(*self._policy(last[:, 0]), last[:, 1, :, 0].copy(), [inputs, *outputs[:-1]])
        return self._latest

    def act(self, observations: Floats) -> tuple[Floats, Floats]:
        """Return mean and raw scale for observations, `[runs, batch, observation]`, of all runs or of the first few."""
        return self._policy(self._alone(0, observations))

    def value(self, observations: Floats) -> Floats:
        """Return the critic's values, `[runs, batch]`, for observations, `[runs, batch, observation]`."""
        values: Floats = self._alone(1, observations)[:, :, 0].copy()
        return values

    def scale(self, raw_scale: Tensor) -> Tensor:
        """Return the policy's scale, of the shape of the raw scale."""
        return softplus(raw_scale) if self._softplus else raw_scale.exp()

    def backward(self, forward: Forward, by_mean: Floats, by_raw_scale: Floats, by_values: Floats) -> None:
        """Set the gradients of `weights` and `raw_scales`.

        Args:
            forward: The latest result of `forward`.
            by_mean: The loss's gradient in `forward.mean`, of its shape.
            by_raw_scale: In `forward.raw_scale`, likewise.
            by_values: In `forward.values`, likewise.

        Raises:
            ValueError: `forward` has been called since, and has reused the memory.
        """
        if forward is not self._latest:
            raise ValueError("forward has been called again since: backward needs its latest result")
        batch = by_mean.shape[1]
        *hidden, gradient = self._memory("backward", len(by_mean), batch, towers=2)
        gradient[:, 0, :, : self._action] = by_mean
        gradient[:, 1, :, 0] = by_values
        ones = np.ones((1, batch), by_mean.dtype)
        if self.state_dependent_scale:
            gradient[:, 0, :, self._action : self._actor_outputs] = by_raw_scale
            by_raw_scale = ones @ by_raw_scale
        self._raw_scale_gradient[:] = by_raw_scale
        for depth in (2, 1, 0):
            inputs, (weight, _) = forward.inputs[depth], self._layers[depth]
            weight_gradient, bias_gradient = self._gradients[depth]
            np.matmul(inputs.swapaxes(-1, -2), gradient, out=weight_gradient)
            np.matmul(ones, gradient, out=bias_gradient)
            if depth:
                # BLAS takes longer over a transposed matrix on this side than NumPy over the copy.
                gradient = np.matmul(gradient, weight.swapaxes(-1, -2).copy(), out=hidden[depth - 1])
                through = torch.from_numpy(gradient)
                torch.ops.aten.tanh_backward.grad_input(through, torch.from_numpy(inputs), grad_input=through)
        if self.state_dependent_scale:  # whose bias is the raw scale
            self._gradients[2][1][:, 0, :, self._action :] = 0.0

    def actor(self, run: int) -> Layers:
        """Return weight, `[in, out]`, and bias, `[1, out]`, of each layer of one run's actor."""
        return self._tower(run, 0, self._actor_outputs)

    def critic(self, run: int) -> Layers:
        """Return weight, `[in, out]`, and bias, `[1, out]`, of each layer of one run's critic."""
        return self._tower(run, 1, 1)

    def tensors(self, run: int) -> list[Floats]:
        """Return all of one run's parameters, in the order of `agents.fingerprints.TENSORS`."""
        layers = [array for layer in (*self.actor(run), *self.critic(run)) for array in layer]
        return [*layers, self.raw_scale[run]]

    def parameters(self, run: int) -> Floats:
        """Return all of one run's parameters in one array, `[size]`."""
        return flat(self.tensors(run))

    def state_dict(self, run: int) -> dict[str, Tensor]:
        """Return one run's parameters by the names that `agents.ppo.Agent` has for them."""
        layers = {
            f"{tower}.{2 * depth}.{name}": array
            for tower, own in (("actor", self.actor(run)), ("critic", self.critic(run)))
            for depth, (weight, bias) in enumerate(own)
            for name, array in (("weight", weight.T), ("bias", bias[0]))
        }
        return {name: torch.tensor(array) for name, array in {**layers, "raw_scale": self.raw_scale[run, 0]}.items()}

    def _tower(self, run: int, tower: int, outputs: int) -> Layers:
        """Return the layers of one of a run's towers, without their padding."""
        first, second, last = [(weight[run, tower], bias[run, tower]) for weight, bias in self._layers]
        return [(first[0][: self._observation], first[1]), second, (last[0][:, :outputs], last[1][:, :outputs])]

    def _alone(self, tower: int, observations: Floats) -> Floats:
        """Return the outputs of one of the two networks, for observations of the first runs."""
        runs, batch, _ = observations.shape
        layers = [(weight[:runs, tower], bias[:runs, tower]) for weight, bias in self._layers]
        return _forward(layers, self._filled_up("alone", observations), self._memory("alone", runs, batch))

    def _policy(self, outputs: Floats) -> tuple[Floats, Floats]:
        """Return mean and raw scale, from the actor's outputs."""
        mean, raw_scale = outputs[:, :, : self._action].copy(), self.raw_scale[: len(outputs)]
        if self.state_dependent_scale:
            return mean, raw_scale + outputs[:, :, self._action : self._actor_outputs]
        return mean, raw_scale.copy()

    def _filled_up(self, use: str, observations: Floats) -> Floats:
        """Return observations as the networks see them: rounded to their precision, and padded."""
        runs, batch, size = observations.shape
        (inputs,) = self._reuse(f"{use} inputs", runs, batch, [(runs, batch, self._widths[0])])
        inputs[:, :, :size] = observations
        return inputs

    def _memory(self, use: str, runs: int, batch: int, towers: int = 1) -> list[Floats]:
        """Return memory for the outputs of each layer."""
        leading = (runs, towers, batch) if towers > 1 else (runs, batch)
        return self._reuse(use, runs, batch, [(*leading, width) for width in self._widths[1:]])

    def _reuse(self, use: str, runs: int, batch: int, shapes: Sequence[tuple[int, ...]]) -> list[Floats]:
        """Return memory that is the same at each call, and zero at first: fresh memory takes longer than the work."""
        key = (use, runs, batch)
        if key not in self._reused:
            self._reused[key] = [np.zeros(shape, self.raw_scale.dtype) for shape in shapes]
        return self._reused[key]


def _forward(layers: Layers, inputs: Floats, outputs: list[Floats]) -> Floats:
    """Compute each layer's outputs in the memory given, and return the last layer's, `[..., batch, width]`."""
    for (weight, bias), output in zip(layers, outputs, strict=True):
        np.matmul(inputs, weight, out=output)
        torch.from_numpy(output).add_(torch.from_numpy(bias))
        if output is not outputs[-1]:
            np.tanh(output, out=output)
        inputs = output
    return inputs


def _pairs(arrays: list[Floats]) -> Layers:
    return list(zip(arrays[::2], arrays[1::2], strict=True))


def _flat(
    runs: int, towers: int, shapes: Sequence[tuple[int, int]], dtype: torch.dtype
) -> tuple[Tensor, list[Floats], list[Floats]]:
    """Return many small parameters in one, which an optimizer updates much faster.

    Returns:
        The one tensor, `[runs, numbers]`, zero and with a zero gradient; the parameters, `[runs, towers, *shape]`,
        which are views of it; and the same views of its gradient.
    """
    sizes = [rows * columns for rows, columns in shapes]
    aligned = [rounded_up(size, ALIGNMENT) for size in sizes]
    flat = torch.zeros(runs, towers * sum(aligned), dtype=dtype)
    flat.grad = torch.zeros_like(flat)

    def views(tensor: Tensor) -> list[Floats]:
        parts = np.split(tensor.view(runs, towers, -1).numpy(), np.cumsum(aligned)[:-1], axis=2)
        return [
            part[:, :, :size].reshape(runs, towers, *shape, copy=False)
            for part, size, shape in zip(parts, sizes, shapes, strict=True)
        ]

    return flat, views(flat), views(flat.grad)
