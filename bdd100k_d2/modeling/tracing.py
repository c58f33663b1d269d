"""What is decided while a model is traced holds for images of any size, not for the one that it is traced with."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.fx.experimental.symbolic_shapes import statically_known_true


def same_size(one: Sequence[int], other: Sequence[int]) -> bool:
    """Whether two sizes are the same, whatever size the image has: of sizes that are not known it says no."""
    if torch.jit.is_tracing():  # type: ignore[no-untyped-call]
        return False
    return all(statically_known_true(a == b) for a, b in zip(one, other, strict=True))


def is_exported() -> bool:
    """Whether the model is being traced by `torch.export`."""
    # Of PyTorch 2.7; before it, what it is compiled for is not told.
    return bool(getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)())


def smaller(one: int, other: int) -> int:
    """The smaller of two numbers that may be of the image's size."""
    return torch.minimum(scalar(one), scalar(other)) if _is_tensor(one, other) else torch.sym_min(one, other)  # type: ignore[return-value]


def larger(one: int, other: int) -> int:
    """The larger of two numbers that may be of the image's size."""
    return torch.maximum(scalar(one), scalar(other)) if _is_tensor(one, other) else torch.sym_max(one, other)  # type: ignore[return-value]


def scalar(number: int) -> Tensor:
    """A whole number that may be of the image's size as a tensor of no dimensions."""
    # What `torch.jit.trace` gives for a size.
    return number if isinstance(number, Tensor) else torch.scalar_tensor(number, dtype=torch.int64)


def _is_tensor(*numbers: object) -> bool:
    return any(isinstance(number, Tensor) for number in numbers)
