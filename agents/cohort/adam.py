"""Adam's step, without what torch does around it."""

import os
from collections.abc import Callable
from typing import Any

import torch

TESTED = "2.13.0"
"""The version of torch in which the private kernel was tested."""


def make_adam(groups: list[dict[str, Any]], eps: float) -> "torch.optim.Adam | DirectAdam":
    """Return a fused Adam with torch's bits: `DirectAdam` where it was tested with this version of torch.

    In a process that `study compare` watches it is torch's own: the hooks of torch's optimizers see no other.
    """
    is_watched = "STUDY_WATCH" in os.environ
    if torch.__version__.split("+")[0] == TESTED and not is_watched:
        return DirectAdam(groups, eps)
    return torch.optim.Adam(groups, lr=0.0, eps=eps, fused=True)


class DirectAdam:
    """`torch.optim.Adam` with torch's fused kernel, which is called directly for one parameter after the other.

    For a single run, what torch does in Python before the kernel takes longer than the kernel. And the first of torch's
    optimizers that is made imports torch's compiler, which takes longer than the import of torch.

    Args:
        groups: Groups of parameters, each with "params" and, unless it is 0, "lr".
        eps: Added to the root of the second moment.

    Attributes:
        param_groups: As torch's optimizers have them.
        state: By parameter, the number of steps and both moments.
    """

    def __init__(self, groups: list[dict[str, Any]], eps: float) -> None:
        self.param_groups = [{"lr": 0.0, "betas": (0.9, 0.999), "eps": eps, **group} for group in groups]
        self._hooks: list[Callable[..., None]] = []
        self._parameters = [parameter for group in groups for parameter in group["params"]]
        self.state: dict[torch.Tensor, dict[str, torch.Tensor]] = {
            parameter: {
                "step": torch.tensor(0.0),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
            for parameter in self._parameters
        }

    def register_step_post_hook(self, hook: Callable[..., None]) -> None:
        """Register a function that is called after each step, as torch's optimizers do."""
        self._hooks.append(hook)

    def state_dict(self) -> dict[str, Any]:
        """Return the state by the parameters' indices, as torch's optimizers do."""
        return {"state": {index: self.state[parameter] for index, parameter in enumerate(self._parameters)}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state that `state_dict` returned."""
        for index, parameter in enumerate(self._parameters):
            self.state[parameter] = {name: tensor.clone() for name, tensor in state_dict["state"][index].items()}

    def step(self) -> None:
        """Take a step."""
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for parameter in group["params"]:
                state = self.state[parameter]
                state["step"] += 1
                torch._fused_adam_(
                    [parameter],
                    [parameter.grad],
                    [state["exp_avg"]],
                    [state["exp_avg_sq"]],
                    [],
                    [state["step"]],
                    lr=group["lr"],
                    beta1=beta1,
                    beta2=beta2,
                    weight_decay=0.0,
                    eps=group["eps"],
                    amsgrad=False,
                    maximize=False,
                )
        for hook in self._hooks:
            hook(self, (), {})


Optimizer = torch.optim.Optimizer | DirectAdam
"""The optimizer of a cohort."""
