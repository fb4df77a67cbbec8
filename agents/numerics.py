"""In what, and on what, a run computes. It is free of torch."""

import dataclasses
from typing import Literal

AnyPrecision = Literal["bfloat16", "float32", "float64"]
Device = Literal["cpu", "cuda"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Numerics:
    """The choices that change round-off, and nothing else. No test runs on CUDA.

    Attributes:
        precision: Of every parameter. With bfloat16 it is what PyTorch's users mean by it, autocast: the networks'
            products are rounded to bfloat16, while parameters, policy, loss and optimizer stay in float32.
        device: Where.
        compile: Let `torch.compile` compile the networks. On the CPU that is tested to differ by round-off alone.
        allow_tf32: Let CUDA round the factors of float32's products to TensorFloat-32.
    """

    precision: AnyPrecision = "float32"
    device: Device = "cpu"
    compile: bool = False
    allow_tf32: bool = False
