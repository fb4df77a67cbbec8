"""The precision and the device in which a run computes. This module is free of torch."""

import dataclasses
from typing import Literal

AnyPrecision = Literal["bfloat16", "float32", "float64"]
Device = Literal["cpu", "cuda"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Numerics:
    """The choices that change round-off, and nothing else. No test runs on CUDA.

    Attributes:
        precision: Of every parameter. bfloat16 stands for PyTorch's autocast: the networks' products are rounded to
            bfloat16, while parameters, policy, loss and optimizer stay in float32.
        device: The device of every tensor.
        compile: Whether `torch.compile` compiles the networks. On the CPU, a test checks that only round-off differs.
        allow_tf32: Whether CUDA may round the factors of float32's products to TensorFloat-32.
    """

    precision: AnyPrecision = "float32"
    device: Device = "cpu"
    compile: bool = False
    allow_tf32: bool = False
