"""timm's convolutions with TensorFlow's "same" padding, for images of any size in what PyTorch exports."""

import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, the name PyTorch uses

from .tracing import is_exported, scalar


class ExportableConv2dSame(Conv2dSame):
    """A `Conv2dSame`, the same in all but how it is exported where the size is any.

    There it pads by more than enough and picks what timm would have padded to, so that the size of what it gives is
    plain: ceil(size / stride). The exporter does not come to an end with what follows from timm's own arithmetic.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) to (N, D, ceil(H / stride), ceil(W / stride))."""
        if not is_exported() or all(isinstance(side, int) for side in x.shape[2:]):
            convolved: Tensor = super().forward(x)
            return convolved
        for dim in (2, 3):
            x = self._padded(x, dim)
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)

    def _padded(self, x: Tensor, dim: int) -> Tensor:
        kernel, stride, dilation = (each[dim - 2] for each in (self.kernel_size, self.stride, self.dilation))
        side, reach = x.shape[dim], (kernel - 1) * dilation + 1
        length = ((side + stride - 1) // stride - 1) * stride + reach
        most = reach - 1
        # Zeros before the map are half of all, rounded down.
        start = most - torch.div(scalar(length - side).clamp(min=0), 2, rounding_mode="floor")
        x = F.pad(x, (most, most, 0, 0) if dim == 3 else (0, 0, most, most))
        return x.index_select(dim, torch.arange(length, device=x.device) + start)


def make_exportable(model: nn.Module) -> None:
    """Makes each `Conv2dSame` in ``model`` such a one, in place."""
    for module in model.modules():
        # The state is the same; only what `forward` does differs.
        if type(module) is Conv2dSame:
            module.__class__ = ExportableConv2dSame
