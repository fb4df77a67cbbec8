"""Adam's step, without what torch does around it."""

from collections.abc import Callable
from typing import Any

import torch

TESTED = "2.13.0"
"""The version of torch whose private kernel is called directly."""


def make_adam(groups: list[dict[str, Any]], eps: float) -> torch.optim.Adam:
    """Return a fused Adam with torch's bits: the fast one where the version of torch is the one that was tested."""
    is_tested = torch.__version__.split("+")[0] == TESTED
    return (DirectAdam if is_tested else torch.optim.Adam)(groups, lr=0.0, eps=eps, fused=True)


class DirectAdam(torch.optim.Adam):
    """`torch.optim.Adam` that hands one parameter after the other to torch's fused kernel.

    What torch does before that, in Python, takes longer than the kernel where there is one run.
    """

    def __init__(self, params: Any, **options: Any) -> None:
        super().__init__(params, **options)
        for group in self.param_groups:
            for parameter in group["params"]:
                moments = {name: torch.zeros_like(parameter) for name in ("exp_avg", "exp_avg_sq")}
                self.state[parameter] = {"step": torch.tensor(0.0), **moments}

    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Take a step."""
        assert closure is None
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
