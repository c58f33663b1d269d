"""Deformable convolutions through torchvision's operator, for Detectron2's own need compiled ones.

Version 1 (Dai et al., 2017) is in the ResNets of the zoo's "dconv" detectors, version 2 with a mask (Zhu et al., 2018)
in the head of its Semantic FPN.
"""

import torch
from detectron2.layers import DeformConv, ModulatedDeformConv
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, the name PyTorch uses
from torchvision.ops import deform_conv2d

# Each tap of a 3x3 kernel has two offsets, y and x, and in version 2 a factor too.
_OFFSETS, _TAPS = 18, 9


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


def _convolve(layer: DeformConv | ModulatedDeformConv, x: Tensor, offset: Tensor, mask: Tensor | None) -> Tensor:
    # In half precision an offset of 10 pixels is rounded to a hundredth of one, and what is summed to less: mmcv's
    # operator computes in single precision too. Mixed precision would round the product that is within the operator.
    full = torch.promote_types(x.dtype, torch.float32)
    others = [None if one is None else one.to(full) for one in (layer.bias, mask)]
    with torch.autocast(x.device.type, enabled=False):
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
