"""Deformable convolutions through torchvision's operator, for Detectron2's own need compiled ones.

Version 1 (Dai et al., 2017) is in the ResNets of the zoo's "dconv" detectors, version 2 with a mask (Zhu et al., 2018)
in the head of its Semantic FPN.
"""

import torch
from detectron2.layers import DeformConv, ModulatedDeformConv
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, the name PyTorch uses
from torch.nn.modules.utils import _pair
from torchvision.ops import deform_conv2d

from .bilinear_rows import pixel_rows, sum_rows, takes_rows

# Each tap of a 3x3 kernel has two offsets, y and x, and in version 2 a factor too.
_OFFSETS, _TAPS = 18, 9
# Of sampled pixels, in memory at a time: what a processor's cache holds.
_MOST_NUMBERS = 1 << 21


class TorchvisionDeformConv(DeformConv):
    """Detectron2's `DeformConv`, with the same state, computed by torchvision."""

    def forward(self, x: Tensor, offset: Tensor) -> Tensor:
        """Maps (N, C, H, W) and offsets (N, 2 * groups * taps, h, w), y before x at each tap, to (N, D, h, w)."""
        return _convolve(self, x, offset, None)


class TorchvisionModulatedDeformConv(ModulatedDeformConv):
    """Detectron2's `ModulatedDeformConv`, with the same state, computed by torchvision."""

    def forward(self, x: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
        """As of version 1, with what each tap is multiplied by, ``mask`` (N, groups * taps, h, w)."""
        return _convolve(self, x, offset, mask)


class OffsetConv2d(TorchvisionModulatedDeformConv):
    """A 3x3 convolution of version 2 that finds its offsets and mask itself, by the convolution ``offset``.

    It keeps the size, has ``norm`` and a ReLU behind it, and starts as a plain one with half of its weights: the
    offsets are zero and the mask is a half.
    """

    def __init__(self, in_channels: int, out_channels: int, norm: nn.Module | None) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1, bias=norm is None, norm=norm, activation=F.relu)
        self.offset = nn.Conv2d(in_channels, _OFFSETS + _TAPS, 3, padding=1)
        nn.init.zeros_(self.offset.weight)
        nn.init.zeros_(self.offset.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]  # it makes the other arguments itself
        """Maps (N, C, H, W) to (N, D, H, W)."""
        offset, mask = self.offset(x).split([_OFFSETS, _TAPS], dim=1)
        return super().forward(x, offset, mask.sigmoid())


def compute_by_torchvision(model: nn.Module) -> None:
    """Makes each of Detectron2's deformable convolutions in ``model`` run without compiled operators, in place."""
    for module in model.modules():
        # The state is the same; only what `forward` does differs.
        if type(module) is DeformConv:
            module.__class__ = TorchvisionDeformConv
        elif type(module) is ModulatedDeformConv:
            module.__class__ = TorchvisionModulatedDeformConv


def _by_rows(layer: DeformConv | ModulatedDeformConv, x: Tensor, offset: Tensor, mask: Tensor | None) -> Tensor:
    """What `deform_conv2d` gives, without the bias, of single groups; (N, D, h, w), the channels last in memory."""
    images, channels, height, width = x.shape
    high, wide = offset.shape[2:]
    down, across = layer.kernel_size
    taps = down * across
    # Version 2 of Detectron2's keeps one number for both sides.
    strides, paddings, dilations = map(_pair, (layer.stride, layer.padding, layer.dilation))
    rows = pixel_rows(x)
    # Where each tap of each place of the result reads, (N, taps, h, w).
    y, x_at = offset[:, 0::2], offset[:, 1::2]
    y = y + _places(high, strides[0], paddings[0], dilations[0], down, across, False)
    x_at = x_at + _places(wide, strides[1], paddings[1], dilations[1], down, across, True)
    index, weights = _corners(y, x_at, height, width)
    if mask is not None:
        weights = weights * mask[..., None]
    index += (torch.arange(images, dtype=torch.int32) * (height * width)).view(-1, 1, 1, 1, 1)
    # The taps of a place side by side, as the weights (D, taps * C) have them.
    index = index.permute(0, 2, 3, 1, 4).reshape(-1, 4)
    weights = weights.permute(0, 2, 3, 1, 4).reshape(-1, 4)
    kernel = layer.weight.float().permute(0, 2, 3, 1).reshape(layer.out_channels, -1).t()
    at_once = max(_MOST_NUMBERS // (channels * taps), 1) * taps
    parts = [
        sum_rows(rows, index[i : i + at_once], weights[i : i + at_once]).view(-1, taps * channels) @ kernel
        for i in range(0, len(index), at_once)
    ]
    return torch.cat(parts).view(images, high, wide, layer.out_channels).permute(0, 3, 1, 2)


def _places(number: int, stride: int, padding: int, dilation: int, down: int, across: int, is_x: bool) -> Tensor:
    """Along y or x, where the taps lie that no offset moves: (taps, h, 1), or (taps, 1, w)."""
    first = torch.arange(number) * stride - padding
    side = torch.arange(across).repeat(down) if is_x else torch.arange(down).repeat_interleave(across)
    places = (first + dilation * side[:, None]).float()
    return places[:, None, :] if is_x else places[:, :, None]


def _corners(y: Tensor, x: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """The four pixels around each place, (..., 4) int32, and their shares; those beyond the map have none."""
    top, left = y.floor(), x.floor()
    below, right = y - top, x - left
    index, weights = [], []
    for row, of_row in ((top, 1 - below), (top + 1, below)):
        for column, of_column in ((left, 1 - right), (left + 1, right)):
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            pixel = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
            index.append(pixel.to(torch.int32))
            weights.append(of_row * of_column * inside)
    return torch.stack(index, dim=-1), torch.stack(weights, dim=-1)


def _convolve(layer: DeformConv | ModulatedDeformConv, x: Tensor, offset: Tensor, mask: Tensor | None) -> Tensor:
    # In half precision an offset of 10 pixels is rounded to a hundredth of one, and what is summed to less: mmcv's
    # operator computes in single precision too. Mixed precision would round the product that is within the operator.
    full = torch.promote_types(x.dtype, torch.float32)
    others = [None if one is None else one.to(full) for one in (layer.bias, mask)]
    single = layer.groups == layer.deformable_groups == 1
    with torch.autocast(x.device.type, enabled=False):
        if single and takes_rows(x):
            result = _by_rows(layer, x, offset.to(full), others[1])
            if others[0] is not None:
                result = result + others[0].view(-1, 1, 1)
        else:
            result = deform_conv2d(
                x.to(full),
                offset.to(full),
                layer.weight.to(full),
                others[0],
                layer.stride,
                layer.padding,
                layer.dilation,
                others[1],
            )
    result = result.to(x.dtype)
    if layer.norm is not None:
        result = layer.norm(result)
    activated: Tensor = result if layer.activation is None else layer.activation(result)
    return activated
