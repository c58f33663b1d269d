"""What is decided while a model is traced holds for images of any size, not for the one that it is traced with."""

from collections.abc import Sequence

import torch
from torch.fx.experimental.symbolic_shapes import statically_known_true


def same_size(one: Sequence[int], other: Sequence[int]) -> bool:
    """Whether two sizes are the same, whatever size the image has: of sizes that are not known it says no."""
    if torch.jit.is_tracing():  # type: ignore[no-untyped-call]
        return False
    return all(statically_known_true(a == b) for a, b in zip(one, other, strict=True))
