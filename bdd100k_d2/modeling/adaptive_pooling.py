"""Averages of a map's parts, for maps of any size in what PyTorch exports."""

import torch
from torch import Tensor, nn

from .tracing import is_exported


class ExportableAdaptiveAvgPool2d(nn.AdaptiveAvgPool2d):
    """PyTorch's, to ``side`` x ``side``; exported for maps of any size as products of matrices.

    ONNX has no such pooling, and PyTorch's exporter writes it wrongly where the size is any.
    """

    def __init__(self, side: int) -> None:
        super().__init__(side)
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, h, w) to (N, C, side, side)."""
        height, width = x.shape[2:]
        if not is_exported() or (isinstance(height, int) and isinstance(width, int)):
            pooled: Tensor = super().forward(x)
            return pooled
        return self._weights(height, x) @ x @ self._weights(width, x).transpose(0, 1)

    def _weights(self, length: int, like: Tensor) -> Tensor:
        """What each of ``length`` pixels adds to each average: (side, length), of the type of ``like``."""
        parts = torch.arange(self.side, device=like.device)
        first = torch.div(parts * length, self.side, rounding_mode="floor")[:, None]
        last = torch.div((parts + 1) * length + (self.side - 1), self.side, rounding_mode="floor")[:, None]
        places = torch.arange(length, device=like.device)
        return ((places >= first) & (places < last)).to(like.dtype) / (last - first)
